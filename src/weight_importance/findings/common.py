"""From the tidy tables to what figures, LaTeX tables and the text show of them, beyond the means of ``statistics``.

Computed in this one place, so that a figure and a sentence cannot disagree. Knows nothing of files, colours or LaTeX.
"""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from weight_importance.findings.statistics import intervals


def tensor_order(tensors: Sequence[str]) -> list[str]:
    """Parameter tensors as layers follow each other by their numbers, weight before bias, and ``all`` last.

    Layers without a number come after those with one; of equal numbers, normalisation (``bn``, ``norm``) after the
    layer that it normalises.
    """

    def place(name: str) -> tuple:
        layer = name.rpartition(".")[0]
        number = re.search(r"\d+", layer)
        normalises = bool(re.search("bn|norm", layer))
        return name == "all", int(number[0]) if number else math.inf, normalises, layer, name.endswith("bias")

    return sorted(dict.fromkeys(tensors), key=place)


def average_accuracy(retention: pd.DataFrame) -> pd.DataFrame:
    """The mean accuracy over the tasks learnt so far, per study, estimator, lambda, seed, tasks_learnt and split.

    Missing (nan) as soon as one of them is: that run had diverged.
    """
    learnt = retention[retention["task"] <= retention["tasks_learnt"]]
    by = ["study", "estimator", "lambda", "seed", "tasks_learnt", "split"]
    return learnt.groupby(by, sort=False, dropna=False)["accuracy"].mean(skipna=False).reset_index()


def at_selected_lambda(frame: pd.DataFrame, selected: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table with ``estimator`` and ``lambda`` at each estimator's selected lambda, and those of ``none``.

    An estimator of which every lambda diverged has none selected and is left out.
    """
    keys = ["study", "estimator", "lambda"]
    chosen = selected.loc[selected["lambda"].notna() & (selected["estimator"] != "none"), keys]
    return pd.concat([frame.merge(chosen, on=keys), frame[frame["estimator"] == "none"]], ignore_index=True)


def part(row: Mapping[str, float], who: str) -> dict[str, float]:
    """The mean with its interval (and n, if there is one) that a row holds under names ending in ``_{who}``."""
    names = ("mean", "low", "high", "n")
    return {name: row[f"{name}_{who}"] for name in names if f"{name}_{who}" in row}


def deviation(mean: Mapping[str, float]) -> float:
    """The standard deviation over seeds (with n - 1) that a 95 % t interval rests on; nan for a single run.

    Args:
        mean: with ``low``, ``high``, ``n``.
    """
    if mean["n"] < 2:
        return np.nan
    half = (mean["high"] - mean["low"]) / 2
    return half / stats.t.ppf(0.975, mean["n"] - 1) * np.sqrt(mean["n"])


def difference(ours: Mapping[str, float], theirs: Mapping[str, float]) -> tuple[float, float, float]:
    """The difference ``ours - theirs`` of two means with its 95 % interval (Welch 1947; unequal variances).

    Args:
        ours: with ``mean``, ``low``, ``high``, ``n`` of a t interval over seeds.
        theirs: the same.

    Returns:
        ``(difference, low, high)``; the bounds are nan when one of the two rests on a single run.
    """
    errors = [deviation(mean) / np.sqrt(mean["n"]) for mean in (ours, theirs)]
    change = ours["mean"] - theirs["mean"]
    error = np.hypot(*errors)
    if not error > 0:
        return change, change + error, change + error
    freedom = error**4 / sum(one**4 / (mean["n"] - 1) for one, mean in zip(errors, (ours, theirs), strict=True))
    half = stats.t.ppf(0.975, freedom) * error
    return change, change - half, change + half


PAIR = ["estimator_a", "estimator_b"]


def null_means(null: pd.DataFrame) -> pd.DataFrame:
    """The null of what is reported, means over seeds: one value per tensor, coefficient, pair and permutation.

    Args:
        null: the table ``correlation_null`` of one study.
    """
    return null.groupby(["tensor", "coefficient", *PAIR, "permutation"], sort=False)["value"].mean().reset_index()


def beyond_null(correlation: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    """Mean correlations with their intervals, beside the central 95 % of the null of such means.

    The null's values are those of all pairs in the same tensor together.

    Args:
        correlation: the table ``correlation`` of one study.
        null: the table ``correlation_null`` of the same study.

    Returns:
        columns tensor, coefficient, estimator_a, estimator_b, mean, low, high, n, null_low, null_high, and ``sign``: 1
        or -1 where both the interval and the null leave no doubt on which side the correlation lies, else 0.
    """
    keys = ["tensor", "coefficient"]
    found = intervals(correlation, [*keys, *PAIR], "value")
    ranges = null_means(null).groupby(keys)["value"].quantile([0.025, 0.975]).unstack()
    found = found.merge(ranges.set_axis(["null_low", "null_high"], axis=1), left_on=keys, right_index=True)
    above = (found["low"] > 0) & (found["mean"] > found["null_high"])
    below = (found["high"] < 0) & (found["mean"] < found["null_low"])
    return found.assign(sign=above.astype(int) - below.astype(int))


PREDICTED = (
    ("absolute_fisher", "mas", 1.0),
    ("fisher_empirical", "fisher_exact", 1.0),
    ("fisher_empirical", "mas", 0.5),
    ("fisher_exact", "mas", 0.5),
)
"""Pairs of estimators of which theory foresees something when the network is confident, with the slope of log second on
log first: equal powers of the gradient have 1, a first power has half the slope of a second one."""


def predicted_pairs(agreement: pd.DataFrame) -> list[tuple[str, str, float | None]]:
    """The pairs of :data:`PREDICTED` as a table holds them; if there are none, its first pairs, without a slope.

    Args:
        agreement: with ``estimator_a`` and ``estimator_b``.
    """
    there = list(agreement[PAIR].drop_duplicates().itertuples(index=False, name=None))
    both_ways = [*PREDICTED, *((second, first, 1 / slope) for first, second, slope in PREDICTED)]
    found = [pair for pair in both_ways if pair[:2] in there]
    return found or [(*pair, None) for pair in there[: len(PREDICTED)]]


def along_confidence(agreement: pd.DataFrame, confidence: pd.DataFrame, tensors: Sequence[str]) -> pd.DataFrame:
    """Agreement under every condition beside how confident the networks were.

    Args:
        agreement: the table ``explanation_agreement`` of one study.
        confidence: the table ``explanation_confidence`` of the same study.
        tensors: over these, agreement is averaged within every network.

    Returns:
        columns condition, level, coefficient, estimator_a, estimator_b, mean, low, high, n (intervals over seeds), and
        the mean ``max_probability`` and ``runner_up``.
    """
    keys = ["condition", "level"]
    chosen = agreement[agreement["tensor"].isin(list(tensors))]
    of_seed = chosen.groupby([*keys, "coefficient", *PAIR, "seed"], sort=False)["value"].mean().reset_index()
    sure = confidence.groupby([*keys, "quantity"])["value"].mean().unstack("quantity").reset_index()
    return intervals(of_seed, [*keys, "coefficient", *PAIR], "value").merge(sure, on=keys)
