"""Importances of whole stacks, and retention: elastic weight consolidation continued over later tasks."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from weight_importance.data.tasks import Split, TaskSequence, to_inputs
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.registry import estimate, load, recorder
from weight_importance.files.checkpoint import Checkpoint
from weight_importance.files.trained import AdamState, pack, unpack
from weight_importance.learning.evaluation import accuracy
from weight_importance.learning.loop import train
from weight_importance.learning.penalty import Consolidation
from weight_importance.learning.replicas import Replicas
from weight_importance.runtime.device import replica_bytes
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.progress import ProgressLine, counted
from weight_importance.runtime.seeding import generator


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
    finite = replicas.finite().nonzero()[:, 0].tolist()
    for replica in counted(finite, len(finite), f"networks: {estimator} of task {task + 1}"):
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


@dataclass(frozen=True)
class Learning:
    """How the later tasks are learnt.

    Attributes:
        samples: training images over which importances are averaged.
        images: to train on in each task, at most (the last ones of its split); ``None`` for all.
        epochs: per task.
        batch_size: images per step.
        learning_rate: of Adam.
        clamp_negative: see :class:`weight_importance.learning.penalty.Consolidation`.
        penalty: the same.
        accumulation: the same.
        decay: the same.
        batch_norm: ``running`` lets the running statistics of batch normalisation follow every task (they belong to no
            penalty), ``frozen`` keeps those of the first task.
        published: follow the published protocol, which carries Adam's state from task to task and forms path
            estimators as its authors do (SI with the penalised gradient); else Adam is fresh for every task.
    """

    samples: int
    images: int | None
    epochs: int
    batch_size: int
    learning_rate: float
    clamp_negative: bool
    penalty: str
    batch_norm: str
    published: bool
    accumulation: str = "sum"
    decay: float = 1.0


SPLITS = ("validation", "test")

Stacked = Mapping[str, Tensor]
"""Parameter name → ``(R, *shape)``."""

Ablation = Callable[[Sequence[Stacked], Sequence[int], int], Stacked]
"""``(one importance per estimator, seed of each replica, task) -> what weighs the penalty instead``."""

ROWS_KEPT = 14
"""Numbers per parameter that a replica keeps while it learns: weights, Adam's means, anchor, importances, one record of
the path, ..."""


def retention(
    baseline: Replicas,
    seeds: Sequence[int],
    strengths: Sequence[float],
    estimators: Sequence[str],
    importances: Sequence[Stacked],
    tasks: TaskSequence,
    learning: Learning,
    adam: AdamState | None = None,
    most_bytes: int | None = None,
    ablation: Ablation | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[Observation]:
    """Learn tasks 2, 3, ... from the baseline under consolidation, for every seed and every λ at once.

    Replica ``s · len(strengths) + l`` is seed s under strength l. After each task the importance is computed on it
    anew, added to the sum, and the anchor moves. A replica that diverges goes on as ``nan`` and disturbs no other.
    Where memory does not hold all replicas they learn in blocks, one block after another; no replica's results depend
    on the others of its block.

    Args:
        baseline: S replicas that have learnt task 1.
        seeds: their S seeds.
        strengths: the λ grid.
        estimators: the name of the estimator whose importances weigh the penalty; none for training without a penalty;
            several, of which one at most is a path estimator, for an ablation to make one importance of.
        importances: of every estimator the importance on task 1, ``(S, *shape)`` per parameter.
        tasks: the sequence.
        learning: how they are learnt.
        adam: with ``learning.published``, Adam's state after task 1 of the S replicas.
        most_bytes: that the replicas of a block keep; by default as many as
            :func:`weight_importance.runtime.device.replica_bytes` grants.
        ablation: of every task's importances, negative ones counted as zero first where the penalty does so.
        checkpoint: keeps what is reached after every task, and where it holds something, that is gone on from: with the
            same bits as without an interruption.

    Returns:
        Accuracies on every task learnt so far, validation and test, after every task, in the order of tasks learnt,
        task, split and replica.

    Raises:
        UserError: two of the estimators are path estimators.
    """
    paths = [name for name in estimators if isinstance(load(name), PathEstimator)]
    if len(paths) > 1:
        raise UserError(
            f"{' and '.join(paths)} are path estimators, of which an ablation takes one at most; name another estimator"
        )
    device = next(iter(baseline.parameters.values())).device
    records = recorder(paths[0]).tensors - 1 if paths else 0
    one = (ROWS_KEPT + records) * sum(tensor[0].nbytes for tensor in baseline.parameters.values())
    most = max(1, (most_bytes or replica_bytes(device)) // one)
    steps = _steps(tasks, learning)
    progress = ProgressLine(steps, len(seeds) * len(strengths), first_task=1)
    rectangles = blocks(len(seeds), len(strengths), most)
    all_numbers = [
        [row * len(strengths) + column for row in rows for column in columns] for rows, columns in rectangles
    ]
    first, reached, seen = _kept(checkpoint, all_numbers)
    for numbers in all_numbers[:first]:
        progress.skip(len(numbers), sum(steps))
    for block in range(first, len(rectangles)):
        rows, columns = rectangles[block]
        if reached:
            progress.skip(len(all_numbers[block]), sum(steps[: reached.learnt - 1]))
        for state, found in _learn(
            baseline.take(rows),
            [seeds[row] for row in rows],
            all_numbers[block],
            [strengths[column] for column in columns],
            estimators,
            [{name: values[rows] for name, values in importance.items()} for importance in importances],
            tasks,
            learning,
            adam and adam.take(rows),
            progress,
            ablation,
            reached,
        ):
            seen += found
            finished = state.learnt == len(tasks)
            if checkpoint and state.learnt > 1 and block + finished < len(rectangles):
                tensors = {} if finished else state.packed()
                checkpoint.save(tensors | _packed(block + finished, all_numbers[block + finished], seen))
        reached = None
    return sorted(seen, key=lambda each: (each.tasks_learnt, each.task, SPLITS.index(each.split), each.replica))


@dataclass(frozen=True)
class _Reached:
    """What a block is gone on from after a task.

    Attributes:
        learnt: how many tasks are.
        parameters, buffers: of its replicas.
        importance: what the penalty's are accumulated to; empty without a penalty.
        adam: its state, where it is carried on.
    """

    learnt: int
    parameters: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    importance: Mapping[str, Tensor]
    adam: AdamState | None

    def packed(self) -> dict[str, Tensor]:
        """All of it as one flat set of named tensors."""
        tensors = {"learnt": torch.tensor(self.learnt)} | pack(self.buffers, self.adam)
        tensors |= {f"parameter/{name}": value for name, value in self.parameters.items()}
        return tensors | {f"importance/{name}": value for name, value in self.importance.items()}


def _packed(block: int, numbers: Sequence[int], seen: Sequence[Observation]) -> dict[str, Tensor]:
    """The block to go on with, its replicas' numbers, and all observations so far."""
    places = [[each.replica, each.tasks_learnt, each.task, SPLITS.index(each.split)] for each in seen]
    return {
        "block": torch.tensor(block),
        "numbers": torch.tensor(numbers),
        "seen/places": torch.tensor(places),
        "seen/accuracies": torch.tensor([each.accuracy for each in seen], dtype=torch.float64),
    }


