"""Training on the first task, epoch by epoch, with checkpoints."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from weight_importance.data.tasks.task import Task
from weight_importance.estimators.path import DISPLACEMENT, PathRecorder
from weight_importance.files.checkpoint import Checkpoint
from weight_importance.files.trained import pack, unpack
from weight_importance.learning.heads import heads
from weight_importance.learning.loop import Options, train
from weight_importance.learning.replicas import Replicas
from weight_importance.runtime.progress import ProgressLine

if TYPE_CHECKING:
    from weight_importance.settings import Optimisation

SECONDS = 10.0
"""Least time between two checkpoints, as epochs may be short."""


def learn_first_task(
    replicas: Replicas,
    tasks: Sequence[Task],
    recorder: PathRecorder,
    *,
    epochs: range,
    optimisation: "Optimisation",
    label_smoothing: float = 0.0,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train replicas on the first task, from the beginning, or on from an earlier epoch or from a checkpoint.

    Args:
        replicas: the stack, trained for ``epochs.start`` epochs; ``adam`` is the state after the last step.
        tasks: the first task of each replica.
        recorder: of the optimiser's path; has recorded the epochs so far.
        epochs: the numbers of the passes over the training images.
        optimisation: batches and the optimiser.
        label_smoothing: share of the target that is spread evenly over all classes.
        checkpoint: keeps the state after an epoch, at most every :data:`SECONDS`.
    """
    data = [task.training for task in tasks]
    steps = len(data[0]) // optimisation.batch_size
    progress = ProgressLine([steps * len(epochs)], len(replicas))
    kept = checkpoint.load() if checkpoint and epochs.start == 0 else {}
    if kept and int(kept["epochs"]) in epochs[1:]:
        done = int(kept["epochs"])
        _restore(kept, replicas, recorder)
        print(f"continuing from a checkpoint, after {done} of {epochs.stop} epochs", file=sys.stderr, flush=True)
        progress.skip(len(replicas), steps * (done - epochs.start))
        epochs = range(done, epochs.stop)
    for epoch in epochs:
        options = Options(carry_adam=epoch > 0, label_smoothing=label_smoothing, first_epoch=epoch, progress=progress)
        with heads(replicas, tasks) as headed:
            train(headed, data, 0, epochs=1, optimisation=optimisation, recorder=recorder, options=options)
        if checkpoint and epoch + 1 < epochs.stop and checkpoint.due(SECONDS):
            checkpoint.save({"epochs": torch.tensor(epoch + 1)} | _state(replicas, recorder))


def _state(replicas: Replicas, recorder: PathRecorder) -> dict[str, Tensor]:
    """Everything that a training continues from, as one flat set of named tensors."""
    tensors = pack(replicas.buffers, replicas.adam)
    tensors |= {f"parameter/{name}": value for name, value in replicas.parameters.items()}
    for number, state in enumerate(recorder.states(replicas.parameters)):
        tensors |= {f"record {number}/{name}": value for name, value in state.items()}
    displacement = recorder.recorded()[DISPLACEMENT]
    return tensors | {f"{DISPLACEMENT}/{name}": value for name, value in displacement.items()}


def _restore(tensors: Mapping[str, Tensor], replicas: Replicas, recorder: PathRecorder) -> None:
    """Restore what :func:`_state` returned, in fresh replicas and an empty recorder."""
    device = replicas.device

    def under(prefix: str, names: Iterable[str]) -> dict[str, Tensor]:
        return {name: tensors[f"{prefix}/{name}"].to(device) for name in names}

    names = [*replicas.parameters]
    replicas.parameters, replicas.buffers = under("parameter", names), under("buffer", replicas.buffers)
    _, replicas.adam = unpack(tensors)
    records = [under(f"record {number}", names) for number in range(recorder.tensors)]
    recorder.put(records, under(DISPLACEMENT, names), replicas.adam.steps)
