"""The set-up of a process: memory that is freed is used again."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
PROGRAM = """
import resource, torch
from weight_importance.device import prepare
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


def test_freed_memory_is_not_mapped_anew_at_every_step():
    """Mapping it anew takes up to 49,152 page faults a step."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert int(run.stdout) < 1000
