"""Statements over seeds: means with their intervals, paired differences, and the choice of each estimator's strength.

Works on tidy tables in memory; knows nothing of files, training or drawing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from weight_importance.files.tables import COLUMNS


@dataclass(frozen=True)
class Interval:
    """A mean over n seeds and the interval that covers the expectation with the stated confidence."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """The mean of independent values with Student's t interval, mean ± t((1 + level) / 2, n - 1) · s / sqrt(n).

    A value that does not exist for one seed leaves no mean over seeds: with any ``nan`` among the values, mean, low and
    high are ``nan``. A single value is its own mean and has no interval: low and high are ``nan``.

    Args:
        values: one per seed, ``(n,)``.
        level: confidence, between 0 and 1.

    Raises:
        ValueError: there are no values, or they are not one-dimensional.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"an interval needs a list of at least one value, found the shape {values.shape}")
    mean = float(values.mean())
    if values.size == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = float(stats.t.ppf((1 + level) / 2, values.size - 1) * stats.sem(values))
    return Interval(mean, mean - half, mean + half, values.size)


def intervals(frame: pd.DataFrame, by: Sequence[str], value: str = "value", level: float = 0.95) -> pd.DataFrame:
    """One :func:`interval` for each group of rows that agree in the columns ``by``.

    Args:
        frame: tidy table with one row per group and seed.
        by: columns that identify a group; a group may have ``nan`` in one of them.
        value: column with the values.
        level: confidence, between 0 and 1.

    Returns:
        A table with columns ``by``, mean, low, high, n, sorted by the first.
    """
    groups = frame.groupby(list(by), dropna=False)[value]
    rows = [dict(zip(by, key, strict=True)) | asdict(interval(values, level)) for key, values in groups]
    # without rows, too, the columns can be compared and joined with those of other tables
    kinds = dict(frame.dtypes[list(by)]) | dict.fromkeys(("mean", "low", "high"), float) | {"n": int}
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "n"]).astype(kinds)


def paired(a: pd.Series, b: pd.Series, level: float = 0.95) -> Interval:
    """The :func:`interval` of the differences a - b of two conditions that share their seeds.

    Args:
        a, b: values indexed by seed.
        level: confidence, between 0 and 1.

    Raises:
        ValueError: a seed is missing from one of them, or occurs twice.
    """
    return interval(_differences(a, b), level)


def _differences(a: pd.Series, b: pd.Series) -> pd.Series:
    for series in (a, b):
        if not series.index.is_unique:
            raise ValueError(f"a seed occurs twice: {sorted(series.index[series.index.duplicated()])}")
    alone = set(a.index) ^ set(b.index)
    if alone:
        raise ValueError(f"seeds {sorted(alone)} occur in one of the two conditions only")
    return a - b.loc[a.index]


def ratio(numerator: pd.Series, denominator: pd.Series, level: float = 0.95) -> Interval:
    """The ratio of two means over the same seeds with Fieller's interval (1954; pairs of normal values).

    It holds the ratios r for which a paired t test does not reject that numerator - r · denominator has the mean zero;
    unlike the mean of the seeds' own ratios it does not suffer from a denominator that is small for one seed. Where the
    denominator's mean does not differ significantly from zero at this level, there is no bounded interval: low and
    high are ``nan``, as they are for a single seed.

    Args:
        numerator, denominator: values indexed by seed.
        level: confidence, between 0 and 1.

    Raises:
        ValueError: a seed is missing from one of them, or occurs twice.
    """
    _differences(numerator, denominator)
    y, x = numerator.to_numpy(float), denominator.loc[numerator.index].to_numpy(float)
    n = len(y)
    spread = np.cov(y, x) / n if n > 1 else np.full((2, 2), np.nan)
    return fieller(y.mean(), x.mean(), spread[0, 0], spread[0, 1], spread[1, 1], n, level)


def fieller(
    y: float, x: float, variance_y: float, covariance: float, variance_x: float, n: int, level: float = 0.95
) -> Interval:
    """The ratio y / x of two means over n seeds with Fieller's interval: see :func:`ratio`.

    Args:
        y, x: the means.
        variance_y, covariance, variance_x: of the means.
        n: seeds.
        level: confidence, between 0 and 1.
    """
    mean = float(y / x) if x else math.nan
    if n < 2 or not math.isfinite(mean):
        return Interval(mean, math.nan, math.nan, n)
    wide = stats.t.ppf((1 + level) / 2, n - 1) ** 2
    # a r² - 2 b r + c ≤ 0
    a, b, c = x * x - wide * variance_x, y * x - wide * covariance, y * y - wide * variance_y
    if a <= 0:
        return Interval(mean, math.nan, math.nan, n)
    half = math.sqrt(max(b * b - a * c, 0.0))
    return Interval(mean, float((b - half) / a), float((b + half) / a), n)


def paired_equivalence(a: pd.Series, b: pd.Series, margin: float) -> float:
    """The p value of two one-sided t tests (TOST, Schuirmann 1987) that conditions sharing their seeds are equivalent.

    The larger p value of the two is that of the hypothesis that the mean of the differences a - b is ``margin`` or more
    away from zero. It is below 0.05 exactly where the 90 % interval of :func:`paired` is within the margin.

    Args:
        a, b: values indexed by seed.
        margin: the difference that would matter, above zero.

    Returns:
        the p value; ``nan`` where a value is, or there is a single seed.

    Raises:
        ValueError: a seed is missing from one of them, or occurs twice.
    """
    change = _differences(a, b)
    if len(change) < 2 or change.isna().any():
        return math.nan
    if change.nunique() == 1:
        return 0.0 if abs(change.iloc[0]) < margin else 1.0
    tests = ((-margin, "greater"), (margin, "less"))
    return max(float(stats.ttest_1samp(change, bound, alternative=side).pvalue) for bound, side in tests)


