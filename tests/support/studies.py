"""Settings of studies, and tables of what came out of them, that several tests begin with."""

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from weight_importance.files.tables import COLUMNS
from weight_importance.settings import (
    KUTALEV_LAPINA,
    Configuration,
    Correlation,
    Images,
    Importance,
    LaterTasks,
    Optimisation,
    PermutedTasks,
    Pruning,
    Retention,
    RetentionJob,
    Study,
    Training,
)

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


PUBLISHED = Study(
    analyses=("correlation", "retention", "pruning", "variants", "reproduction"),
    seeds=3,
    first_seed=0,
    shard_size=3,
    estimators=("fisher_empirical", "mas", "si"),
    network="mlp",
    datasets=("mnist",),
    tasks=PermutedTasks(kind="permuted", count=10, seed=0),
    images=Images(training=None, validation=5000, test=None),
    protocol=KUTALEV_LAPINA,
    training=Training(epochs=6, batch_size=100, learning_rate=0.001),
    importance=Importance(samples=5000),
    retention=Retention(
        images=None,
        epochs=6,
        clamp_negative=False,
        accumulation="sum",
        decay=0.9,
        penalty="plain",
        batch_norm="running",
        seeds=None,
        unpenalised=True,
        lambdas={"fisher_empirical": (10.0, 41.0), "mas": (1.0, 4.5), "si": (0.1, 1.0)},
    ),
    pruning=Pruning(fractions=(0.0, 0.5, 0.9)),
)
"""A study with the scale and the protocol of the published one."""


def configuration(studies: Mapping[str, Study], claims: str = "required") -> Configuration:
    """A configuration of these studies, with the defaults of the published one."""
    defaults = {name: getattr(PUBLISHED, name) for name in ("seeds", "first_seed", "shard_size", "estimators")}
    return Configuration(**defaults, studies=dict(studies), correlation=Correlation(permutations=4), claims=claims)


def changed(study: Study, **changes: object) -> Study:
    """A study with some settings changed; those of a section as a dictionary: ``retention={"epochs": 1}``."""
    values = {
        key: getattr(study, key).model_copy(update=value) if isinstance(value, dict) else value
        for key, value in changes.items()
    }
    return study.model_copy(update=values)


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
