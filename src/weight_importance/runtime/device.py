"""Device, precision of matrix products, number of CPU threads and memory use of a process.

They are set here, once per process, and affect results only by rounding.
"""

import ctypes
import os

import torch
from torch import Tensor

from weight_importance.runtime.errors import UserError
from weight_importance.runtime.process import note_device

VARIABLE = "IMPORTANCE_ATLAS_DEVICE"
"""Environment variable: ``auto`` (the default: a GPU if there is one, else the CPU), ``cpu``, ``cuda``, ``cuda:1``."""

# parameters of mallopt(3), from malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT = 32 * 2**20
"""Largest block (bytes) that glibc can keep; larger blocks always return to the system."""

CPU_REPLICA_BYTES = 2 * 2**30
"""Memory (bytes) for the replicas in one CPU process; the rule ``retention`` requests more."""

PROBES = ((1, 100, 784, 300), (1, 300, 100, 784), (1, 1000, 784, 300), (4, 128, 576, 100))
"""Shapes (B, M, K, N) of the test products: from training, importances and convolutions."""

ACCEPTED = 3
"""Largest error ratio to torch's default precision that a different summation order explains."""


def prepare(threads: int) -> torch.device:
    """Set up this process, print the choices in one line, and return its device.

    Flushes denormal numbers to zero: millions of squared gradients of confident samples underflow, and processors
    handle denormal numbers a hundred times slower.

    Args:
        threads: CPU threads for tensor operations; with one, results do not depend on other processes.

    Raises:
        UserError: :data:`VARIABLE` names an unknown or absent device.
    """
    if threads < 1:
        raise UserError(f"--threads is {threads}; it must be 1 or more. Give each job the threads that its rule names.")
    device = choose(os.environ.get(VARIABLE, "auto"))
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    torch.set_float32_matmul_precision(precision(device))
    # GPU convolutions have a separate switch, on by default: TF32, with ten bits of mantissa
    torch.backends.cudnn.allow_tf32 = False
    note_device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{threads} thread{'s' * (threads > 1)}"
    print(
        f"device {device} ({name}), matrix products in precision '{torch.get_float32_matmul_precision()}'", flush=True
    )
    return device


def choose(wanted: str) -> torch.device:
    """The device named ``wanted``; ``auto`` selects the GPU if present, else the CPU."""
    count = torch.cuda.device_count()
    if wanted == "auto":
        return torch.device("cuda" if count else "cpu")
    kind, _, index = wanted.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()) or (kind == "cpu" and index):
        raise UserError(
            f"{VARIABLE} is '{wanted}'; allowed are auto, cpu, cuda, and cuda: with a number. Set it to one of "
            f"these, or remove it: unset {VARIABLE}"
        )
    if kind == "cuda" and int(index or 0) >= count:
        raise UserError(
            f"{VARIABLE} is '{wanted}', but torch sees {count or 'no'} CUDA device{'s' * (count != 1)}; set it to auto "
            "or cpu, or install a torch for your GPU and driver (python -c 'import torch; print(torch.version.cuda)')"
        )
    return torch.device(wanted)


def precision(device: torch.device) -> str:
    """Return ``medium`` if float32 matrix products keep full accuracy under that setting, else ``highest``.

    "medium" permits a lower precision. Its effect depends on the processor: on some, torch only switches to another
    full-precision library, which can be twice as fast; on others, and on GPUs, it uses shorter numbers. The errors of
    products against float64 therefore decide. Run times do not, because results would depend on other processes.
    """
    generator = torch.Generator().manual_seed(0)
    for batch, rows, inner, columns in PROBES:
        left = torch.randn(batch, rows, inner, generator=generator).squeeze(0).to(device)
        right = torch.randn(batch, inner, columns, generator=generator).squeeze(0).to(device)
        if product_error("medium", left, right) > ACCEPTED * product_error("highest", left, right):
            return "highest"
    return "medium"


def product_error(setting: str, left: Tensor, right: Tensor) -> float:
    """Relative error (Frobenius norms) of a matrix product under a setting of torch; restores the setting."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        product = left @ right
    finally:
        torch.set_float32_matmul_precision(before)
    truth = left.double() @ right.double()
    return ((product.double() - truth).norm() / truth.norm()).item()


def replica_bytes(device: torch.device) -> int:
    """Memory (bytes) for the replicas in one process: fixed on a CPU, half of the free memory on a GPU."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else CPU_REPLICA_BYTES


def keep_freed_memory() -> None:
    """Make the C library keep freed blocks for the next step instead of returning them to the system.

    Training steps free and allocate the same tensors repeatedly. By default glibc returns their memory each time, and
    the system must map and clear every page again. Other C libraries are unaffected.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, 2**30)
