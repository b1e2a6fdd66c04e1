"""Rotated tasks: each round after the first rotates all images by another 90 degrees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from weight_importance.data.tasks.task import Task, in_rounds
from weight_importance.runtime.errors import UserError

if TYPE_CHECKING:
    from weight_importance.settings.tasks import RotatedTasks


@dataclass(frozen=True)
class Rotation:
    """Rotates every image counter-clockwise by quarter turns, without interpolation."""

    quarters: int

    def __call__(self, images: Tensor) -> Tensor:
        return torch.rot90(images, self.quarters, (-2, -1))


def sequences(
    settings: "RotatedTasks", plain: Sequence[Task], count: int, seeds: Sequence[int]
) -> list[tuple[Task, ...]]:
    """Return the tasks of every network, the same for all.

    Raises:
        UserError: images are not square.
    """
    height, width = plain[0].training.stored.shape[-2:]
    if height != width:
        raise UserError(f"tasks.kind 'rotated' needs square images, found {height} × {width}")
    return [in_rounds(plain, count, Rotation)] * len(seeds)
