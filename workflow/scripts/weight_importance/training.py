"""The one training loop: a stack of replicas learns one task, each on its own batches, with or without a penalty."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat

import torch
from torch import Tensor, nn

from weight_importance.batch_gradients import batch_gradients
from weight_importance.checkpoint import Checkpoint
from weight_importance.consolidation import QuadraticPenalty
from weight_importance.errors import UserError
from weight_importance.estimators.path import DISPLACEMENT, PathRecorder
from weight_importance.flat import Layout
from weight_importance.optimiser import Optimiser
from weight_importance.progress import Progress, ProgressLine
from weight_importance.replicas import Replicas
from weight_importance.seeding import generator
from weight_importance.tasks import Split
from weight_importance.training_state import AdamState, pack, unpack

ORDER, OTHER_ORDER = "batch order", "independent batch order"
"""What the batches of the steps are drawn for, and those of :attr:`PathRecorder.needs_independent`."""


SECONDS = 10.0
"""Between two checkpoints of a training that go by epochs, which may be short."""


def batch_indices(
    seeds: Sequence[int],
    task: int,
    samples: int,
    batch_size: int,
    epochs: int,
    first_epoch: int = 0,
    purpose: str = ORDER,
    device: torch.device | None = None,
) -> Iterator[Tensor]:
    """Per step the sample indices ``(S, batch_size)`` of every seed; a last, smaller batch of an epoch is dropped.

    The order depends on purpose, seed, task and epoch alone, so every estimator and every λ sees the same batches.
    With a GPU as the device a thread draws the next epoch's order while this one is trained on, and an epoch's indices
    travel at once: a copy per step would make the host wait for the GPU.
    """

    def order(epoch: int) -> Tensor:
        orders = [torch.randperm(samples, generator=generator(purpose, seed, task, epoch)) for seed in seeds]
        return torch.stack(orders)[:, : samples // batch_size * batch_size]

    numbers = range(first_epoch, first_epoch + epochs)
    if device is None or device.type == "cpu":
        for epoch in numbers:
            yield from order(epoch).split(batch_size, 1)
        return
    with ThreadPoolExecutor(1) as thread:
        drawn = [thread.submit(order, epoch) for epoch in numbers[:1]]
        for epoch in numbers:
            indices = drawn.pop().result().to(device)
            if epoch + 1 in numbers:
                drawn.append(thread.submit(order, epoch + 1))
            yield from indices.split(batch_size, 1)


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
        others = batch_indices(seeds, task, *span, purpose=OTHER_ORDER, device=device)
    for indices, other in zip(batch_indices(seeds, task, *span, device=device), others, strict=False):
        gradients = gradients or batch_gradients(replicas, layout, data, copies, indices, label_smoothing)
        batches = gradients.load(indices)
        other_batches = None if other is None else gradients.load(other)
        optimiser.begin_step()
        for rows in gradients.groups:
            independent = None
            if other_batches is not None:
                # kept apart, as the step's own gradients take the same memory
                with _buffers_left_alone(replicas, rows):
                    found = gradients(rows, other_batches)
                kept = torch.empty_like(found) if kept is None else kept
                independent = kept[: len(found)].copy_(found)
            optimiser.update(rows, gradients(rows, batches), independent)
        if progress:
            progress.step(len(replicas))
    return optimiser.finish()


def train_by_epochs(
    replicas: Replicas,
    seeds: Sequence[int],
    data: Split,
    task: int,
    recorder: PathRecorder,
    checkpoint: Checkpoint | None = None,
    *,
    epochs: int,
    progress: ProgressLine | None = None,
    **options: float,
) -> AdamState:
    """:func:`train`, epoch by epoch: what is reached is kept (at most every :data:`SECONDS`), and gone on from.

    Args:
        replicas: freshly initialised.
        seeds, data, task, progress: see :func:`train`.
        recorder: nothing is recorded in it yet.
        checkpoint: keeps what is reached.
        epochs: passes over the data.
        options: ``batch_size`` and ``learning_rate``.
    """
    kept = checkpoint.load() if checkpoint else {}
    adam, done = None, 0
    if kept:
        done = int(kept["epochs"])
        adam = _go_on_from(kept, replicas, recorder)
        print(f"going on from a checkpoint, after {done} of {epochs} epochs", file=sys.stderr, flush=True)
    if kept and progress:
        progress.skip(len(replicas), adam.steps)
    for epoch in range(done, epochs):
        adam = train(
            replicas, seeds, data, task, epochs=1, first_epoch=epoch, adam=adam, recorder=recorder, progress=progress,
            **options,
        )  # fmt: skip
        if checkpoint and epoch + 1 < epochs and checkpoint.due(SECONDS):
            checkpoint.save({"epochs": torch.tensor(epoch + 1)} | _reached(replicas, recorder, adam))
    return adam


def _reached(replicas: Replicas, recorder: PathRecorder, adam: AdamState) -> dict[str, Tensor]:
    """All that a training goes on from, as one flat set of named tensors."""
    tensors = pack(replicas.buffers, adam)
    tensors |= {f"parameter/{name}": value for name, value in replicas.parameters.items()}
    for number, state in enumerate(recorder.states(replicas.parameters)):
        tensors |= {f"record {number}/{name}": value for name, value in state.items()}
    displacement = recorder.recorded()[DISPLACEMENT]
    return tensors | {f"{DISPLACEMENT}/{name}": value for name, value in displacement.items()}


def _go_on_from(tensors: Mapping[str, Tensor], replicas: Replicas, recorder: PathRecorder) -> AdamState:
    """Put what :func:`_reached` made of them into fresh replicas and a fresh recorder; returns Adam's state."""
    device = next(iter(replicas.parameters.values())).device

    def under(prefix: str, names: Iterable[str]) -> dict[str, Tensor]:
        return {name: tensors[f"{prefix}/{name}"].to(device) for name in names}

    names = [*replicas.parameters]
    replicas.parameters, replicas.buffers = under("parameter", names), under("buffer", replicas.buffers)
    _, adam = unpack(tensors)
    recorder.put(
        [under(f"record {number}", names) for number in range(recorder.tensors)], under(DISPLACEMENT, names), adam.steps
    )
    return adam


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
