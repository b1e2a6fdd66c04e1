"""The moments' memory on the published convolutional network: within the stated bound for any number of samples."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from weight_importance.estimators.engine.layers import PASS_BYTES
from weight_importance.estimators.engine.products import PRODUCT_BYTES
from weight_importance.estimators.engine.vectorised import FALLBACK_BYTES
from weight_importance.learning.networks import CNN

ROOT = Path(__file__).parents[2]
SAMPLES = [200, 1000]
ALLOWANCE = 16 * 2**20
"""Memory kept by the allocator and the libraries."""


@pytest.fixture(scope="module")
def memory() -> dict[int, tuple[int, int]]:
    """Number of samples → resident memory before the estimate, and its peak."""
    program = ROOT / "benchmarks/peak_memory.py"
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("workflow/scripts", "tests/support"))
    measured = {}
    for samples in SAMPLES:
        output = subprocess.run(
            [sys.executable, program, "mas", str(samples)],
            env=os.environ | {"PYTHONPATH": paths},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        before, peak = map(int, output.split())
        measured[samples] = before, peak
    return measured


@pytest.mark.parametrize("samples", SAMPLES)
def test_memory_stays_under_the_stated_bound(memory, samples):
    before, peak = memory[samples]
    parameters = sum(parameter.numel() for parameter in CNN().parameters())
    # float64 totals and their mean, a partial sum and its product in float64, the gradient of the check
    per_parameter = (8 + 8 + 4 + 8 + 4) * parameters
    assert peak - before < PASS_BYTES + PRODUCT_BYTES + FALLBACK_BYTES + per_parameter + ALLOWANCE


def test_only_inputs_grow_with_the_samples(memory):
    needed = {samples: peak - samples * (28 * 28 * 4 + 8) for samples, (_, peak) in memory.items()}
    assert max(needed.values()) - min(needed.values()) < ALLOWANCE
