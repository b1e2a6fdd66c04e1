"""Where tensors live and how many CPU threads compute: decided here, once per process."""

import torch


def prepare(threads: int) -> torch.device:
    """Set up this process and return its device: the GPU when there is one, else the CPU.

    Denormal numbers are flushed to zero: squared gradients of confident samples underflow by the million, and the
    processor handles such numbers a hundred times slower.

    Args:
        threads: CPU threads for tensor operations; with one, results do not depend on what else runs.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
