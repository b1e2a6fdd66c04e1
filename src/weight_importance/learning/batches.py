"""Training batches: random orders of a task's samples per seed, and the samples by index.

Replicas of one seed share their batches; each batch is formed once per seed.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice, tee

import torch
from torch import Tensor

from weight_importance.data.samples import Samples, to_inputs
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.optional import present
from weight_importance.runtime.seeding import generator

ORDER, OTHER_ORDER = "batch order", "independent batch order"
"""Purposes of random orders: batches of optimiser steps, and batches of independent gradients."""

STEPS_AHEAD = 500
"""Number of steps whose sample indices a thread draws and copies to a GPU together."""

Batch = tuple[Tensor, Tensor]
"""Inputs ``(B, ...)`` and labels ``(B,)``."""

Data = Samples | Sequence[Samples]
"""Training images of one task, or of several tasks: every batch then has equal parts, one per task."""


class TaskData:
    """The training samples of a stack of replicas.

    Args:
        seeds: seed of each replica.
        data: data of each replica; the same object for replicas of one seed.
        batch_size: samples per step.

    Attributes:
        seeds: the S distinct seeds.
        places: index of each replica's seed among the distinct seeds.
        shared: whether all seeds learn the same samples of one task.

    Raises:
        UserError: too few images for one batch.
    """

    def __init__(self, seeds: Sequence[int], data: Sequence[Data], batch_size: int) -> None:
        self.seeds = list(dict.fromkeys(seeds))
        self.places = [self.seeds.index(seed) for seed in seeds]
        own = {seed: [each] if isinstance(each, Samples) else each for seed, each in zip(seeds, data, strict=True)}
        self._parts = [*zip(*(own[seed] for seed in self.seeds), strict=True)]  # per part: samples of every seed
        self._size = batch_size // len(self._parts)
        fewest = min(len(samples) for part in self._parts for samples in part)
        if not 0 < self._size <= fewest:
            raise UserError(
                f"training.batch_size is {batch_size}, but a task has {fewest} training images; lower it, or "
                "raise images.training in the config"
            )
        distinct = {samples for part in self._parts for samples in part}
        self.shared = len(distinct) == 1
        # shared images are transformed once; a transformed copy per seed could exceed the memory
        self._images = distinct.pop().images if self.shared else None

    @property
    def device(self) -> torch.device:
        """Device of the samples."""
        return self._parts[0][0].labels.device

    @property
    def batch_bytes(self) -> int:
        """Memory of the inputs of one batch."""
        first = torch.zeros(self._size * len(self._parts), dtype=torch.long, device=self.device)
        return self.batch(0, first)[0].nbytes

    def orders(self, task: int, numbers: range, are_steps: bool = False, purpose: str = ORDER) -> Iterator[Tensor]:
        """Yield the sample indices ``(S, batch_size)`` of every step on the device; see :func:`batch_indices`.

        Args:
            task: task number.
            numbers: epochs, or steps.
            are_steps: whether ``numbers`` are steps.
            purpose: :data:`ORDER` or :data:`OTHER_ORDER`.
        """
        names = [purpose]
        if len(self._parts) > 1:
            names = [f"{purpose} of task {part}" for part in range(len(self._parts))]
        orders = [
            batch_indices(self.seeds, task, [*map(len, part)], self._size, count() if are_steps else numbers, name)
            for part, name in zip(self._parts, names, strict=True)
        ]
        steps = (torch.cat(parts, 1) if len(parts) > 1 else parts[0] for parts in zip(*orders, strict=True))
        return moved(islice(steps, numbers.start, numbers.stop) if are_steps else steps, self.device)

    def batch(self, place: int, numbers: Tensor) -> Batch:
        """Return the samples ``numbers`` of the seed at ``place``."""
        inputs, labels = [], []
        for part, chosen in zip(self._parts, numbers.split(self._size), strict=True):
            samples = part[place]
            images = samples.images_at(chosen) if self._images is None else self._images.index_select(0, chosen)
            inputs.append(to_inputs(images))
            labels.append(samples.labels.index_select(0, chosen))
        return (inputs[0], labels[0]) if len(inputs) == 1 else (torch.cat(inputs), torch.cat(labels))

    def shared_batch(self, numbers: Tensor) -> Batch:
        """Return samples that all seeds share."""
        images, labels = present(self._images), self._parts[0][0].labels
        return to_inputs(images.index_select(0, numbers)), labels.index_select(0, numbers)


def stacked(batches: Sequence[Batch]) -> Batch:
    """Stack batches to inputs ``(G, B, ...)`` and labels ``(G, B)``, without a copy of a single batch."""
    if len(batches) == 1:
        return batches[0][0][None], batches[0][1][None]
    inputs, labels = zip(*batches, strict=True)
    return torch.stack(inputs), torch.stack(labels)


def batch_indices(
    seeds: Sequence[int],
    task: int,
    sizes: Sequence[int],
    batch_size: int,
    epochs: Iterable[int],
    purpose: str = ORDER,
) -> Iterator[Tensor]:
    """Yield the sample indices ``(S, batch_size)`` of every step; an epoch's last, smaller batch is dropped.

    The order depends only on purpose, seed, task and epoch, so every estimator and every λ sees the same batches.

    Args:
        seeds: S seeds.
        task: task number.
        sizes: number of samples of each seed's task.
        batch_size: samples per step.
        epochs: epoch numbers; if finite, all seeds must take equally many steps.
        purpose: :data:`ORDER` or :data:`OTHER_ORDER`.
    """

    def batches(seed: int, size: int, epochs: Iterator[int]) -> Iterator[Tensor]:
        for epoch in epochs:
            order = torch.randperm(size, generator=generator(purpose, seed, task, epoch))
            yield from order.split(batch_size)[: size // batch_size]

    copies = zip(seeds, sizes, tee(epochs, len(seeds)), strict=True)
    yield from map(torch.stack, zip(*(batches(*each) for each in copies), strict=True))


def moved(steps: Iterator[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield the sample indices of every step on a device.

    For a GPU a thread draws the next steps during training and copies the indices of many steps together: one copy per
    step would make the host wait for the GPU.
    """
    if device.type == "cpu":
        yield from steps
        return

    def draw() -> list[Tensor]:
        return list(islice(steps, STEPS_AHEAD))

    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(draw)
        while drawn := waiting.result():
            waiting = thread.submit(draw)
            yield from torch.stack(drawn).to(device)
