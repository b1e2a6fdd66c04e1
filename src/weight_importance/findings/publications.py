"""Published average accuracies on split and permuted MNIST: the tables and the settings behind them.

Knows the columns of the files; their README documents their origin. Comparisons are in ``benchmarks``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from weight_importance.files.derivation import Rows, Values, rows
from weight_importance.findings.published import differing, intervals_of_runs, read
from weight_importance.settings import FullyConnected, Study

METHODS = {
    "none": "no penalty",
    "l2": "L2",
    "ewc": "EWC",
    "online_ewc": "online EWC",
    "si": "SI",
    "mas": "MAS",
    "joint": "joint training",
}
"""Published methods and their names in tables and figures, in display order."""

SCENARIOS = ("task", "domain", "class")
"""Task-, domain- and class-incremental learning."""

Setup = tuple[tuple[tuple[str, ...], object, str], ...]
"""Path of keys in a study's settings, published value (a range: any of these), and name of the setting in words."""

ALL: Setup = (
    (("datasets",), ("mnist",), "data sets"),
    (("images", "training"), None, "training images"),
    (("images", "test"), None, "test images"),
    (("protocol", "carry_adam"), True, "state of Adam carried from task to task"),
    (("protocol", "penalised_path"), False, "penalty in the gradient of path estimators"),
    (("importance", "samples"), None, "images for importances"),
    (("retention", "images"), None, "training images of each later task"),
)
"""Settings common to the publications."""


def _training(unit: str, length: int, batch: int, rate: float, penalty: str) -> Setup:
    return (
        (("training", unit), length, f"{unit} for the first task"),
        (("retention", unit), length, f"{unit} for each later task"),
        (("training", "batch_size"), batch, "images per step"),
        (("training", "learning_rate"), rate, "step size"),
        (("retention", "penalty"), penalty, "penalty"),
    )


def _inputs(padding: int, mean: float = 0.0, sd: float = 1.0) -> Setup:
    return (
        (("inputs", "padding"), padding, "padding of images"),
        (("inputs", "mean"), mean, "mean of pixels"),
        (("inputs", "sd"), sd, "standard deviation of pixels"),
    )


def _tasks(network: object, **tasks: object) -> Setup:
    words = {"classes": "classes of a task", "count": "tasks", "order": "order of classes"}
    return (("network",), network, "network"), *((("tasks", key), value, words[key]) for key, value in tasks.items())


@dataclass(frozen=True)
class Publication:
    """Published table.

    Attributes:
        name: name of the publication and its benchmark.
        authors: authors as cited in text.
        table: file name in the folder of published results, without extension.
        columns: columns of the file, and their types.
        kind: kind of tasks.
        setup: published settings.
        only: column values that select the rows of the benchmark.
        names: the authors' names of methods if they differ from :data:`METHODS`.
        strength: column of λ; ``None`` if it was not published.
    """

    name: str
    authors: str
    table: str
    columns: Mapping[str, type]
    kind: str
    setup: Setup
    only: Mapping[str, Values] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    strength: str | None = None

    def departures(self, settings: Study) -> list[str]:
        """Settings in which a study departs from the published ones: ``training images: 5000 instead of all``."""
        return differing(settings, (*ALL, *self.setup))

    def rows(self, method: str, scenario: str, tasks_learnt: int) -> Rows:
        """Rows of the file for one method in one scenario after a number of tasks."""
        published_name = {own: name for name, own in self.names.items()}.get(method, method)
        conditions: dict[str, Values] = {"method": published_name, "scenario": scenario, "tasks_learnt": tasks_learnt}
        return rows(self.table, **self.only, **{name: conditions[name] for name in conditions if name in self.columns})

    def accuracies(self, folder: str | Path) -> pd.DataFrame:
        """Average accuracies with 95 % t intervals over runs; see :func:`published`."""
        frame = read(folder, self.table, self.columns)
        for column, value in self.only.items():
            frame = frame[frame[column] == value]
        frame = frame.reset_index(drop=True)
        if "method" not in frame:  # a table of SI only; λ = 0 is training without a penalty
            frame = frame.assign(method=np.where(frame[self.strength] > 0, "si", "none"), scenario="domain")
        table = frame[["method", "scenario"]].replace({"method": dict(self.names)}).assign(publication=self.name)
        table["lambda"] = frame[self.strength].fillna(0.0) if self.strength else np.nan
        table["tasks_learnt"] = frame.get("tasks_learnt", np.nan)
        runs = frame["runs"]
        sd = frame["sd"] if "sd" in frame else frame["sem"] * np.sqrt(runs) if "sem" in frame else runs * np.nan
        return table.join(intervals_of_runs(frame["average_accuracy"], sd, runs))


