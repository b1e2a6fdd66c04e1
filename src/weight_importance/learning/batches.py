"""The batches of a task: random orders of its samples per seed, and the samples by their numbers.

The replicas of one seed take the same batches; each batch is formed once per seed.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from weight_importance.data.samples import Samples, to_inputs
from weight_importance.runtime.seeding import generator

ORDER, OTHER_ORDER = "batch order", "independent batch order"
"""The purposes of random orders: the batches of the steps, and those of independent gradients."""

Batch = tuple[Tensor, Tensor]
"""Inputs ``(B, ...)`` and labels ``(B,)``."""


class TaskData:
    """A task's training samples, as the replicas of a stack learn them.

    Args:
        seeds: of each replica.
        data: of each replica; the same object for replicas of one seed.

    Attributes:
        seeds: the S distinct seeds.
        places: of each replica the place of its seed among these.
        sizes: the number of samples of each seed.
        shared: whether all seeds learn the same samples.
    """

    def __init__(self, seeds: Sequence[int], data: Sequence[Samples]) -> None:
        self.seeds = list(dict.fromkeys(seeds))
        self.places = [self.seeds.index(seed) for seed in seeds]
        images = {samples: samples.images for samples in dict.fromkeys(data)}  # transformed once
        own = dict(zip(seeds, data, strict=True))
        self._data = [(images[own[seed]], own[seed].labels) for seed in self.seeds]
        self.sizes = [len(labels) for _, labels in self._data]
        self.shared = len(images) == 1

    @property
    def device(self) -> torch.device:
        """The device of the samples."""
        return self._data[0][1].device

    def orders(self, task: int, batch_size: int, epochs: range, purpose: str = ORDER) -> Iterator[Tensor]:
        """The sample numbers of every step, see :func:`batch_indices`."""
        return batch_indices(self.seeds, task, self.sizes, batch_size, epochs, purpose, self.device)

    def batch(self, place: int, numbers: Tensor) -> Batch:
        """The samples ``numbers`` of the seed at ``place``."""
        images, labels = self._data[place]
        return to_inputs(images.index_select(0, numbers)), labels.index_select(0, numbers)


def stacked(batches: Sequence[Batch]) -> Batch:
    """Inputs ``(G, B, ...)`` and labels ``(G, B)``; one batch alone is not copied."""
    if len(batches) == 1:
        return batches[0][0][None], batches[0][1][None]
    inputs, labels = zip(*batches, strict=True)
    return torch.stack(inputs), torch.stack(labels)


def batch_indices(
    seeds: Sequence[int],
    task: int,
    sizes: Sequence[int],
    batch_size: int,
    epochs: range,
    purpose: str = ORDER,
    device: torch.device | str = "cpu",
) -> Iterator[Tensor]:
    """Per step the sample numbers ``(S, batch_size)`` of every seed; a last, smaller batch of an epoch is dropped.

    The order depends on purpose, seed, task and epoch alone, so every estimator and every λ sees the same batches. For
    a GPU a thread draws the next epoch's order during training, and the numbers of an epoch are copied at once: a copy
    per step would make the host wait for the GPU.

    Args:
        seeds: S seeds.
        task: the task's number.
        sizes: number of samples of each seed's task; all seeds take the same number of steps.
        batch_size: samples per step.
        epochs: the numbers of the passes over the samples.
        purpose: :data:`ORDER` or :data:`OTHER_ORDER`.
        device: of the numbers.
    """

    def order(epoch: int) -> Tensor:
        orders = [torch.randperm(size, generator=generator(purpose, seed, task, epoch)) for seed, size in own]
        return torch.stack([one[: size // batch_size * batch_size] for one, size in zip(orders, sizes, strict=True)])

    own = list(zip(seeds, sizes, strict=True))
    if torch.device(device).type == "cpu":
        for epoch in epochs:
            yield from order(epoch).split(batch_size, 1)
        return
    with ThreadPoolExecutor(1) as thread:
        drawn = [thread.submit(order, epoch) for epoch in epochs[:1]]
        for epoch in epochs:
            indices = drawn.pop().result().to(device)
            if epoch + 1 in epochs:
                drawn.append(thread.submit(order, epoch + 1))
            yield from indices.split(batch_size, 1)
