"""Where tensors live, how many CPU threads compute and how memory is kept: decided here, once per process."""

import ctypes

import torch

# of mallopt(3), from malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT = 32 * 2**20
"""Bytes: the largest block that glibc can be told to keep; larger ones always go back to the system."""


def prepare(threads: int) -> torch.device:
    """Set up this process and return its device: the GPU when there is one, else the CPU.

    Denormal numbers are flushed to zero: squared gradients of confident samples underflow by the million, and the
    processor handles such numbers a hundred times slower.

    Args:
        threads: CPU threads for tensor operations; with one, results do not depend on what else runs.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def keep_freed_memory() -> None:
    """Have the C library keep freed blocks for the next step instead of handing them back to the system.

    A training step frees and asks again for the same tensors; by default glibc returns them each time, and the system
    must map and clear every page anew: 120 page faults a replica-step without this, 6 with it. Other C libraries are
    left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, 2**30)
