"""The one training loop: a stack of replicas learns one task, each on its own batches, with or without a penalty."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat

import torch
from torch import Tensor, nn

from weight_importance.consolidation import QuadraticPenalty
from weight_importance.errors import UserError
from weight_importance.estimators.path import PathRecorder
from weight_importance.flat import Layout
from weight_importance.gradients import way_to_compute
from weight_importance.optimiser import Optimiser
from weight_importance.progress import Progress
from weight_importance.replicas import Replicas
from weight_importance.seeding import generator
from weight_importance.tasks import Split, to_inputs
from weight_importance.training_state import AdamState

ORDER, OTHER_ORDER = "batch order", "independent batch order"
"""What the batches of the steps are drawn for, and those of :attr:`PathRecorder.needs_independent`."""


def batch_indices(
    seeds: Sequence[int],
    task: int,
    samples: int,
    batch_size: int,
    epochs: int,
    first_epoch: int = 0,
    purpose: str = ORDER,
) -> Iterator[Tensor]:
    """Per step the sample indices ``(S, batch_size)`` of every seed; a last, smaller batch of an epoch is dropped.

    The order depends on purpose, seed, task and epoch alone, so every estimator and every λ sees the same batches.
    """
    for epoch in range(first_epoch, first_epoch + epochs):
        orders = [torch.randperm(samples, generator=generator(purpose, seed, task, epoch)) for seed in seeds]
        yield from torch.stack(orders)[:, : samples // batch_size * batch_size].split(batch_size, 1)


def train(
    replicas: Replicas,
    seeds: Sequence[int],
    data: Split,
    task: int,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    penalty: QuadraticPenalty | None = None,
    recorder: PathRecorder | None = None,
    freeze_statistics: bool = False,
    label_smoothing: float = 0.0,
    first_epoch: int = 0,
    adam: AdamState | None = None,
    progress: Progress | None = None,
) -> AdamState:
    """Train every replica on one task; the stack's parameters become views of one new memory.

    Args:
        replicas: the stack; R must be a multiple of the number of seeds, replicas of one seed standing together.
        seeds: the S seeds that order the batches; replica r uses ``seeds[r // (R // S)]``.
        data: the training images, on the replicas' device.
        task: the task's number, part of the batch order's seed.
        epochs: passes over the data.
        batch_size: images per step and replica.
        learning_rate: of Adam (Kingma and Ba 2015), its other constants at torch's defaults.
        penalty: added to the loss.
        recorder: is fed the gradients and the displacement of every step. Where it needs the gradient of an
            independent batch, that is drawn from the same data in an order of its own, and costs as much as the
            step's; weights and buffers come out the same with and without.
        freeze_statistics: keep the running statistics of batch normalisation, and normalise by them.
        label_smoothing: share of the target that is spread evenly over all classes (Szegedy et al. 2016, sec. 7).
        first_epoch: the number of the first epoch, where a training goes on that was left after so many.
        adam: the state to go on from; fresh if there is none.
        progress: is told about every step.

    Returns:
        Adam's state after the last step.

    Raises:
        UserError: there are too few images for one batch.
    """
    if len(data) < batch_size:
        raise UserError(
            f"training.batch_size is {batch_size}, but a task has {len(data)} training images; lower the one or raise "
            "images.training in the config"
        )
    copies = len(replicas) // len(seeds)
    device = data.labels.device
    _set_mode(replicas.template, freeze_statistics)
    layout = Layout({name: tensor.shape[1:] for name, tensor in replicas.parameters.items()})
    memory = layout.filled({name: tensor.detach() for name, tensor in replicas.parameters.items()})
    replicas.parameters = layout.views(memory)
    optimiser = Optimiser(layout, memory, learning_rate, adam, penalty, recorder)
    gradients = kept = None
    span = len(data), batch_size, epochs, first_epoch
    others: Iterator[Tensor | None] = repeat(None)
    if recorder and recorder.needs_independent:
        others = batch_indices(seeds, task, *span, purpose=OTHER_ORDER)
    for indices, other in zip(batch_indices(seeds, task, *span), others, strict=False):
        # of every seed, one after another: a stack of all would be copied for every replica that shares a seed
        batches = [_batch(data, row) for row in indices.to(device)]
        other_batches = None if other is None else [_batch(data, row) for row in other.to(device)]
        gradients = gradients or way_to_compute(replicas, layout, *batches[0], label_smoothing)
        optimiser.begin_step()
        for rows in gradients.groups:
            seed_of_row = [replica // copies for replica in range(rows.start, rows.stop)]
            independent = None
            if other_batches:
                # kept apart, as the step's own gradients take the same memory
                with _buffers_left_alone(replicas, rows):
                    found = gradients(rows, *_stacked([other_batches[seed] for seed in seed_of_row]))
                kept = torch.empty_like(found) if kept is None else kept
                independent = kept[: len(found)].copy_(found)
            own = gradients(rows, *_stacked([batches[seed] for seed in seed_of_row]))
            optimiser.update(rows, own, independent)
        if progress:
            progress.step(len(replicas))
    return optimiser.finish()


def _batch(data: Split, indices: Tensor) -> tuple[Tensor, Tensor]:
    return to_inputs(data.images.index_select(0, indices)), data.labels.index_select(0, indices)


def _stacked(batches: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
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