def _kept(
    checkpoint: Checkpoint | None, all_numbers: Sequence[Sequence[int]]
) -> tuple[int, _Reached | None, list[Observation]]:
    """What to go on from: the number of a block, what is reached in it if it has begun, and all seen before."""
    tensors = checkpoint.load() if checkpoint else {}
    if not tensors:
        return 0, None, []
    block = int(tensors["block"])
    if block >= len(all_numbers) or tensors["numbers"].tolist() != list(all_numbers[block]):
        return 0, None, []  # other blocks, as another amount of memory is free now
    places = zip(tensors["seen/places"].tolist(), tensors["seen/accuracies"].tolist(), strict=True)
    seen = [Observation(*numbers, SPLITS[split], accuracy) for (*numbers, split), accuracy in places]
    reached = None
    if "learnt" in tensors:

        def under(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        learnt = int(tensors["learnt"])
        reached = _Reached(learnt, under("parameter/"), unpack(tensors)[0], under("importance/"), unpack(tensors)[1])
    done = f", after {reached.learnt} tasks" if reached else ""
    print(f"going on from a checkpoint: block {block + 1} of {len(all_numbers)}{done}", file=sys.stderr, flush=True)
    return block, reached, seen


def _steps(tasks: TaskSequence, learning: Learning) -> list[int]:
    """Optimiser steps of every task after the first."""
    sizes = (min(size, learning.images or size) for size in tasks.training_sizes()[1:])
    return [size // learning.batch_size * learning.epochs for size in sizes]


def blocks(seeds: int, strengths: int, most: int) -> list[tuple[list[int], list[int]]]:
    """The grid of seeds × strengths cut into rectangles of at most ``most`` cells, whole seeds where they fit.

    Returns:
        ``(indices of seeds, indices of strengths)`` of every rectangle.
    """
    columns = min(strengths, most)
    rows = max(1, most // columns) if columns == strengths else 1
    return [
        ([*range(row, min(row + rows, seeds))], [*range(column, min(column + columns, strengths))])
        for row in range(0, seeds, rows)
        for column in range(0, strengths, columns)
    ]


def _learn(
    baseline: Replicas,
    seeds: Sequence[int],
    numbers: Sequence[int],
    strengths: Sequence[float],
    estimators: Sequence[str],
    importances: Sequence[Stacked],
    tasks: TaskSequence,
    learning: Learning,
    adam: AdamState | None,
    progress: ProgressLine,
    ablation: Ablation | None,
    reached: _Reached | None,
) -> Iterator[tuple[_Reached, list[Observation]]]:
    """One block of :func:`retention`, task by task; ``numbers`` are its replicas' indices in the whole.

    Yields:
        after every task what can be gone on from, valid until the next one, and what is observed then.
    """
    spread = [index for index in range(len(seeds)) for _ in strengths]
    replica_seeds = [seeds[index] for index in spread]
    replicas = baseline.take(spread)
    device = next(iter(replicas.parameters.values())).device
    consolidation = None
    if estimators:
        consolidation = Consolidation(
            torch.tensor([*strengths] * len(seeds), device=device),
            learning.clamp_negative,
            learning.penalty,
            learning.learning_rate,
            learning.accumulation,
            learning.decay,
        )
    if reached:
        # in the network's order of names, which the file does not keep
        parameters, importance = (
            {name: values[name].to(device) for name in replicas.parameters if name in values}
            for values in (reached.parameters, reached.importance)
        )
        replicas.parameters = parameters
        replicas.buffers = {name: reached.buffers[name].to(device) for name in replicas.buffers}
        if consolidation:
            consolidation.go_on_from(reached.learnt, parameters, importance)
        adam = reached.adam
    else:
        if consolidation:
            values = _weighing(importances, seeds, 0, learning, ablation)
            consolidation.task_learnt(
                replicas.parameters, {name: value[spread].to(device) for name, value in values.items()}
            )
        adam = adam and adam.take(spread)

    def state(learnt: int) -> _Reached:
        importance = consolidation.importance if consolidation else {}
        return _Reached(learnt, replicas.parameters, replicas.buffers, importance, adam)

    paths = [name for name in estimators if isinstance(load(name), PathEstimator)]
    if not reached:
        yield state(1), [*_observe(replicas, numbers, tasks, 1)]
    for task in range(reached.learnt if reached else 1, len(tasks)):
        data = tasks.part(task, "training").at_most(learning.images)
        watcher = recorder(paths[0], learning.published) if paths else None
        after = train(
            replicas,
            seeds,
            data,
            task,
            epochs=learning.epochs,
            batch_size=learning.batch_size,
            learning_rate=learning.learning_rate,
            penalty=consolidation and consolidation.penalty(),
            recorder=watcher,
            freeze_statistics=learning.batch_norm == "frozen",
            adam=adam,
            progress=progress,
        )
        adam = after if learning.published else None
        seen = [*_observe(replicas, numbers, tasks, task + 1)]
        if consolidation and task + 1 < len(tasks):
            fresh = [
                watcher.importance()
                if name in paths
                else stacked_importance(name, replicas, data.last(learning.samples), replica_seeds, task)
                for name in estimators
            ]
            values = _weighing(fresh, replica_seeds, task, learning, ablation)
            consolidation.task_learnt(replicas.parameters, values)
        yield state(task + 1), seen


def _weighing(
    importances: Sequence[Stacked], seeds: Sequence[int], task: int, learning: Learning, ablation: Ablation | None
) -> Stacked:
    """What a task adds to the weights of the penalty: the estimator's importance, or the ablation of it."""
    if ablation is None:
        return importances[0]
    if learning.clamp_negative:  # before, so that the ablation keeps what the penalty is weighed by
        importances = [{name: values.clamp_min(0) for name, values in of.items()} for of in importances]
    return ablation(importances, seeds, task)


def _observe(replicas: Replicas, numbers: Sequence[int], tasks: TaskSequence, learnt: int) -> Iterator[Observation]:
    for task in range(learnt):
        for split in SPLITS:
            values = accuracy(replicas, tasks.part(task, split))
            for number, value in zip(numbers, values, strict=True):
                yield Observation(number, learnt, task + 1, split, value)
