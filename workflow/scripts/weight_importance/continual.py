"""Importances of whole stacks, and retention: elastic weight consolidation continued over later tasks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from weight_importance.consolidation import Consolidation
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.registry import estimate, load, recorder
from weight_importance.replicas import Replicas
from weight_importance.seeding import generator
from weight_importance.tasks import Split, TaskSequence, to_inputs
from weight_importance.training import ProgressLine, accuracy, train


def stacked_importance(
    estimator: str, replicas: Replicas, data: Split, seeds: Sequence[int], task: int
) -> dict[str, Tensor]:
    """A moment or state estimator's importance of every replica.

    Args:
        estimator: its name.
        replicas: the stack.
        data: the samples to average over.
        seeds: the seed of each replica ``(R)``; label sampling depends on it and on the task.
        task: the task's number.

    Returns:
        parameter name → ``(R, *shape)``.
    """
    inputs = to_inputs(data.images)
    values = [
        estimate(
            estimator,
            replicas.network(replica),
            inputs,
            data.labels,
            generator=generator("label sampling", seed, task),
        )
        for replica, seed in enumerate(seeds)
    ]
    return {name: torch.stack([value[name] for value in values]) for name in replicas.parameters}


@dataclass(frozen=True)
class Observation:
    """Accuracy of one replica on one task's split after ``tasks_learnt`` tasks (``nan``: its training diverged)."""

    replica: int
    tasks_learnt: int
    task: int
    split: str
    accuracy: float


def retention(
    baseline: Replicas,
    seeds: Sequence[int],
    strengths: Sequence[float],
    estimator: str | None,
    importance: Mapping[str, Tensor] | None,
    tasks: TaskSequence,
    *,
    samples: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    clamp_negative: bool,
) -> Iterator[Observation]:
    """Learn tasks 2, 3, ... from the baseline under consolidation, for every seed and every λ at once.

    Replica ``s · len(strengths) + l`` is seed s under strength l. After each task the importance is computed on it
    anew, added to the sum, and the anchor moves. A replica that diverges goes on as ``nan`` and disturbs no other.

    Args:
        baseline: S replicas that have learnt task 1.
        seeds: their S seeds.
        strengths: the λ grid.
        estimator: its name, or ``None`` for training without a penalty.
        importance: the estimator's importance on task 1, ``(S, *shape)`` per parameter; ``None`` without estimator.
        tasks: the sequence.
        samples: training images over which importances are averaged.
        epochs: per task.
        batch_size: images per step.
        learning_rate: of Adam, whose state is fresh for every task.
        clamp_negative: see :class:`weight_importance.consolidation.Consolidation`.

    Yields:
        Accuracies on every task learnt so far, validation and test, after every task.
    """
    copies = len(strengths)
    spread = [index for index in range(len(seeds)) for _ in range(copies)]
    replica_seeds = [seeds[index] for index in spread]
    replicas = baseline.take(spread)
    consolidation = None
    if estimator is not None:
        device = next(iter(replicas.parameters.values())).device
        consolidation = Consolidation(torch.tensor([*strengths] * len(seeds), device=device), clamp_negative)
        consolidation.task_learnt(
            replicas.parameters, {name: values[spread].to(device) for name, values in importance.items()}
        )
    is_path = estimator is not None and isinstance(load(estimator), PathEstimator)
    progress = ProgressLine(len(tasks), len(tasks.splits.training) // batch_size * epochs, len(replicas), first_task=1)
    yield from _observe(replicas, tasks, 1)
    for task in range(1, len(tasks)):
        data = tasks.part(task, "training")
        watcher = recorder(estimator) if is_path else None
        train(
            replicas,
            seeds,
            data,
            task,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            penalty=consolidation and consolidation.penalty(),
            recorder=watcher,
            progress=progress,
        )
        yield from _observe(replicas, tasks, task + 1)
        if consolidation and task + 1 < len(tasks):
            values = (
                watcher.importance()
                if watcher
                else stacked_importance(estimator, replicas, data.last(samples), replica_seeds, task)
            )
            consolidation.task_learnt(replicas.parameters, values)


def _observe(replicas: Replicas, tasks: TaskSequence, learnt: int) -> Iterator[Observation]:
    for task in range(learnt):
        for split in ("validation", "test"):
            for replica, value in enumerate(accuracy(replicas, tasks.part(task, split))):
                yield Observation(replica, learnt, task + 1, split, value)
