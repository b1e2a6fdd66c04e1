"""Ablations of an importance: the accuracy they recover, and the stability-plasticity trade-off.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

import math
from collections.abc import Mapping

import pandas as pd

from weight_importance.findings.baselines import JOINT, LEVEL, NONE, PARTS, PER_LAYER, is_of_l2, with_baselines
from weight_importance.findings.retention import is_at_edge
from weight_importance.findings.selection import Contrast, Curve, contrast, curves, holm, recovered
from weight_importance.findings.statistics import Interval, interval, intervals
from weight_importance.settings import L2
from weight_importance.settings.ablation_names import is_ablation, parse

MARGIN = 0.005
"""Accuracies that differ by less than half a percentage point count as equivalent."""

PRIMARY = ("fisher_empirical", "rank_one(fisher_empirical)")
"""Primary contrast (estimator, ablation), fixed before any run of this version. Tested at
:data:`~weight_importance.findings.baselines.LEVEL`; the tests of all other ablations form one family."""

OUTCOMES = ("equivalent", "worse", "better", "undecided", "diverged")
FROM = {"recovery": NONE, "recovery_l2": L2, "recovery_l2_per_layer": PER_LAYER}
"""Baseline of each recovery."""
RECOVERED = [
    "estimator", "ablation", "lambda", "at_edge",
    *(f"{part}_{what}" for what in ("accuracy", "gain", "difference", *FROM) for part in PARTS),
    "tost_p", "holm_tost_p", "difference_p", "holm_difference_p", "n", "outcome",
]  # fmt: skip
FRONTIER = ["estimator", "lambda", *(f"{part}_{what}" for what in ("old", "new") for part in PARTS), "n"]


def without_ablations(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of estimators, L2 and ``none`` in a table with a column ``estimator``; joint training is excluded."""
    left_out = table["estimator"].map(is_ablation).astype(bool) | (table["estimator"] == JOINT)
    return table[~left_out]


def ablations_of(retention: pd.DataFrame) -> dict[str, list[str]]:
    """Ablations of each estimator, in table order; an ablation of two estimators appears under both.

    Plain L2 with one strength per layer is a baseline, not an ablation.
    """
    ablations: dict[str, list[str]] = {}
    for name in retention["estimator"].unique():
        for estimator in parse(name).estimators if is_ablation(name) and not is_of_l2(name) else ():
            ablations.setdefault(estimator, []).append(name)
    return ablations


def recovery(retention: pd.DataFrame, selected: pd.DataFrame) -> pd.DataFrame:
    """Average accuracy of each estimator and its ablations after the last task, each at its own selected λ.

    The recovery, (ablation - baseline) / (estimator - baseline), is a ratio of two means over the same seeds, with
    Fieller's interval: 1 if the ablation matches the estimator, 0 if it matches the baseline (no penalty, plain L2, or
    L2 with one strength per layer). Equivalence within :data:`MARGIN` is tested on paired differences. All intervals
    and tests account for the selection of λ (:mod:`weight_importance.findings.selection`).

    Args:
        retention: the table ``retention`` of one study.
        selected: the table ``selected_lambda`` of the same study.

    Returns:
        one row per ``estimator`` and ``ablation``, preceded by a row of the estimator as its own ablation. ``lambda``
        is the ablation's λ; ``at_edge``: it is the lowest or highest strength tried. ``mean``, ``low`` and ``high``
        take the suffixes ``_accuracy``, ``_gain`` (minus no penalty, paired), ``_difference`` (ablation minus
        estimator, paired) and the keys of :data:`FROM` (``nan`` without that baseline); accuracies are between 0 and 1.
        ``tost_p`` and ``difference_p`` are the p values of equivalence and of no difference; with ``holm_``, both are
        adjusted for all ablations except :data:`PRIMARY`. ``n`` is the number of seeds. ``outcome``, one of
        :data:`OUTCOMES`, follows from the adjusted p values: ``equivalent``, else ``worse`` or ``better`` than the
        estimator, else ``undecided``; ``diverged`` if every λ of either one diverged.
    """
    conditions = with_baselines(curves(retention, selected["criterion"].iloc[0]))
    strengths = retention.groupby("estimator")["lambda"].unique()
    rows = []
    for estimator, names in ablations_of(retention).items():
        for name in [estimator, *names]:
            strength = conditions[name].best[1] if name in conditions else math.nan
            at_edge = is_at_edge(strength, strengths[name])
            row = {"estimator": estimator, "ablation": name, "lambda": strength, "at_edge": at_edge}
            rows.append(row | _compared(conditions, name, estimator))
    table = _adjusted(pd.DataFrame(rows, columns=RECOVERED))
    return table.assign(outcome=[_outcome(row) for row in table.to_dict("records")])


def _compared(conditions: Mapping[str, Curve], name: str, estimator: str) -> dict[str, object]:
    nothing = change = Contrast(math.nan, math.nan, math.nan, 0, math.nan, math.nan)
    ablation, reference = conditions.get(name), conditions.get(estimator)
    values: dict[str, Interval] = dict.fromkeys(("accuracy", "gain", *FROM), nothing)
    if ablation is not None:
        values |= {"accuracy": interval(ablation.by_seed), "gain": contrast(ablation, conditions[NONE])}
    if ablation is not None and reference is not None:
        change = contrast(ablation, reference)
        baselines = {suffix: conditions[baseline] for suffix, baseline in FROM.items() if baseline in conditions}
        values |= {suffix: recovered(ablation, reference, baseline) for suffix, baseline in baselines.items()}
    values["difference"] = change
    row = {f"{part}_{suffix}": getattr(estimate, part) for suffix, estimate in values.items() for part in PARTS}
    tests = {"tost_p": change.equivalence(MARGIN), "difference_p": change.p} if name != estimator else {}
    return row | tests | {"n": values["accuracy"].n}


def _adjusted(table: pd.DataFrame) -> pd.DataFrame:
    """Adjust the p values for the family of all ablations except the primary one."""
    primary = [pair == PRIMARY for pair in zip(table["estimator"], table["ablation"], strict=True)]
    for name in ("tost_p", "difference_p"):
        family = holm(table[name].astype(float).mask(primary).to_dict())
        table[f"holm_{name}"] = pd.Series(family).where(~pd.Series(primary), table[name])
    return table


def _outcome(row: Mapping[str, float]) -> str:
    if row["ablation"] == row["estimator"]:
        return "diverged" if math.isnan(row["mean_accuracy"]) else "equivalent"
    if math.isnan(row["mean_difference"]):
        return "diverged"
    if row["holm_tost_p"] < LEVEL:
        return "equivalent"
    if row["holm_difference_p"] < LEVEL:
        return "worse" if row["mean_difference"] < 0 else "better"
    return "undecided"


def frontier(retention: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy after the last task on earlier tasks (mean) and on the newest task, at every λ.

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
