"""Published correlations of importances compared with a study's correlations, with equivalence tests.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from weight_importance.findings.correlation import LEVEL, NEAR_ONE, PAIR, fisher_intervals
from weight_importance.findings.selection import holm
from weight_importance.findings.tensors import ALL


@dataclass(frozen=True)
class Relation:
    """Published correlation of two importances.

    Attributes:
        pair: two estimators.
        least: lowest published value, with :attr:`decimals` digits.
        most: highest published value.
        decimals: number of published digits.
        source: key of the publication in the paper's bibliography.
    """

    pair: tuple[str, str]
    least: float
    most: float
    decimals: int
    source: str = "benzing2022unifying"


RELATIONS = (
    Relation(("mas", "masx"), 1.0, 1.0, 1),
    Relation(("mas", "absolute_fisher"), 1.0, 1.0, 1),
    Relation(("mas", "root_fisher"), 0.985, 0.99, 3),
    Relation(("si_undivided", "sos"), 0.99, 0.99, 2),
)
"""Pearson correlations over all parameters together: the first three after a task of CIFAR, the last after the first
task of permuted MNIST in a network 784-2000-2000-10, with SI before its division. That network was trained for 20
epochs with batches of 256; all estimators except SI and SOS used 1,000 images
(github.com/freedbee/continual_regularisation, ``MNIST/correlations_scatter_comparison.py``)."""


VERDICTS = ("as published", "lower", "higher", "undecided")
ENDS = ("mean", "low", "high", "n")


def relations(correlation: pd.DataFrame) -> pd.DataFrame:
    """Published correlations (:data:`RELATIONS`) whose estimators a study has, and the study's correlations.

    A published value represents the range of values that round to it. Two one-sided t tests on Fisher's z over networks
    test whether the study's correlation is within this range; p values are adjusted for the number of relations (Holm).
    If the range reaches 1, one test suffices.

    Args:
        correlation: the table ``correlation`` of one study.

    Returns:
        columns estimator_a, estimator_b, least, most, decimals, source, mean, low, high, n (interval over networks),
        ``tost_p``, ``holm_tost_p``, and ``verdict``, one of :data:`VERDICTS`: ``as published`` by the adjusted test,
        else ``lower`` or ``higher`` if the whole interval is outside the range, else ``undecided``.
    """
    rows = correlation[(correlation["coefficient"] == "pearson") & (correlation["tensor"] == ALL)]
    means = {frozenset(row[name] for name in PAIR): row for row in fisher_intervals(rows, PAIR).to_dict("records")}
    values = {frozenset(pair): group["value"] for pair, group in rows.groupby(PAIR)}
    tests = []
    for relation in RELATIONS:
        pair = frozenset(relation.pair)
        if pair in means:
            about = dict(zip(PAIR, relation.pair, strict=True)) | vars(relation)
            about |= {name: means[pair][name] for name in ENDS}
            tests.append(about | {"tost_p": _within(values[pair], *_range(about))})
    adjusted = holm(dict(enumerate(row["tost_p"] for row in tests)))
    tested = [row | {"holm_tost_p": adjusted[place]} for place, row in enumerate(tests)]
    judged = [row | {"verdict": _verdict(row)} for row in tested]
    columns = [*PAIR, "least", "most", "decimals", "source", *ENDS, "tost_p", "holm_tost_p", "verdict"]
    return pd.DataFrame(judged, columns=columns)


def _range(row: Mapping[str, float]) -> tuple[float, float]:
    """Range of values that round to the published ones."""
    half = 0.5 * 10 ** -row["decimals"]
    return row["least"] - half, row["most"] + half


def _within(values: pd.Series, low: float, high: float) -> float:
    """P value of the test that the mean of z is within a range."""
    if len(values) < 2 or values.isna().any():
        return math.nan
    z = np.arctanh(values.clip(-1 + NEAR_ONE, 1 - NEAR_ONE))
    sides = ((low, "greater"), (high, "less"))
    tests = [(np.arctanh(end), side) for end, side in sides if abs(end) < 1]
    if np.ptp(z) == 0:
        return float(not low <= values.iloc[0] <= high)
    return max(float(stats.ttest_1samp(z, end, alternative=side).pvalue) for end, side in tests)


def _verdict(row: Mapping[str, float]) -> str:
    low, high = _range(row)
    if row["holm_tost_p"] < LEVEL:
        return "as published"
    if row["high"] < low:
        return "lower"
    return "higher" if row["low"] > high else "undecided"
