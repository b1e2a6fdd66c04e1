"""Ablations of an importance: the accuracy they recover, and the stability-plasticity trade-off.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

import math
from collections.abc import Mapping

import pandas as pd

from weight_importance.findings.retention import JOINT, NONE, at_selected_lambda, is_at_edge
from weight_importance.findings.statistics import (
    Interval,
    final_accuracy,
    interval,
    intervals,
    paired,
    paired_equivalence,
    ratio,
)
from weight_importance.settings.ablation_names import is_ablation, parse

MARGIN = 0.005
"""Accuracies that differ by less than half a percentage point count as equivalent."""

LEVEL = 0.05

OUTCOMES = ("equivalent", "worse", "better", "undecided", "diverged")
PARTS = ("mean", "low", "high")
RECOVERED = [
    "estimator", "ablation", "lambda", "at_edge",
    *(f"{part}_{what}" for what in ("accuracy", "gain", "recovery", "difference") for part in PARTS),
    "tost_p", "n", "outcome",
]  # fmt: skip
FRONTIER = ["estimator", "lambda", *(f"{part}_{what}" for what in ("old", "new") for part in PARTS), "n"]


def without_ablations(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of estimators and of ``none`` in a table with a column ``estimator``; without joint training."""
    left_out = table["estimator"].map(is_ablation).astype(bool) | (table["estimator"] == JOINT)
    return table[~left_out]


def ablations_of(retention: pd.DataFrame) -> dict[str, list[str]]:
    """By estimator, the ablations made from it, as a table lists them; an ablation of two estimators is under both."""
    found: dict[str, list[str]] = {}
    for name in filter(is_ablation, retention["estimator"].unique()):
        for estimator in parse(name).estimators:
            found.setdefault(estimator, []).append(name)
    return found


def recovery(retention: pd.DataFrame, selected: pd.DataFrame) -> pd.DataFrame:
    """Average accuracy of every estimator and of its ablations after the last task, each at its own selected λ.

    The recovery is (ablation - none) / (estimator - none), the ratio of two means over the same seeds, with Fieller's
    interval (:func:`~weight_importance.findings.statistics.ratio`): 1 if the ablation does as well as the estimator, 0
    if it does as no penalty. Equivalence within :data:`MARGIN` is tested seed by seed. Intervals do not include the
    choice of λ.

    Args:
        retention: the table ``retention`` of one study.
        selected: the table ``selected_lambda`` of the same study.

    Returns:
        one row per ``estimator`` and ``ablation`` of it, preceded by one of the estimator itself, its own ablation.
        ``lambda`` is the ablation's; ``at_edge`` whether a better one may lie beyond the strengths tried. ``mean``,
        ``low`` and ``high`` have the suffixes ``_accuracy``, ``_gain`` (less no penalty, paired), ``_recovery`` and
        ``_difference`` (ablation less estimator, paired); accuracies are between 0 and 1. ``tost_p`` is that of
        equivalence, ``n`` the number of seeds, ``outcome`` one of :data:`OUTCOMES`: ``equivalent`` within the margin,
        else ``worse`` or ``better`` than the estimator where the 95 % interval of the difference excludes zero, else
        ``undecided``; ``diverged`` where every λ of one of the two diverged.
    """
    final = final_accuracy(retention, "test")
    chosen = at_selected_lambda(final, selected)
    by_seed = {name: rows.set_index("seed")["accuracy"] for name, rows in chosen.groupby("estimator")}
    strengths = final.groupby("estimator")["lambda"].unique()
    at = chosen.groupby("estimator")["lambda"].first()
    rows = []
    for estimator, names in ablations_of(retention).items():
        for name in [estimator, *names]:
            row = {"estimator": estimator, "ablation": name, "lambda": at.get(name, math.nan)}
            row["at_edge"] = is_at_edge(row["lambda"], strengths[name])
            rows.append(row | _compared(by_seed.get(name), by_seed.get(estimator), by_seed[NONE]))
    return pd.DataFrame(rows, columns=RECOVERED)


def _compared(ablation: pd.Series | None, estimator: pd.Series | None, none: pd.Series) -> dict[str, object]:
    nothing = Interval(math.nan, math.nan, math.nan, 0)
    accuracy = gain = recovered = change = nothing
    p = math.nan
    if ablation is not None:
        accuracy, gain = interval(ablation), paired(ablation, none)
    if ablation is not None and estimator is not None:
        recovered, change = ratio(ablation - none, estimator - none), paired(ablation, estimator)
        p = paired_equivalence(ablation, estimator, MARGIN)
    found = {
        f"{part}_{what}": getattr(of, part)
        for what, of in (("accuracy", accuracy), ("gain", gain), ("recovery", recovered), ("difference", change))
        for part in PARTS
    }
    return found | {"tost_p": p, "n": accuracy.n, "outcome": _outcome(change, p)}


def _outcome(change: Interval, p: float) -> str:
    if math.isnan(change.mean):
        return "diverged"
    if p < LEVEL:
        return "equivalent"
    if change.high < 0 or change.low > 0:
        return "worse" if change.high < 0 else "better"
    return "undecided"


def frontier(retention: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy after the last task on the earlier tasks (their mean) and on the newest, at every λ.

    Args:
        retention: the table ``retention`` of one study.

    Returns:
        columns ``estimator``, ``lambda``, then ``mean``, ``low``, ``high`` with the suffixes ``_old`` and ``_new``, and
        ``n``; ``nan`` where a run diverged.
    """
    last = retention["tasks_learnt"].max()
    final = retention[(retention["tasks_learnt"] == last) & (retention["split"] == "test")]
    keys = ["estimator", "lambda"]
    parts: Mapping[str, pd.DataFrame] = {"old": final[final["task"] < last], "new": final[final["task"] == last]}
    means = {}
    for name, rows in parts.items():
        of_runs = rows.groupby([*keys, "seed"])["accuracy"].mean(skipna=False).reset_index()
        means[name] = intervals(of_runs, keys, "accuracy").set_index([*keys, "n"]).add_suffix(f"_{name}")
    return means["old"].join(means["new"]).reset_index()[FRONTIER]
