"""The published results of Kutalev and Lapina (2021) under the names this repository uses, and ours beside them.

Knows the two files' columns; how they came about is told in the README beside them.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from weight_importance.findings import difference
from weight_importance.latex import number
from weight_importance.statistics import final_accuracy, intervals

STUDIES = {"fc": "mlp_permuted_mnist", "conv": "cnn_mnist_fashion"}
ESTIMATORS = {
    "fisher": "fisher_empirical",
    "fis": "fisher_empirical",
    "mas": "mas",
    "si": "si",
    "sig": "total_signal",
    "w": "magnitude",
}


def retention(folder: str | Path) -> pd.DataFrame:
    """Mean test accuracy over the tasks learnt so far, with 95 % t intervals over runs.

    Returns:
        columns ``study``, ``estimator``, ``lambda``, ``tasks_learnt``, ``mean``, ``low``, ``high``, ``n``.
    """
    frame = pd.read_csv(Path(folder) / "kutalev-lapina-2021-lambda-sweep.csv")
    frame = frame[~frame["stabilised"]].reset_index(drop=True)
    named = pd.DataFrame(
        {"study": frame["network"].map(STUDIES), "estimator": frame["estimator"].map(ESTIMATORS)}
        | {name: frame[name] for name in ("lambda", "tasks_learnt")}
    )
    return named.join(_intervals(frame["mean_accuracy"], frame["sd"], frame["runs"]))


def pruning(folder: str | Path) -> pd.DataFrame:
    """Test accuracy as each weight matrix loses the same fraction, with 95 % t intervals over runs.

    Returns:
        columns ``study``, ``scope``, ``criterion``, ``fraction``, ``mean``, ``low``, ``high``, ``n``.
    """
    frame = pd.read_csv(Path(folder) / "kutalev-lapina-2021-pruning-by-layer.csv")
    named = pd.DataFrame(
        {
            "study": STUDIES["fc"],
            "scope": "tensor",
            "criterion": frame["criterion"].map(ESTIMATORS),
            "fraction": frame["proportion"],
        }
    )
    return named.join(_intervals(frame["accuracy"], frame["sd"], frame["runs"]))


def last_task(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`retention` after each study's last task."""
    last = frame.groupby("study")["tasks_learnt"].transform("max")
    return frame[frame["tasks_learnt"] == last]


AGREES = "agrees with the published value"


def side_by_side(table: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Ours and published test accuracy after the last task where estimator, λ and the number of tasks are the same.

    Args:
        table: the table ``retention`` of one study.
        theirs: :func:`last_task` of :func:`retention`.

    Returns:
        columns ``estimator``, ``lambda``, then ``mean``, ``low``, ``high``, ``n`` with the suffixes ``_ours``,
        ``_published`` and (without n) ``_difference``, and ``verdict``.
    """
    theirs = theirs[theirs["tasks_learnt"] == table["tasks_learnt"].max()].drop(columns="tasks_learnt")
    keys = ["study", "estimator", "lambda"]
    ours = intervals(final_accuracy(table, "test"), keys, "accuracy")
    both = ours.merge(theirs, on=keys, suffixes=("_ours", "_published")).drop(columns="study")
    changes = [difference(_part(row, "ours"), _part(row, "published")) for row in both.to_dict("records")]
    for place, name in enumerate(("mean", "low", "high")):
        both[f"{name}_difference"] = [change[place] for change in changes]
    both["verdict"] = [verdict(*change) for change in changes]
    return both


def _part(row: dict, who: str) -> dict[str, float]:
    return {name: row[f"{name}_{who}"] for name in ("mean", "low", "high", "n")}


def verdict(change: float, low: float, high: float) -> str:
    """What may be said of a difference of accuracies ``ours - published`` with its interval, as LaTeX."""
    if math.isnan(change):
        return "diverged here"
    if math.isnan(low):
        return "cannot be judged from a single seed"
    if low <= 0 <= high:
        return AGREES
    return f"lies {number(abs(change) * 100, 2)} points {'above' if change > 0 else 'below'} the published value"


def _intervals(mean: pd.Series, sd: pd.Series, runs: pd.Series) -> pd.DataFrame:
    half = stats.t.ppf(0.975, runs - 1) * sd / np.sqrt(runs)
    return pd.DataFrame({"mean": mean, "low": mean - half, "high": mean + half, "n": runs})
