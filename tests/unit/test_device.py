"""The set-up of a process: device, precision of matrix products, reuse of freed memory."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from weight_importance.runtime import device
from weight_importance.runtime.errors import UserError

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
PROGRAM = """
import resource, torch
from weight_importance.runtime.device import prepare
prepare(1)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step = lambda: [torch.ones(6 * 2**20) for _ in range(8)]  # of 24 MiB each
for _ in range(5):  # until the heap has its size
    step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""


def test_freed_memory_is_reused():
    """Without reuse, each step has up to 49,152 page faults."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert int(run.stdout.splitlines()[-1]) < 1000


def test_the_chosen_precision_has_full_accuracy_and_the_setting_is_restored():
    before = torch.get_float32_matmul_precision()
    chosen = device.precision(torch.device("cpu"))
    assert torch.get_float32_matmul_precision() == before
    left, right = torch.randn(200, 784), torch.randn(784, 300)
    assert device.product_error(chosen, left, right) < 1e-6


@pytest.mark.parametrize(("errors", "expected"), [((2e-7, 5e-7), "medium"), ((2e-7, 2e-3), "highest")])
def test_the_faster_precision_is_used_if_its_error_is_that_of_single_precision(errors, expected, monkeypatch):
    """Simulates both kinds of processors."""
    highest, medium = errors
    monkeypatch.setattr(device, "product_error", lambda setting, *_: medium if setting == "medium" else highest)
    assert device.precision(torch.device("cpu")) == expected


def test_one_inaccurate_product_rules_out_a_precision(monkeypatch):
    def error(setting, left, right):
        return 1e-3 if setting == "medium" and left.ndim == 3 else 2e-7

    monkeypatch.setattr(device, "product_error", error)
    assert device.precision(torch.device("cpu")) == "highest"


@pytest.mark.parametrize("count", [0, 1])
def test_a_missing_device_is_refused_with_the_remedy(count, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(UserError, match=r"torch sees .* set it to auto or cpu"):
        device.choose(f"cuda:{count}")


@pytest.mark.parametrize(("count", "expected"), [(0, "cpu"), (2, "cuda")])
def test_auto_uses_a_gpu_if_there_is_one(count, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert device.choose("auto").type == expected
    assert device.choose("cpu").type == "cpu"
