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
from weight_importance.training_state import AdamState


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
        parameter name → ``(R, *shape)``; ``nan`` for a replica that has diverged.
    """
    inputs = to_inputs(data.images)
    values = {name: torch.full_like(tensor, torch.nan) for name, tensor in replicas.parameters.items()}
    for replica in replicas.finite().nonzero()[:, 0].tolist():
        found = estimate(
            estimator,
            replicas.network(replica),
            inputs,
            data.labels,
            generator=generator("label sampling", seeds[replica], task),
        )
        for name, value in found.items():
            values[name][replica] = value
    return values


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
    images: int | None,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    clamp_negative: bool,
    penalty: str,
    batch_norm: str,
    published: bool,
    adam: AdamState | None = None,
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
        images: to train on in each task, at most (the last ones of its split); ``None`` for all.
        epochs: per task.
        batch_size: images per step.
        learning_rate: of Adam.
        clamp_negative: see :class:`weight_importance.consolidation.Consolidation`.
        penalty: the same.
        batch_norm: ``running`` lets the running statistics of batch normalisation follow every task (they belong to no
            penalty), ``frozen`` keeps those of the first task.
        published: follow the published protocol, which carries Adam's state from task to task and feeds path
            estimators the penalised gradient; else Adam is fresh for every task and the gradient the loss's own.
        adam: with ``published``, Adam's state after task 1 of the S replicas.

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
        consolidation = Consolidation(
            torch.tensor([*strengths] * len(seeds), device=device), clamp_negative, penalty, learning_rate
        )
        consolidation.task_learnt(
            replicas.parameters, {name: values[spread].to(device) for name, values in importance.items()}
        )
    is_path = estimator is not None and isinstance(load(estimator), PathEstimator)
    steps = [min(size, images or size) // batch_size * epochs for size in tasks.training_sizes()[1:]]
    progress = ProgressLine(steps, len(replicas), first_task=1)
    adam = adam and adam.take(spread)
    yield from _observe(replicas, tasks, 1)
    for task in range(1, len(tasks)):
        data = tasks.part(task, "training").at_most(images)
        watcher = recorder(estimator) if is_path else None
        reached = train(
            replicas,
            seeds,
            data,
            task,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            penalty=consolidation and consolidation.penalty(),
            recorder=watcher,
            record_penalty=published,
            freeze_statistics=batch_norm == "frozen",
            adam=adam,
            progress=progress,
        )
        adam = reached if published else None
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
