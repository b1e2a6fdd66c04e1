"""The training loop: a stack of replicas learns one task, each on its own batches, with or without a penalty.

Knows nothing of the construction of penalties, of heads, and of other tasks.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, repeat
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from weight_importance.estimators.path import PathRecorder
from weight_importance.learning.batches import OTHER_ORDER, Data, TaskData
from weight_importance.learning.engine.batch_gradients import batch_gradients
from weight_importance.learning.engine.flat import Layout
from weight_importance.learning.engine.optimiser import Optimiser, QuadraticPenalty
from weight_importance.learning.replicas import Replicas
from weight_importance.runtime.optional import present
from weight_importance.runtime.progress import Progress

if TYPE_CHECKING:
    from weight_importance.settings import Optimisation

BLOCK = 16
"""Largest number of consecutive steps of one replica before the next replica's turn.

Its weights, Adam's state and penalty then stay in the processor's cache. The results do not depend on it.
"""

BLOCK_BYTES = 2**24
"""Memory bound on the batches of a block; at least one batch."""


@dataclass(frozen=True)
class Options:
    """Training options beyond the task and the optimiser.

    Attributes:
        carry_adam: continue with the stack's Adam state; otherwise start with a new state.
        freeze_statistics: keep the running statistics of batch normalisation, and normalise by them.
        label_smoothing: share of the target spread evenly over all classes (Szegedy et al. 2016, sec. 7).
        first_epoch: number of the first epoch, for a continued training.
        steps: optimiser steps to take instead of whole epochs, counted across epochs.
        progress: is notified of finished steps.
    """

    carry_adam: bool = False
    freeze_statistics: bool = False
    label_smoothing: float = 0.0
    first_epoch: int = 0
    steps: range | None = None
    progress: Progress | None = None


PLAIN = Options()


def train(
    replicas: Replicas,
    data: Sequence[Data],
    task: int,
    *,
    epochs: int | None = None,
    optimisation: "Optimisation",
    penalty: QuadraticPenalty | None = None,
    recorder: PathRecorder | None = None,
    options: Options = PLAIN,
) -> None:
    """Train every replica on one task.

    The stack's parameters become views of a new memory, and its ``adam`` the state after the last step.

    Args:
        replicas: the stack; replicas of one seed take the same batches.
        data: each replica's training images, on the replicas' device; the same object for replicas of one seed.
        task: task number, part of the batch order's seed.
        epochs: passes over the data; ``None`` with ``options.steps``.
        optimisation: images per step and replica, and the step size of Adam (Kingma and Ba 2015); its other constants
            are torch's defaults.
        penalty: penalty in the loss.
        recorder: receives the gradients and the displacement of every step. An independent batch, if needed, is drawn
            from the same data in a separate order and costs a second gradient; it changes neither weights nor buffers.
        options: further options.

    Raises:
        UserError: too few images for one batch.
    """
    samples = TaskData(replicas.seeds, data, optimisation.batch_size)
    _set_mode(replicas.template, options.freeze_statistics)
    layout = Layout({name: tensor.shape[1:] for name, tensor in replicas.parameters.items()})
    memory = layout.filled({name: tensor.detach() for name, tensor in replicas.parameters.items()})
    replicas.parameters = layout.views(memory)
    adam, replicas.adam = replicas.adam if options.carry_adam else None, None
    optimiser = Optimiser(layout, memory, optimisation.learning_rate, adam, penalty, recorder)
    gradients = kept = None
    duration = options.steps or range(options.first_epoch, options.first_epoch + present(epochs))
    order = task, duration, options.steps is not None
    others: Iterator[Tensor | None] = repeat(None)
    if recorder and recorder.needs_independent:
        others = samples.orders(*order, OTHER_ORDER)
    steps = enumerate(zip(samples.orders(*order), others, strict=False), 1)
    size = max(1, min(BLOCK, BLOCK_BYTES // samples.batch_bytes))
    while block := list(islice(steps, size)):
        gradients = gradients or batch_gradients(replicas, layout, samples, block[0][1][0], options.label_smoothing)
        computed = [
            (number, gradients.on(indices), None if other_indices is None else gradients.on(other_indices))
            for number, (indices, other_indices) in block
        ]
        # replicas of one seed are adjacent, so that each batch is formed once
        for rows in sorted(gradients.groups, key=lambda rows: samples.places[rows.start]):
            for number, of_rows, of_other_batches in computed:
                independent = None
                if of_other_batches:
                    # a copy, because the step's own gradients use the same memory
                    with _buffers_left_alone(replicas, rows):
                        values = of_other_batches(rows)
                    kept = torch.empty_like(values) if kept is None else kept
                    independent = kept[: len(values)].copy_(values)
                optimiser.update(rows, number, of_rows(rows), independent)
        if options.progress:
            options.progress.steps(len(block), len(replicas))
    replicas.adam = optimiser.finish()


@contextmanager
def _buffers_left_alone(replicas: Replicas, rows: slice) -> Iterator[None]:
    """Restore running statistics after forward passes in training mode."""
    before = {name: buffer[rows].clone() for name, buffer in replicas.buffers.items()}
    try:
        yield
    finally:
        for name, buffer in before.items():
            replicas.buffers[name][rows] = buffer


def _set_mode(network: nn.Module, freeze_statistics: bool) -> None:
    """Enter training mode; with frozen statistics, layers with running statistics stay in evaluation mode."""
    network.train()
    for module in network.modules() if freeze_statistics else ():
        if getattr(module, "running_mean", None) is not None:
            module.eval()
