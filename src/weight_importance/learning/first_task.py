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
"""Shortest time between two checkpoints; epochs may be shorter."""


def learn_first_task(
    replicas: Replicas,
    tasks: Sequence[Task],
    recorder: PathRecorder,
    *,
    epochs: int,
    optimisation: "Optimisation",
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train freshly initialised replicas on the first task, or continue from a checkpoint.

    Args:
        replicas: the stack; ``adam`` is the state after the last step.
        tasks: the first task of each replica.
        recorder: of the optimiser's path; empty.
        epochs: passes over the training images.
        optimisation: batches and the optimiser.
        checkpoint: keeps the state after an epoch, at most every :data:`SECONDS`.
    """
    done = 0
    data = [task.training for task in tasks]
    progress = ProgressLine([len(data[0]) // optimisation.batch_size * epochs], len(replicas))
    if kept := checkpoint.load() if checkpoint else {}:
        done = int(kept["epochs"])
        _restore(kept, replicas, recorder)
        print(f"continuing from a checkpoint, after {done} of {epochs} epochs", file=sys.stderr, flush=True)
        progress.skip(len(replicas), replicas.adam.steps)
    for epoch in range(done, epochs):
        options = Options(carry_adam=epoch > 0, first_epoch=epoch, progress=progress)
        with heads(replicas, tasks) as headed:
            train(headed, data, 0, epochs=1, optimisation=optimisation, recorder=recorder, options=options)
        if checkpoint and epoch + 1 < epochs and checkpoint.due(SECONDS):
            checkpoint.save({"epochs": torch.tensor(epoch + 1)} | _state(replicas, recorder))


def _state(replicas: Replicas, recorder: PathRecorder) -> dict[str, Tensor]:
    """The state of a training, as one flat set of named tensors."""
    tensors = pack(replicas.buffers, replicas.adam)
    tensors |= {f"parameter/{name}": value for name, value in replicas.parameters.items()}
    for number, state in enumerate(recorder.states(replicas.parameters)):
        tensors |= {f"record {number}/{name}": value for name, value in state.items()}
    displacement = recorder.recorded()[DISPLACEMENT]
    return tensors | {f"{DISPLACEMENT}/{name}": value for name, value in displacement.items()}


def _restore(tensors: Mapping[str, Tensor], replicas: Replicas, recorder: PathRecorder) -> None:
    """Restore the result of :func:`_state` in fresh replicas and an empty recorder."""
    device = replicas.device

    def under(prefix: str, names: Iterable[str]) -> dict[str, Tensor]:
        return {name: tensors[f"{prefix}/{name}"].to(device) for name in names}

    names = [*replicas.parameters]
    replicas.parameters, replicas.buffers = under("parameter", names), under("buffer", replicas.buffers)
    _, replicas.adam = unpack(tensors)
    records = [under(f"record {number}", names) for number in range(recorder.tensors)]
    recorder.put(records, under(DISPLACEMENT, names), replicas.adam.steps)
