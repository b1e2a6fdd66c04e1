"""Whether jobs use a GPU: decided once, at the start of the workflow, so that jobs request the right resources.

Does not import torch; see weight_importance.runtime.device for the use of a GPU.
"""

import subprocess
import sys
from pathlib import Path

VARIABLE = "IMPORTANCE_ATLAS_DEVICE"
"""Environment variable with the device of every job, as :mod:`weight_importance.runtime.device` reads it."""

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Device files of the drivers for Nvidia, AMD and WSL; without any, torch is not asked."""


def decided(wanted: str) -> str:
    """The device of all jobs: ``wanted``, except ``auto``, which becomes ``cuda`` or ``cpu``.

    With ``cpu`` a job uses no GPU, even on a node that has one.
    """
    if wanted != "auto":
        return wanted
    return "cuda" if any(Path(driver).exists() for driver in DRIVERS) and _torch_finds_one() else "cpu"


def per_job(device: str) -> int:
    """Number of GPUs of a job on this device: one or none."""
    return int(device.startswith("cuda"))


def _torch_finds_one() -> bool:
    """Ask torch in a separate process: its import takes seconds, and memory as long as Snakemake runs."""
    question = "import torch; print(torch.cuda.is_available())"
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=False)
    return answer.stdout.strip() == "True"
