"""Split MNIST in three scenarios next to the published results of Hsu et al. (2018), with tests of equivalence.

Works on tidy tables in memory and on studies' settings; knows nothing of drawing or LaTeX.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from weight_importance.files.derivation import Rows, rows
from weight_importance.findings.published import differing, intervals_of_runs, read
from weight_importance.findings.reproduction import MARGIN, OUTCOMES, judge
from weight_importance.findings.statistics import (
    deviation,
    difference,
    equivalence,
    final_accuracy,
    intervals,
    paired,
    part,
)
from weight_importance.settings import FullyConnected, Study

TABLE = "hsu-2018-split-mnist"
PUBLISHED = {
    "method": str,
    "scenario": str,
    "penalty_strength": float,
    "runs": int,
    "average_accuracy": float,
    "sd": float,
}
"""Columns of the authors' table."""

METHODS = {
    "none_adam": "no penalty",
    "l2": "L2",
    "ewc": "EWC",
    "online_ewc": "online EWC",
    "si": "SI",
    "mas": "MAS",
    "offline": "joint training",
}
"""The published methods, in the order in which tables and figures show them, and their names there."""

SCENARIOS = ("task", "domain", "class")
"""Task-, domain- and class-incremental learning."""

SETUP = (
    (("network",), FullyConnected(kind="mlp", hidden=(400, 400)), "network"),
    (("datasets",), ("mnist",), "data sets"),
    (("tasks", "classes"), 2, "classes of a task"),
    (("tasks", "count"), 5, "tasks"),
    (("tasks", "order"), "fixed", "order of classes"),
    (("inputs", "padding"), 2, "padding of images"),
    (("inputs", "mean"), 0.1, "mean of pixels"),
    (("inputs", "sd"), 0.2752, "standard deviation of pixels"),
    (("images", "training"), None, "training images"),
    (("images", "test"), None, "test images"),
    (("protocol", "carry_adam"), True, "state of Adam carried from task to task"),
    (("protocol", "penalised_path"), False, "penalty in the gradient of path estimators"),
    (("training", "epochs"), 4, "epochs for the first task"),
    (("training", "batch_size"), 128, "images per step"),
    (("training", "learning_rate"), 0.001, "step size"),
    (("importance", "samples"), None, "images for importances"),
    (("retention", "images"), None, "training images of each later task"),
    (("retention", "epochs"), 4, "epochs for each later task"),
    (("retention", "penalty"), "plain", "penalty"),
)
"""Path of keys in a study's settings, the published value, and the name of the setting in words."""

ACCUMULATION = {"fisher_predicted": {"per_task": "ewc", "sum": "online_ewc"}, "l2": {"mean": "l2"}} | {
    "si": {"sum": "si"},
    "mas_batched": {"sum": "mas"},
}
"""The published method by estimator and accumulation of importances."""

COLUMNS = (
    "scenario", "method", "study", "estimator", "lambda",
    "mean_ours", "low_ours", "high_ours", "n_ours", "mean_published", "low_published", "high_published", "n_published",
    "mean_difference", "low_difference", "high_difference", "tost_p", "outcome", "verdict",
)  # fmt: skip


def method(settings: Study, estimator: str) -> str | None:
    """The published method that an estimator is in a study; ``None`` for what was not published."""
    unpenalised = {"none": "none_adam", "joint": "offline"}
    return unpenalised.get(estimator) or ACCUMULATION.get(estimator, {}).get(settings.retention.accumulation)


def departures(settings: Study) -> list[str]:
    """The settings in which a study departs from the published one: ``training images: 10000 instead of all``."""
    return differing(settings, SETUP)


def published(folder: str | Path) -> pd.DataFrame:
    """The published average accuracies with 95 % t intervals over runs.

    Returns:
        columns ``method``, ``scenario``, ``lambda``, ``mean``, ``low``, ``high``, ``n``; λ of joint training is 0.
    """
    frame = read(folder, TABLE, PUBLISHED)
    named = frame[["method", "scenario"]].assign(**{"lambda": frame["penalty_strength"].fillna(0.0)})
    return named.join(intervals_of_runs(frame["average_accuracy"], frame["sd"], frame["runs"]))


def published_rows(name: str, scenario: str) -> Rows:
    """The rows of the authors' table on one method in one scenario."""
    return rows(TABLE, method=name, scenario=scenario)


