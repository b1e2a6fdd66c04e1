"""Whether jobs compute on a GPU: decided once, as the workflow starts, so that each job asks for what it will take.

Knows nothing of torch but whether it finds a GPU; see weight_importance.runtime.device for the use of it.
"""

import subprocess
import sys
from pathlib import Path

VARIABLE = "IMPORTANCE_ATLAS_DEVICE"
"""Environment variable with the device of every job, as :mod:`weight_importance.runtime.device` reads it."""

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What drivers of Nvidia, of AMD and of Linux under Windows put into place; without any, torch need not be asked."""


def decided(wanted: str) -> str:
    """The device that jobs are told: ``wanted``, but for ``auto``, which becomes ``cuda`` or ``cpu``.

    A job that is told ``cpu`` takes no GPU, whatever the node that it comes to has.
    """
    if wanted != "auto":
        return wanted
    return "cuda" if any(Path(driver).exists() for driver in DRIVERS) and _torch_finds_one() else "cpu"


def per_job(device: str) -> int:
    """GPUs that a job on this device takes: one or none."""
    return int(device.startswith("cuda"))


def _torch_finds_one() -> bool:
    """Ask in a process of its own: torch takes seconds to import, and much memory as long as Snakemake runs."""
    question = "import torch; print(torch.cuda.is_available())"
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=False)
    return answer.stdout.strip() == "True"