_van_de_ven = partial(
    Publication,
    authors="van de Ven and Tolias (2018)",
    table="vandeven-tolias-2018",
    columns={"benchmark": str, "scenario": str, "method": str, "runs": int, "average_accuracy": float, "sem": float},
    names={"offline": "joint"},
)

PUBLICATIONS = (
    Publication(
        name="hsu-2018-split-mnist",
        authors="Hsu et al. (2018)",
        table="hsu-2018-split-mnist",
        columns={"method": str, "scenario": str, "penalty_strength": float, "runs": int}
        | {"average_accuracy": float, "sd": float},
        kind="split",
        setup=_tasks(FullyConnected(kind="mlp", hidden=(400, 400)), classes=2, count=5, order="fixed")
        + _inputs(2, 0.1, 0.2752)
        + _training("epochs", 4, 128, 0.001, "plain"),
        names={"none_adam": "none", "offline": "joint"},
        strength="penalty_strength",
    ),
    _van_de_ven(
        name="vandeven-tolias-2018-split-mnist",
        kind="split",
        setup=_tasks(FullyConnected(kind="mlp", hidden=(400, 400)), classes=2, count=5, order="per_seed")
        + _inputs(0)
        + _training("iterations", 2000, 128, 0.001, "halved"),
        only={"benchmark": "split_mnist"},
    ),
    _van_de_ven(
        name="vandeven-tolias-2018-permuted-mnist",
        kind="permuted",
        setup=_tasks(FullyConnected(kind="mlp", hidden=(1000, 1000)), count=10)
        + _inputs(2)
        + _training("iterations", 5000, 128, 0.0001, "halved"),
        only={"benchmark": "permuted_mnist"},
    ),
    Publication(
        name="zenke-2017-permuted-mnist",
        authors="Zenke et al. (2017)",
        table="zenke-2017-permuted-mnist",
        columns={"c": float, "tasks_learnt": int, "runs": int, "average_accuracy": float},
        kind="permuted",
        setup=_tasks("mlp_wide", count=range(2, 11)) + _inputs(0) + _training("epochs", 20, 256, 0.001, "plain"),
        strength="c",
    ),
)


def published(folder: str | Path) -> pd.DataFrame:
    """All published average accuracies over the tasks learnt so far with 95 % t intervals over runs.

    Returns:
        columns ``publication``, ``method``, ``scenario``, ``lambda`` (``nan``: not published; 0 for joint training),
        ``tasks_learnt`` (``nan``: published after the last task only), ``mean``, ``low``, ``high``, ``n``.
    """
    return pd.concat([each.accuracies(folder) for each in PUBLICATIONS], ignore_index=True)


def nearest(settings: Study) -> Publication | None:
    """Publication with the fewest departures from a study's settings; ``None`` for other kinds of tasks."""
    candidates = [each for each in PUBLICATIONS if each.kind == settings.tasks.kind]
    return min(candidates, key=lambda each: len(each.departures(settings)), default=None)


def named(name: str) -> Publication:
    """Publication called ``name``."""
    return next(each for each in PUBLICATIONS if each.name == name)