def split_studies(settings: Mapping[str, Study]) -> dict[str, Study]:
    """Those of some studies that learn split tasks, and have analyses."""
    return {
        name: study
        for name, study in settings.items()
        if study.tasks.kind == "split" and study.retention and study.analyses
    }


def final(settings: Mapping[str, Study], retention: pd.DataFrame) -> pd.DataFrame:
    """Average test accuracies after the last task, with ``scenario`` and ``method``; unpublished methods are left out.

    Args:
        settings: by study.
        retention: the table ``retention`` of these studies.
    """
    parts = []
    for name, study in split_studies(settings).items():
        own = retention[retention["study"] == name]
        if len(own):
            found = final_accuracy(own, "test")
            methods = [method(study, estimator) for estimator in found["estimator"]]
            parts.append(found.assign(scenario=study.tasks.scenario, method=methods).dropna(subset="method"))
    columns = ["study", "estimator", "lambda", "seed", "accuracy", "scenario", "method"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def compared(settings: Mapping[str, Study], retention: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Every published value that this run has a counterpart of at the same λ, each in one row.

    Args:
        settings: by study.
        retention: the table ``retention`` of these studies.
        theirs: of :func:`published`.

    Returns:
        columns :data:`COLUMNS`; accuracies between 0 and 1, ``difference`` is ours less published with Welch's 95 %
        interval, ``tost_p`` the p value of equivalence within the margin of
        :mod:`weight_importance.findings.reproduction`.
    """
    keys = ["scenario", "method", "study", "estimator", "lambda"]
    ours = intervals(final(settings, retention), keys, "accuracy")
    both = ours.merge(theirs, on=["scenario", "method", "lambda"], suffixes=("_ours", "_published"))
    rows_ = [row | _judged(row, settings[row["study"]]) for row in both.to_dict("records")]
    found = pd.DataFrame(rows_, columns=list(COLUMNS))
    order = {name: place for place, name in enumerate([*SCENARIOS, *METHODS])}
    return found.sort_values(["scenario", "method"], key=lambda column: column.map(order)).reset_index(drop=True)


def _judged(row: Mapping, settings: Study) -> dict[str, object]:
    ours, theirs = part(row, "ours"), part(row, "published")
    change, low, high = difference(ours, theirs)
    p = equivalence(
        ours["mean"], deviation(ours), ours["n"], theirs["mean"], deviation(theirs), theirs["n"], MARGIN
    )  # fmt: skip
    outcome, verdict = judge(change, low, high, p)
    if departures(settings) or row["method"] == "offline":
        outcome, verdict = "not judged", "not judged, computed otherwise"
    found = {"mean_difference": change, "low_difference": low, "high_difference": high}
    return found | {"tost_p": p, "outcome": outcome, "verdict": verdict}


def tally(found: pd.DataFrame) -> dict[str, int]:
    """How many comparisons have each outcome."""
    return {outcome: int((found["outcome"] == outcome).sum()) for outcome in OUTCOMES}


def anchors(settings: Mapping[str, Study], retention: pd.DataFrame) -> pd.DataFrame:
    """One penalty per task against one anchor for the sum of importances: accuracies at a λ in common, seed by seed.

    Args:
        settings: by study.
        retention: the table ``retention`` of these studies.

    Returns:
        columns ``scenario``, ``lambda``, ``mean``, ``low``, ``high``, ``n``: the paired difference, EWC less
        online EWC.
    """
    each = final(settings, retention)
    found = []
    for (scenario, strength), group in each.groupby(["scenario", "lambda"]):
        by_seed = {name: group[group["method"] == name].set_index("seed")["accuracy"] for name in ("ewc", "online_ewc")}
        both = sorted(set.intersection(*(set(values.index) for values in by_seed.values())))
        if both:
            change = paired(*(values.loc[both] for values in by_seed.values()))
            row = {"mean": change.mean, "low": change.low, "high": change.high, "n": len(both)}
            found.append({"scenario": scenario, "lambda": strength} | row)
    columns = ["scenario", "lambda", "mean", "low", "high", "n"]
    return pd.DataFrame(found, columns=columns).sort_values(
        "scenario", key=lambda column: column.map(SCENARIOS.index), kind="stable", ignore_index=True
    )
