"""Contiguous memory for all parameters of a stack: one row per replica, each parameter padded to whole vectors.

Elementwise operations (optimiser, penalty, recorder) work on rows, or pieces of them, as vectors.
"""

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

VECTOR = 64
"""Elements per vector: a multiple of every processor's vector length.

torch's fused Adam rounds the remainder of an incomplete vector differently. Every parameter starts at a vector and is
padded with zeros, so no result depends on a parameter's place in memory.
"""


class Layout:
    """The place of each parameter of one replica in its row.

    Args:
        shapes: parameter name → shape, without a replica axis.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._places: dict[str, tuple[int, tuple[int, ...]]] = {}
        self.size = 0
        for name, shape in shapes.items():
            self._places[name] = self.size, tuple(shape)
            self.size += -(-prod(shape) // VECTOR) * VECTOR

    def views(self, rows: Tensor) -> dict[str, Tensor]:
        """Return every parameter ``(R, *shape)`` as a view of the rows ``(R, size)``."""
        return {
            name: rows[:, start : start + prod(shape)].view(len(rows), *shape)
            for name, (start, shape) in self._places.items()
        }

    def filled(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return new rows ``(R, size)`` with the values ``(R, *shape)``, padded with zeros."""
        like = next(iter(values.values()))
        rows = like.new_zeros(len(like), self.size)
        for name, view in self.views(rows).items():
            view.copy_(values[name])
        return rows


def pieces(row: Tensor, most: int) -> tuple[Tensor, ...]:
    """Split a row into pieces of equal length (the last may be shorter), all multiples of :data:`VECTOR`.

    Args:
        row: ``(N,)``.
        most: maximum elements per piece, at least :data:`VECTOR`.
    """
    count = -(-len(row) // most)
    length = -(-len(row) // (count * VECTOR)) * VECTOR
    return torch.split(row, length)
