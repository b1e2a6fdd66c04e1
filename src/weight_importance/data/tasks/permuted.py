"""Permuted tasks: each round after the first applies one random pixel permutation to all images."""

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
        return images.flatten(-2).index_select(-1, self.order).view(images.shape)

    def to(self, device: torch.device) -> "Permutation":
        """Copy the permutation to a device; a copy at every call could not be part of a CUDA graph."""
        return Permutation(self.order.to(device))


def permutation(number: int, seed: int, size: Sequence[int]) -> Permutation:
    """Draw the permutation of one round, which depends only on the seed and the round's number."""
    return Permutation(torch.randperm(size[0] * size[1], generator=generator("permutation", seed, number)))


def sequences(
    settings: "PermutedTasks", plain: Sequence[Task], count: int, seeds: Sequence[int]
) -> list[tuple[Task, ...]]:
    """Return the tasks of every network: the same for all with a seed in the settings, otherwise one per seed."""
    images = plain[0].training.stored
    fixed = getattr(settings, "seed", 0)  # settings of the first task have no seed, as it has no permutation
    drawn = [seed if fixed is None else fixed for seed in seeds]

    def of_seed(seed: int) -> tuple[Task, ...]:
        return in_rounds(plain, count, lambda number: permutation(number, seed, images.shape[-2:]).to(images.device))

    tasks = {seed: of_seed(seed) for seed in dict.fromkeys(drawn)}
    return [tasks[seed] for seed in drawn]
