"""One explicit random generator per purpose, derived only from names and numbers.

A replica's randomness depends only on its seed, not on its shard or on earlier computations.
"""

import hashlib

import torch


def derive(purpose: str, *numbers: int) -> int:
    """A 63-bit seed for ``purpose`` (such as ``"batch order"``) and the numbers that distinguish its uses."""
    text = "/".join([purpose, *map(str, numbers)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(purpose: str, *numbers: int) -> torch.Generator:
    """A CPU generator seeded by :func:`derive`; the same on every machine and device."""
    return torch.Generator().manual_seed(derive(purpose, *numbers))
