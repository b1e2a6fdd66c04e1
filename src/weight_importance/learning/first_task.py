"""Training on the first task with checkpoints, by epochs or by groups of iterations."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
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
from weight_importance.runtime.optional import present
from weight_importance.runtime.progress import ProgressLine

if TYPE_CHECKING:
    from weight_importance.settings import Duration, Optimisation

SECONDS = 10.0
"""Minimum time between two checkpoints; epochs may be shorter."""

PART = 200
"""Iterations between possible checkpoints."""


def learn_first_task(
    replicas: Replicas,
    tasks: Sequence[Task],
    recorder: PathRecorder,
    *,
    duration: "Duration",
    optimisation: "Optimisation",
    label_smoothing: float = 0.0,
    first_epoch: int = 0,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train replicas on the first task from scratch, from an earlier epoch, or from a checkpoint.

    Args:
        replicas: the stack, trained for ``first_epoch`` epochs; training continues with its ``adam``, or with a new
            state if it is ``None``.
        tasks: first task of each replica.
        recorder: path recorder, including the epochs so far.
        duration: total epochs, or iterations.
        optimisation: batch size and optimiser.
        label_smoothing: share of the target spread evenly over all classes.
        first_epoch: number of epochs already trained.
        checkpoint: stores the state after an epoch, or :data:`PART` iterations, at most every :data:`SECONDS`.
    """
    data = [task.training for task in tasks]
    parts = _parts(duration)
    steps = duration.steps(len(data[0]), optimisation.batch_size)
    if first_epoch:
        steps -= recorder.steps
    progress = ProgressLine([steps], len(replicas))
    kept = checkpoint.load() if checkpoint and not first_epoch else {}
    done = first_epoch
    if kept and int(kept["parts"]) < len(parts):
        done = int(kept["parts"])
        taken = _restore(kept, replicas, recorder)
        print(f"continuing from a checkpoint, after {taken} steps", file=sys.stderr, flush=True)
        progress.skip(len(replicas), taken)
    for number, part in [*enumerate(parts)][done:]:
        options = replace(part, carry_adam=True, label_smoothing=label_smoothing, progress=progress)
        with heads(replicas, tasks) as headed:
            train(headed, data, 0, epochs=1, optimisation=optimisation, recorder=recorder, options=options)
        if checkpoint and number + 1 < len(parts) and checkpoint.due(SECONDS):
            checkpoint.save({"parts": torch.tensor(number + 1)} | _state(replicas, recorder))


def _parts(duration: "Duration") -> list[Options]:
    """Split a training into parts between checkpoints: epochs, or :data:`PART` iterations."""
    if duration.epochs:
        return [Options(first_epoch=epoch) for epoch in range(duration.epochs)]
    end = present(duration.iterations)
    return [Options(steps=range(start, min(start + PART, end))) for start in range(0, end, PART)]


def _state(replicas: Replicas, recorder: PathRecorder) -> dict[str, Tensor]:
    """Return the state of a training as one flat set of named tensors."""
    tensors = pack(replicas.buffers, replicas.adam)
    tensors |= {f"parameter/{name}": value for name, value in replicas.parameters.items()}
    for number, state in enumerate(recorder.states(replicas.parameters)):
        tensors |= {f"record {number}/{name}": value for name, value in state.items()}
    displacement = recorder.recorded()[DISPLACEMENT]
    tensors |= {f"{DISPLACEMENT}/{name}": value for name, value in displacement.items()}
    return tensors | {"steps": torch.tensor(recorder.steps)}


def _restore(tensors: Mapping[str, Tensor], replicas: Replicas, recorder: PathRecorder) -> int:
    """Restore the result of :func:`_state` in fresh replicas and an empty recorder; return the number of steps."""
    device = replicas.device

    def under(prefix: str, names: Iterable[str]) -> dict[str, Tensor]:
        return {name: tensors[f"{prefix}/{name}"].to(device) for name in names}

    names = [*replicas.parameters]
    replicas.parameters, replicas.buffers = under("parameter", names), under("buffer", replicas.buffers)
    _, replicas.adam = unpack(tensors)
    taken = int(tensors["steps"])
    records = [under(f"record {number}", names) for number in range(recorder.tensors)]
    recorder.put(records, under(DISPLACEMENT, names), taken)
    return taken
