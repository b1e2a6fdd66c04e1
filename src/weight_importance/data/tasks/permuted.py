"""Permuted tasks: each round after the first rearranges the pixels of all images by one random permutation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from weight_importance.data.tasks.task import Task, in_rounds
from weight_importance.runtime.seeding import generator

if TYPE_CHECKING:
    from weight_importance.settings.tasks import PermutedTasks


@dataclass(frozen=True)
class Permutation:
    """Rearranges the pixels of every channel by one permutation ``(height · width,)``."""

    order: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(-2)[..., self.order.to(images.device)].view(images.shape)


def permutation(number: int, seed: int, size: Sequence[int]) -> Permutation:
    """The random permutation of one round, which depends on the seed and the number of the round only."""
    return Permutation(torch.randperm(size[0] * size[1], generator=generator("permutation", seed, number)))


def sequences(
    settings: "PermutedTasks", plain: Sequence[Task], count: int, seeds: Sequence[int]
) -> list[tuple[Task, ...]]:
    """The tasks of every network, the same for all."""
    size = plain[0].training.stored.shape[-2:]
    tasks = in_rounds(plain, count, lambda number: permutation(number, settings.seed, size))
    return [tasks] * len(seeds)
