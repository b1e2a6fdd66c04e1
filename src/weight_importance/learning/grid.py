"""Retention over a grid of seeds and penalty strengths, in blocks that fit into memory.

The accuracies of each finished cell are stored next to the result, so that a job with one more strength computes only
this strength. Results of a cell do not depend on the other cells of its block.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from weight_importance.data.tasks.registry import Sequences
from weight_importance.estimators.registry import recorder
from weight_importance.files.checkpoint import Checkpoint
from weight_importance.learning.importance import path_estimators
from weight_importance.learning.replicas import Replicas
from weight_importance.learning.retention import Run, Weighting, observed
from weight_importance.runtime.device import replica_bytes
from weight_importance.runtime.progress import ProgressLine

if TYPE_CHECKING:
    from weight_importance.settings import RetentionJob

ROWS_KEPT = 14
"""Numbers per parameter that a replica needs in training: weights, Adam's means, anchor, importances, a record, ..."""

Cell = tuple[int, float]
"""A seed and a penalty strength."""


@dataclass(frozen=True)
class Observation:
    """Accuracy on one task's split after ``tasks_learnt`` tasks (``nan`` after divergence)."""

    seed: int
    strength: float
    tasks_learnt: int
    task: int
    split: str
    accuracy: float


@dataclass(frozen=True)
class Kept:
    """Files that a job stores next to its result.

    Attributes:
        state: state of a block after its latest task; removed when the result is complete.
        finished: accuracies of all finished cells; kept after the job.
    """

    state: Checkpoint
    finished: Checkpoint


def retention(
    baseline: Replicas,
    tasks: Sequences,
    weighting: Weighting,
    job: "RetentionJob",
    kept: Kept | None = None,
    most_bytes: int | None = None,
) -> list[Observation]:
    """Learn tasks 2, 3, ... from the baseline under consolidation, for every seed and every strength λ.

    After each task its importance is computed and combined with the earlier ones, and the anchor moves. A diverged
    replica continues as ``nan`` and affects no other.

    Args:
        baseline: S replicas with S distinct seeds, trained on the first task; with Adam's state if ``job.carry_adam``.
        tasks: tasks of each of the S replicas.
        weighting: the importances that the penalty uses.
        job: the settings, with the strengths.
        kept: results and states of earlier runs; continuing from them gives bitwise the same results as an
            uninterrupted run.
        most_bytes: memory for the replicas of a block; by default
            :func:`weight_importance.runtime.device.replica_bytes`.

    Returns:
        The accuracies of :func:`weight_importance.learning.retention.observed` for every seed and strength.
    """
    seeds = baseline.seeds
    names = observed(len(tasks[0]), job.after_every_task)
    finished = _finished(kept, job.lambdas)
    missing = [strength for strength in job.lambdas if any((seed, float(strength)) not in finished for seed in seeds)]
    if missing and len(missing) < len(job.lambdas):
        held = [strength for strength in job.lambdas if strength not in missing]
        print(
            f"λ = {_listed(held)}: kept from an earlier run; computing {_listed(missing)}", file=sys.stderr, flush=True
        )
    steps = _steps(tasks, job)
    progress = ProgressLine(steps, len(seeds) * len(missing), first_task=1)
    for rows, columns in blocks(len(seeds), len(missing), _most(baseline, weighting, most_bytes)):
        cells = [(seeds[row], float(missing[column])) for row in rows for column in columns]
        if all(cell in finished for cell in cells):
            progress.skip(len(cells), sum(steps))
            continue
        spread = [row for row in rows for _ in columns]
        run = Run(
            baseline.take(spread),
            [tasks[row] for row in spread],
            [strength for _, strength in cells],
            weighting.take(spread),
            job,
            observed=names,
            most_images=job.earlier_test_images,
        )
        _learn(run, cells, steps, progress, kept)
        finished |= dict(zip(cells, run.accuracies, strict=True))
        if kept:
            values = {f"{seed} {strength!r}": each for (seed, strength), each in finished.items()}
            kept.finished.save({name: torch.tensor(each, dtype=torch.float64) for name, each in values.items()})
    return [
        Observation(seed, strength, *name, finished[seed, float(strength)][place])
        for place, name in enumerate(names)
        for seed in seeds
        for strength in job.lambdas
    ]


def _learn(run: Run, cells: Sequence[Cell], steps: Sequence[int], progress: ProgressLine, kept: Kept | None) -> None:
    """Train a block on all tasks, from its saved state if there is one."""
    numbers = torch.tensor(cells, dtype=torch.float64)
    state = kept.state.load() if kept else {}
    if state and torch.equal(state["cells"], numbers):
        run.resume(state)
        print(f"continuing from a checkpoint, after {run.learnt} tasks", file=sys.stderr, flush=True)
        progress.skip(len(cells), sum(steps[: run.learnt - 1]))
    else:
        run.begin()
    while run.learnt < len(run.tasks[0]):
        run.learn_next(progress)
        if kept and run.learnt < len(run.tasks[0]):
            kept.state.save(run.state() | {"cells": numbers})


def _finished(kept: Kept | None, strengths: Sequence[float]) -> dict[Cell, list[float]]:
    """Load the accuracies of finished cells, for these strengths only."""
    finished: dict[Cell, list[float]] = {}
    wanted = {float(strength) for strength in strengths}
    for name, values in (kept.finished.load() if kept else {}).items():
        seed, strength = name.split()
        if float(strength) in wanted:
            finished[int(seed), float(strength)] = values.tolist()
    return finished


def _most(baseline: Replicas, weighting: Weighting, most_bytes: int | None) -> int:
    """Count the replicas that fit into memory."""
    paths = path_estimators(weighting.estimators)
    records = recorder(*paths).tensors - 1 if paths else 0
    one = (ROWS_KEPT + records) * sum(tensor[0].nbytes for tensor in baseline.parameters.values())
    return max(1, (most_bytes or replica_bytes(baseline.device)) // one)


def _listed(strengths: Sequence[float]) -> str:
    return ", ".join(f"{strength:g}" for strength in strengths)


def _steps(tasks: Sequences, job: "RetentionJob") -> list[int]:
    """Count the optimiser steps of every task after the first."""
    sizes = (len(task.training.at_most(job.learning.images)) for task in tasks[0][1:])
    return [job.learning.steps(size, job.optimisation.batch_size) for size in sizes]


def blocks(seeds: int, strengths: int, most: int) -> list[tuple[list[int], list[int]]]:
    """Split the grid of seeds × strengths into rectangles of at most ``most`` cells, with whole seeds if they fit.

    Returns:
        ``(indices of seeds, indices of strengths)`` per rectangle.
    """
    if not strengths:
        return []
    columns = min(strengths, most)
    rows = max(1, most // columns) if columns == strengths else 1
    return [
        ([*range(row, min(row + rows, seeds))], [*range(column, min(column + columns, strengths))])
        for row in range(0, seeds, rows)
        for column in range(0, strengths, columns)
    ]
