"""Settings and result tables of studies that several tests share."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
import torch

from weight_importance.data.samples import Samples
from weight_importance.data.tasks.registry import Sequences, sequences
from weight_importance.data.tasks.task import Task
from weight_importance.files.tables import COLUMNS
from weight_importance.findings.statistics import select_lambda
from weight_importance.findings.study import Findings
from weight_importance.paper.claims import ABLATIONS
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
"""The simplest settings for learning later tasks."""


def retention_job(**changes: object) -> RetentionJob:
    """Settings of retention for functions that receive networks and tasks."""
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
        "optimisation": Optimisation(batch_size=10, learning_rate=1e-2),
        "samples": 20,
        "learning": LaterTasks(images=None, **LEARNING),
        "lambdas": [1.0],
    }
    return RetentionJob(**settings | changes)


def small_tasks(seeds: list[int]) -> Sequences:
    """Three permuted tasks of images of 4 × 4 pixels, four classes of different brightness."""
    random = torch.Generator().manual_seed(0)

    def samples(count: int) -> Samples:
        labels = torch.randint(4, (count,), generator=random)
        images = torch.rand(count, 4, 4, generator=random) * 150 + labels[:, None, None] * 25
        return Samples(images.to(torch.uint8), labels)

    plain = Task(samples(60), samples(20), samples(80))
    return sequences(PermutedTasks(kind="permuted", count=3, seed=1), [plain], seeds)


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
"""A study with the scale and the protocol of the published study."""


def configuration(studies: Mapping[str, Study], claims: str = "required") -> Configuration:
    """A configuration of these studies, with the defaults of the published one."""
    defaults = {name: getattr(PUBLISHED, name) for name in ("seeds", "first_seed", "shard_size", "estimators")}
    return Configuration(**defaults, studies=dict(studies), correlation=Correlation(permutations=4), claims=claims)


def changed(study: Study, **changes: object) -> Study:
    """A study with changed settings; those of a section as a dictionary: ``retention={"epochs": 1}``."""
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


TRANSFORMS = {
    "rank_one": 0.9, "in_order_of_factors": 0.9, "tensor_mean": 0.8, "input_factor": 0.85, "output_factor": 0.8,
    "shuffled": 0.7, "shuffled_within_neuron": 0.7, "reversed": 0.6,
}  # fmt: skip
"""Average accuracy of ablations for which the claims hold; the estimator has 0.9, no penalty 0.5."""


def ablations(
    changed: dict[str, float] | None = None,
    strengths: tuple[float, ...] = (1.0, 10.0, 100.0),
    seeds: Iterable[int] = range(5),
) -> Findings:
    """The study of ablations, in which the middle strength is best for all conditions."""
    estimators = ("fisher_empirical", "mas")
    levels = {f"{name}({estimator})": level for name, level in TRANSFORMS.items() for estimator in estimators}
    levels |= {"fisher_empirical": 0.9, "mas": 0.9} | (changed or {})
    noise = np.random.default_rng(3).normal(size=(2, 100, 20)) * 0.001

    def accuracy(name: str, strength: float, seed: int, learnt: int, task: int, split: str) -> float:
        level = 0.5 if name == "none" else levels[name] - 0.2 * (strength != 10.0)
        return level + noise[0, 0, seed] + 0.1 * noise[1, sum(map(ord, name)) % 100, seed]

    runs = [(ABLATIONS, name, strength) for name in levels for strength in strengths]
    table = retention_table([*runs, (ABLATIONS, "none", 0.0)], seeds, accuracy)
    return Findings({"retention": table, "selected_lambda": select_lambda(table)})
