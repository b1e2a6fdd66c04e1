"""One memory for all parameters of a stack: a row per replica, parameter after parameter, filled up to whole vectors.

Elementwise operations (optimiser, penalty, recorder) work on rows, or pieces of them, as vectors.
"""

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

VECTOR = 64
"""Elements: a multiple of what any processor's vector instructions take at once.

torch's fused Adam rounds the elements that fill no whole vector in another way: as every parameter begins at a whole
vector and is filled up with zeros, no result depends on where in memory a parameter is.
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
        """Every parameter ``(R, *shape)`` as a view of the rows ``(R, size)``."""
        return {
            name: rows[:, start : start + prod(shape)].view(len(rows), *shape)
            for name, (start, shape) in self._places.items()
        }

    def filled(self, values: Mapping[str, Tensor]) -> Tensor:
        """New rows ``(R, size)`` that hold the values ``(R, *shape)``, zeros between them."""
        like = next(iter(values.values()))
        rows = like.new_zeros(len(like), self.size)
        for name, view in self.views(rows).items():
            view.copy_(values[name])
        return rows


def pieces(row: Tensor, most: int) -> tuple[Tensor, ...]:
    """A vector of whole vectors cut into pieces of equal length (the last may be shorter), each whole vectors, too.

    Args:
        row: ``(N,)``.
        most: elements in a piece, at least :data:`VECTOR`.
    """
    count = -(-len(row) // most)
    length = -(-len(row) // (count * VECTOR)) * VECTOR
    return torch.split(row, length)
