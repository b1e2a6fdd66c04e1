"""The one training loop: a stack of replicas learns one task, each on its own batches, with or without a penalty.

Knows nothing of how a penalty is made, of heads, and of other tasks.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice, repeat, tee
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from weight_importance.data.samples import Samples, to_inputs
from weight_importance.estimators.path import PathRecorder
from weight_importance.learning.engine.flat import Layout
from weight_importance.learning.engine.gradients import way_to_compute
from weight_importance.learning.engine.optimiser import Optimiser, Penalty
from weight_importance.learning.replicas import Replicas
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.progress import Progress
from weight_importance.runtime.seeding import generator

if TYPE_CHECKING:
    from weight_importance.settings import Optimisation

ORDER, OTHER_ORDER = "batch order", "independent batch order"
"""The purposes of random orders: the batches of the steps, and those of :attr:`PathRecorder.needs_independent`."""


def batch_indices(
    seeds: Sequence[int],
    task: int,
    sizes: Sequence[int],
    batch_size: int,
    epochs: Iterable[int],
    purpose: str = ORDER,
) -> Iterator[Tensor]:
    """Per step the sample indices ``(S, batch_size)`` of every seed; a last, smaller batch of an epoch is dropped.

    The order depends on purpose, seed, task and epoch alone, so every estimator and every λ sees the same batches.

    Args:
        seeds: S seeds.
        task: the task's number.
        sizes: number of samples of each seed's task.
        batch_size: samples per step.
        epochs: the numbers of the passes over the samples; if they end, sizes must not differ.
        purpose: :data:`ORDER` or :data:`OTHER_ORDER`.
    """

    def batches(seed: int, size: int, epochs: Iterator[int]) -> Iterator[Tensor]:
        for epoch in epochs:
            order = torch.randperm(size, generator=generator(purpose, seed, task, epoch))
            yield from order.split(batch_size)[: size // batch_size]

    copies = zip(seeds, sizes, tee(epochs, len(seeds)), strict=True)
    yield from map(torch.stack, zip(*(batches(*each) for each in copies), strict=True))


@dataclass(frozen=True)
class Options:
    """Choices of a training beyond the task and the optimiser.

    Attributes:
        carry_adam: continue with the stack's state of Adam; otherwise the state is new.
        freeze_statistics: keep the running statistics of batch normalisation, and normalise by them.
        label_smoothing: share of the target that is spread evenly over all classes (Szegedy et al. 2016, sec. 7).
        first_epoch: the number of the first epoch, for a training that continues after so many.
        steps: the numbers of the optimiser steps to take, counted through as many epochs as they need, in place of
            whole epochs.
        progress: is notified of every step.
    """

    carry_adam: bool = False
    freeze_statistics: bool = False
    label_smoothing: float = 0.0
    first_epoch: int = 0
    steps: range | None = None
    progress: Progress | None = None


PLAIN = Options()

Batch = tuple[Tensor, Tensor]
"""Inputs ``(B, ...)`` and labels ``(B,)``."""

Data = Samples | Sequence[Samples]
"""Training images of one task, or those of several tasks: then every batch is made of equal parts, one per task."""


def train(
    replicas: Replicas,
    data: Sequence[Data],
    task: int,
    *,
    epochs: int | None = None,
    optimisation: "Optimisation",
    penalty: Penalty | None = None,
    recorder: PathRecorder | None = None,
    options: Options = PLAIN,
) -> None:
    """Train every replica on one task.

    The stack's parameters become views of one new memory, and its ``adam`` the state after the last step.

    Args:
        replicas: the stack; replicas of one seed take the same batches.
        data: each replica's training images, on the replicas' device; the same object for replicas of one seed.
        task: the task's number, part of the batch order's seed.
        epochs: passes over the data; ``None`` with ``options.steps``.
        optimisation: images per step and replica, and the step size of Adam (Kingma and Ba 2015), whose other constants
            are torch's defaults.
        penalty: added to the loss.
        recorder: receives the gradients and the displacement of every step. If it needs the gradient of an independent
            batch, that batch is drawn from the same data in a separate order, and costs as much as the step's; weights
            and buffers are the same with and without it.
        options: further choices.

    Raises:
        UserError: there are too few images for one batch.
    """
    batches = _Batches(replicas.seeds, data, task, optimisation.batch_size)
    _set_mode(replicas.template, options.freeze_statistics)
    layout = Layout({name: tensor.shape[1:] for name, tensor in replicas.parameters.items()})
    memory = layout.filled({name: tensor.detach() for name, tensor in replicas.parameters.items()})
    replicas.parameters = layout.views(memory)
    adam, replicas.adam = replicas.adam if options.carry_adam else None, None
    optimiser = Optimiser(layout, memory, optimisation.learning_rate, adam, penalty, recorder)
    gradients = kept = None
    duration = options.steps or range(options.first_epoch, options.first_epoch + epochs)
    others: Iterator[list | None] = repeat(None)
    if recorder and recorder.needs_independent:
        others = batches.steps(duration, options.steps is not None, OTHER_ORDER)
    own_order = batches.steps(duration, options.steps is not None, ORDER)
    for own_batches, other_batches in zip(own_order, others, strict=False):
        gradients = gradients or way_to_compute(replicas, layout, *own_batches[0], options.label_smoothing)
        optimiser.begin_step()
        for rows in gradients.groups:
            independent = None
            if other_batches:
                # kept apart, as the step's own gradients take the same memory
                with _buffers_left_alone(replicas, rows):
                    values = gradients(rows, *_stacked(other_batches[rows]))
                kept = torch.empty_like(values) if kept is None else kept
                independent = kept[: len(values)].copy_(values)
            own = gradients(rows, *_stacked(own_batches[rows]))
            optimiser.update(rows, own, independent)
        if options.progress:
            options.progress.step(len(replicas))
    replicas.adam = optimiser.finish()


class _Batches:
    """The batches of a task, formed once per seed.

    Args:
        seeds: of each replica.
        data: of each replica.
        task: the task's number.
        batch_size: images per step.

    Raises:
        UserError: there are too few images for one batch.
    """

    def __init__(self, seeds: Sequence[int], data: Sequence[Data], task: int, batch_size: int) -> None:
        self._task, self._seeds = task, seeds
        self._places = {seed: place for place, seed in enumerate(dict.fromkeys(seeds))}
        own = {seed: [of] if isinstance(of, Samples) else of for seed, of in zip(seeds, data, strict=True)}
        # by part of a batch, the samples of every seed
        self._parts = [*zip(*(own[seed] for seed in self._places), strict=True)]
        self._size = batch_size // len(self._parts)
        fewest = min(len(samples) for part in self._parts for samples in part)
        if not 0 < self._size <= fewest:
            raise UserError(
                f"training.batch_size is {batch_size}, but a task has {fewest} training images; lower the one or "
                "raise images.training in the config"
            )
        self._images = {samples: samples.images for part in self._parts for samples in dict.fromkeys(part)}

    def steps(self, numbers: range, are_steps: bool, purpose: str) -> Iterator[list[Batch]]:
        """Per step the batch of each replica; those of one seed are one object.

        Args:
            numbers: of the epochs to go through, or of the steps to take.
            are_steps: whether they are numbers of steps.
            purpose: :data:`ORDER` or :data:`OTHER_ORDER`.
        """
        epochs = count() if are_steps else numbers
        names = (
            [purpose] if len(self._parts) == 1 else [f"{purpose} of task {part}" for part in range(len(self._parts))]
        )
        orders = [
            batch_indices([*self._places], self._task, [*map(len, part)], self._size, epochs, name)
            for part, name in zip(self._parts, names, strict=True)
        ]
        both = zip(*orders, strict=True)
        for indices in islice(both, numbers.start, numbers.stop) if are_steps else both:
            # one seed after another: a stack of all would be copied for every replica that shares a seed
            batches = [self._batch(seed, [rows[seed] for rows in indices]) for seed in range(len(self._places))]
            yield [batches[self._places[seed]] for seed in self._seeds]

    def _batch(self, place: int, indices: Sequence[Tensor]) -> Batch:
        """The batch of one seed."""
        inputs, labels = [], []
        for part, rows in zip(self._parts, indices, strict=True):
            samples = part[place]
            chosen = rows.to(samples.labels.device)
            inputs.append(to_inputs(self._images[samples].index_select(0, chosen)))
            labels.append(samples.labels.index_select(0, chosen))
        return (inputs[0], labels[0]) if len(inputs) == 1 else (torch.cat(inputs), torch.cat(labels))


def _stacked(batches: Sequence[Batch]) -> Batch:
    """Inputs ``(G, B, ...)`` and labels ``(G, B)``; one batch alone is not copied."""
    if len(batches) == 1:
        return batches[0][0][None], batches[0][1][None]
    inputs, labels = zip(*batches, strict=True)
    return torch.stack(inputs), torch.stack(labels)


@contextmanager
def _buffers_left_alone(replicas: Replicas, rows: slice) -> Iterator[None]:
    """What a forward pass in training mode does to running statistics is undone."""
    before = {name: buffer[rows].clone() for name, buffer in replicas.buffers.items()}
    try:
        yield
    finally:
        for name, buffer in before.items():
            replicas.buffers[name][rows] = buffer


def _set_mode(network: nn.Module, freeze_statistics: bool) -> None:
    """Training mode; with frozen statistics, normalisation that keeps some stays in evaluation mode."""
    network.train()
    for module in network.modules() if freeze_statistics else ():
        if getattr(module, "running_mean", None) is not None:
            module.eval()
