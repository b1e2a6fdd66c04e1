"""Statistics over seeds: means with intervals, paired differences, and the selection of each estimator's strength.

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
    """Mean over n seeds with its confidence interval."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean of independent values with Student's t interval, mean ± t((1 + level) / 2, n - 1) · s / sqrt(n).

    With any ``nan`` among the values, mean, low and high are ``nan``. A single value is its own mean and has no
    interval: low and high are ``nan``.

    Args:
        values: one per seed, ``(n,)``.
        level: confidence level, between 0 and 1.

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
    """Compute one :func:`interval` per group of rows with equal values in the columns ``by``.

    Args:
        frame: tidy table with one row per group and seed.
        by: columns that identify a group; a group may have ``nan`` in one of them.
        value: column with the values.
        level: confidence level, between 0 and 1.

    Returns:
        A table with columns ``by``, mean, low, high, n, sorted by the first.
    """
    groups = frame.groupby(list(by), dropna=False)[value]
    rows = [dict(zip(by, key, strict=True)) | asdict(interval(values, level)) for key, values in groups]
    # typed even without rows, so that the columns can be compared and joined with other tables
    kinds = dict(frame.dtypes[list(by)]) | dict.fromkeys(("mean", "low", "high"), float) | {"n": int}
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "n"]).astype(kinds)


def paired(a: pd.Series, b: pd.Series, level: float = 0.95) -> Interval:
    """Paired :func:`interval` of the differences a - b between two conditions over the same seeds.

    Args:
        a, b: values indexed by seed.
        level: confidence level, between 0 and 1.

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


def fieller(
    y: float, x: float, variance_y: float, covariance: float, variance_x: float, n: int, level: float = 0.95
) -> Interval:
    """Ratio y / x of two means over the same n seeds with Fieller's interval (1954; bivariate normal values).

    The interval contains the ratios r for which a paired t test does not reject a zero mean of y - r · x. Unlike the
    mean of per-seed ratios, it is robust to a small denominator of a single seed. If the denominator's mean is not
    significantly different from zero at this level, there is no bounded interval: low and high are ``nan``, as for a
    single seed.

    Args:
        y, x: the means.
        variance_y, covariance, variance_x: variances and covariance of the means.
        n: number of seeds.
        level: confidence level, between 0 and 1.
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
    """P value of two one-sided t tests (TOST, Schuirmann 1987) for the equivalence of paired conditions.

    The null hypothesis is a mean of the differences a - b at least ``margin`` away from zero; the result is the larger
    p value of the two tests. It is below 0.05 exactly if the 90 % interval of :func:`paired` is within the margin.

    Args:
        a, b: values indexed by seed.
        margin: equivalence margin, above zero.

    Returns:
        the p value; ``nan`` if any value is ``nan``, or for a single seed.

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
    """P value of two one-sided tests (TOST, Schuirmann 1987) that two means differ by less than a margin.

    Both tests are Welch's, for unequal variances. The null hypothesis is a difference of at least ``margin``; the
    result is the larger p value. It is below 0.05 exactly if Welch's 90 % interval of the difference is within the
    margin.

    Args:
        mean_a, mean_b: means over independent values.
        sd_a, sd_b: their standard deviations, with n - 1.
        n_a, n_b: numbers of values.
        margin: equivalence margin, above zero.

    Returns:
        the p value; ``nan`` if a mean is ``nan`` or is based on a single value.
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
    """P value of Welch's two-sided test that two means are equal; arguments as for :func:`equivalence`."""
    if min(n_a, n_b) < 2 or not np.isfinite([mean_a, sd_a, mean_b, sd_b]).all():
        return math.nan
    if sd_a == sd_b == 0:
        return float(mean_a == mean_b)
    return float(stats.ttest_ind_from_stats(mean_a, sd_a, n_a, mean_b, sd_b, n_b, equal_var=False).pvalue)


def part(row: Mapping[str, float], suffix: str) -> dict[str, float]:
    """Mean, interval and n (if present) from the columns of a row that end in ``_{who}``."""
    names = ("mean", "low", "high", "n")
    return {name: row[f"{name}_{suffix}"] for name in names if f"{name}_{suffix}" in row}


def deviation(mean: Mapping[str, float]) -> float:
    """Standard deviation over seeds (with n - 1) implied by a 95 % t interval; nan for a single run.

    Args:
        mean: row with ``low``, ``high``, ``n``.
    """
    if mean["n"] < 2:
        return np.nan
    half = (mean["high"] - mean["low"]) / 2
    return half / stats.t.ppf(0.975, mean["n"] - 1) * np.sqrt(mean["n"])


def difference(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[float, float, float]:
    """Difference ``ours - theirs`` of two means with its 95 % interval (Welch 1947; unequal variances).

    Args:
        first: ``mean``, ``low``, ``high``, ``n`` of a t interval over seeds.
        second: the same.

    Returns:
        ``(difference, low, high)``; the bounds are nan if either mean is based on a single run.
    """
    errors = [deviation(mean) / np.sqrt(mean["n"]) for mean in (first, second)]
    change = first["mean"] - second["mean"]
    error = np.hypot(*errors)
    if not error > 0:
        return change, change + error, change + error
    freedom = error**4 / sum(one**4 / (mean["n"] - 1) for one, mean in zip(errors, (first, second), strict=True))
    half = stats.t.ppf(0.975, freedom) * error
    return change, change - half, change + half


def against_published(row: Mapping[str, float], margin: float) -> dict[str, float]:
    """Difference of a row's means, this run minus published, and both tests.

    Args:
        row: with ``mean``, ``low``, ``high``, ``n`` for each of ``_ours`` and ``_published``.
        margin: equivalence margin.

    Returns:
        ``mean_difference``, ``low_difference``, ``high_difference``, ``tost_p``, ``difference_p``.
    """
    observed, published = part(row, "ours"), part(row, "published")
    change, low, high = difference(observed, published)
    a, b = ((mean["mean"], deviation(mean), mean["n"]) for mean in (observed, published))
    tests = {"tost_p": equivalence(*a, *b, margin), "difference_p": no_difference(*a, *b)}
    return {"mean_difference": change, "low_difference": low, "high_difference": high} | tests


def final_accuracy(retention: pd.DataFrame, split: str) -> pd.DataFrame:
    """Mean accuracy over all tasks after the last task of each study.

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
    """Strength λ of each study and estimator with the best mean accuracy over tasks and seeds.

    Accuracies come from :func:`final_accuracy`. A λ that diverged for any seed is not eligible; ties go to the smallest
    λ; if every λ diverged, lambda is ``nan``.

    Args:
        retention: table ``retention``.
        split: split that selects λ: ``validation``, or ``test`` as in the published protocol.

    Returns:
        The table ``selected_lambda``, with the split as its criterion.
    """
    final = final_accuracy(retention, split)
    means = intervals(final, by=["study", "estimator", "lambda"], value="accuracy")
    means["lambda"] = means["lambda"].where(means["mean"].notna())
    # λ ascends within a group and the sort is stable, so ties go to the smallest λ
    best_first = means.sort_values("mean", ascending=False, kind="stable", na_position="last")
    chosen = best_first.groupby(["study", "estimator"], as_index=False).nth(0).sort_values(["study", "estimator"])
    return chosen.assign(criterion=split)[list(COLUMNS["selected_lambda"])].reset_index(drop=True)
