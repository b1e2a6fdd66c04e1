"""Settings of studies, and tables of what came out of them, that several tests begin with."""

from collections.abc import Callable, Iterable

import pandas as pd

from weight_importance.files.tables import COLUMNS
from weight_importance.settings import Images, LaterTasks, Optimisation, PermutedTasks, RetentionJob

LEARNING = {
    "epochs": 1,
    "clamp_negative": True,
    "accumulation": "sum",
    "decay": 1.0,
    "penalty": "plain",
    "batch_norm": "running",
}
"""How later tasks are learnt: the plainest way."""


def retention_job(learning: LaterTasks, optimisation: Optimisation, **changes: object) -> RetentionJob:
    """The settings of retention for functions that are given networks and tasks themselves."""
    settings = {
        "study": "s",
        "seeds": [0],
        "network": "mlp",
        "datasets": ["mnist_subset"],
        "tasks": PermutedTasks(kind="permuted", count=3, seed=0),
        "images": Images(training=10, validation=10, test=10),
        "train_on_validation": False,
        "carry_adam": False,
        "penalised_path": False,
        "samples": 10,
        "lambdas": [1.0],
    }
    return RetentionJob(**settings | {"learning": learning, "optimisation": optimisation} | changes)


PUBLISHED = {
    "network": "mlp",
    "datasets": ["mnist"],
    "protocol": "published",
    "tasks": {"kind": "permuted", "count": 10},
    "images": {"training": None, "validation": 5000, "test": None},
    "training": {"epochs": 6, "batch_size": 100, "learning_rate": 0.001},
    "importance": {"samples": 5000},
    "retention": {
        "images": None,
        "epochs": 6,
        "penalty": "plain",
        "batch_norm": "running",
        "clamp_negative": False,
        "accumulation": "sum",
    },
}
"""A study as it was published: its scale, and how it was done."""


def retention_table(
    runs: Iterable[tuple[str, str, float]],
    seeds: Iterable[int],
    accuracy: Callable[[str, float, int, int, int, str], float],
    tasks: int = 3,
) -> pd.DataFrame:
    """A table of retention.

    Args:
        runs: study, estimator and strength of each.
        seeds: of every run.
        accuracy: ``(estimator, strength, seed, tasks learnt, task, split) -> accuracy``.
        tasks: that are learnt one after the other.
    """
    rows = [
        (study, name, strength, seed, learnt, task, split, accuracy(name, strength, seed, learnt, task, split))
        for study, name, strength in runs
        for seed in seeds
        for learnt in range(1, tasks + 1)
        for task in range(1, learnt + 1)
        for split in ("validation", "test")
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["retention"]))