def equivalence(mean_a: float, sd_a: float, n_a: float, mean_b: float, sd_b: float, n_b: float, margin: float) -> float:
    """The p value of two one-sided tests (TOST, Schuirmann 1987) that two means differ by less than a margin.

    Both tests are Welch's, for unequal variances; the larger of their p values is that of the hypothesis that the means
    differ by ``margin`` or more. It is below 0.05 exactly where Welch's 90 % interval of the difference is within the
    margin.

    Args:
        mean_a, mean_b: means over independent values.
        sd_a, sd_b: their standard deviations, with n - 1.
        n_a, n_b: how many values.
        margin: the difference that would matter, above zero.

    Returns:
        the p value; ``nan`` where a mean is, or rests on a single value.
    """
    if min(n_a, n_b) < 2 or not np.isfinite([mean_a, sd_a, mean_b, sd_b]).all():
        return math.nan
    if sd_a == sd_b == 0:
        return 0.0 if abs(mean_a - mean_b) < margin else 1.0
    tests = ((mean_a + margin, "greater"), (mean_a - margin, "less"))
    return max(
        float(stats.ttest_ind_from_stats(mean, sd_a, n_a, mean_b, sd_b, n_b, equal_var=False, alternative=side).pvalue)
        for mean, side in tests
    )


def no_difference(mean_a: float, sd_a: float, n_a: float, mean_b: float, sd_b: float, n_b: float) -> float:
    """The p value of Welch's two-sided test that two means are equal; arguments as for :func:`equivalence`."""
    if min(n_a, n_b) < 2 or not np.isfinite([mean_a, sd_a, mean_b, sd_b]).all():
        return math.nan
    if sd_a == sd_b == 0:
        return float(mean_a == mean_b)
    return float(stats.ttest_ind_from_stats(mean_a, sd_a, n_a, mean_b, sd_b, n_b, equal_var=False).pvalue)


def part(row: Mapping[str, float], who: str) -> dict[str, float]:
    """The mean, its interval and n (if present) of a row whose names end in ``_{who}``."""
    names = ("mean", "low", "high", "n")
    return {name: row[f"{name}_{who}"] for name in names if f"{name}_{who}" in row}


def deviation(mean: Mapping[str, float]) -> float:
    """The standard deviation over seeds (with n - 1) of a 95 % t interval; nan for a single run.

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


def against_published(row: Mapping[str, float], margin: float) -> dict[str, float]:
    """The difference of a row's mean of this run and the published one, and both tests.

    Args:
        row: with ``mean``, ``low``, ``high``, ``n`` for each of ``_ours`` and ``_published``.
        margin: of :func:`equivalence`.

    Returns:
        ``mean_difference``, ``low_difference``, ``high_difference``, ``tost_p``, ``difference_p``.
    """
    ours, theirs = part(row, "ours"), part(row, "published")
    change, low, high = difference(ours, theirs)
    a, b = ((mean["mean"], deviation(mean), mean["n"]) for mean in (ours, theirs))
    tests = {"tost_p": equivalence(*a, *b, margin), "difference_p": no_difference(*a, *b)}
    return {"mean_difference": change, "low_difference": low, "high_difference": high} | tests


def final_accuracy(retention: pd.DataFrame, split: str) -> pd.DataFrame:
    """The mean accuracy over all tasks once the last task of each study is learnt.

    Args:
        retention: table ``retention``.
        split: ``validation`` or ``test``.

    Returns:
        A table with columns study, estimator, lambda, seed, accuracy; ``nan`` where a run diverged.

    Raises:
        ValueError: the table has no rows of this split.
    """
    last = retention.groupby("study")["tasks_learnt"].transform("max")
    final = retention[(retention["tasks_learnt"] == last) & (retention["split"] == split)]
    if final.empty:
        raise ValueError(f"no rows of split '{split}', found {sorted(retention['split'].unique())}")
    keys = ["study", "estimator", "lambda", "seed"]
    return final.groupby(keys, dropna=False)["accuracy"].mean(skipna=False).reset_index()


def select_lambda(retention: pd.DataFrame, split: str = "validation") -> pd.DataFrame:
    """The strength λ of each study and estimator with the best mean accuracy over tasks and seeds.

    Accuracies are those of :func:`final_accuracy`. A λ that diverged for any seed is not eligible; of equally good ones
    the smallest is taken; where every λ diverged, lambda is ``nan``.

    Args:
        retention: table ``retention``.
        split: what λ is chosen on: ``validation``, or ``test`` as in the published protocol.

    Returns:
        The table ``selected_lambda``, with the split as its criterion.
    """
    final = final_accuracy(retention, split)
    means = intervals(final, by=["study", "estimator", "lambda"], value="accuracy")
    means["lambda"] = means["lambda"].where(means["mean"].notna())
    # within a group λ ascends and the sort is stable, so the first of equals has the smallest λ
    best_first = means.sort_values("mean", ascending=False, kind="stable", na_position="last")
    chosen = best_first.groupby(["study", "estimator"], as_index=False).nth(0).sort_values(["study", "estimator"])
    return chosen.assign(criterion=split)[list(COLUMNS["selected_lambda"])].reset_index(drop=True)
