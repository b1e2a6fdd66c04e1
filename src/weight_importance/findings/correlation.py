"""Correlation of pairs of estimators: significance against the null, strength and sign.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from weight_importance.files.tables import is_weight_tensor
from weight_importance.findings.selection import holm
from weight_importance.findings.statistics import intervals
from weight_importance.findings.tensors import ALL

PAIR = ["estimator_a", "estimator_b"]

STRONG = 0.7
"""Lowest mean correlation over networks that counts as strong."""

LEVEL = 0.05

PROPERTIES = ("strong", "negative", "turning", "ranging")

WITHOUT_Z = ("overlap_top10",)
"""Coefficients other than correlations; these have Student's interval instead of an interval on Fisher's z."""

RESAMPLES = 2000

NEAR_ONE = 1e-12
"""Distance from ±1 at which correlations are clipped, so that Fisher's z is finite."""


def fisher_intervals(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean correlations with Student's t intervals on Fisher's z = artanh r of the networks' coefficients.

    The interval is centred on the z of the mean, so it never exceeds ±1.

    Args:
        frame: tidy table with one ``value`` per group and seed; a column ``coefficient`` is optional.
        by: columns that identify a group.

    Returns:
        as :func:`weight_importance.findings.statistics.intervals`, with ``p``: the two-sided p value of a zero mean of
        z (``nan`` for coefficients :data:`WITHOUT_Z`, which have Student's interval on the values).
    """
    means = intervals(frame, by, "value").assign(p=math.nan)
    plain = means["coefficient"].isin(WITHOUT_Z) if "coefficient" in means else pd.Series(False, index=means.index)
    z = np.arctanh(frame["value"].clip(-1 + NEAR_ONE, 1 - NEAR_ONE))
    on_z = intervals(frame.assign(value=z), by, "value")
    half = (on_z["high"] - on_z["low"]) / 2
    centre = np.arctanh(means["mean"].clip(-1 + NEAR_ONE, 1 - NEAR_ONE))
    error = half / stats.t.ppf(0.975, (on_z["n"] - 1).clip(lower=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(on_z["mean"].abs() / error, (on_z["n"] - 1).clip(lower=1))
    bounds = {"low": np.tanh(centre - half), "high": np.tanh(centre + half), "p": p}
    return means.assign(**{name: means[name].where(plain, values) for name, values in bounds.items()})


def square_of_pairs(values: pd.Series, names: Sequence[str]) -> pd.DataFrame:
    """Values of pairs of estimators, indexed by :data:`PAIR`, as a symmetric matrix with 1 on the diagonal."""
    square = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for (first, second), value in values.items():
        square.loc[first, second] = square.loc[second, first] = value
    return square


def null_means(null: pd.DataFrame) -> pd.DataFrame:
    """Null distribution of reported means over seeds: one value per tensor, coefficient, pair and permutation.

    Args:
        null: the table ``correlation_null`` of one study.
    """
    return null.groupby(["tensor", "coefficient", *PAIR, "permutation"], sort=False)["value"].mean().reset_index()


def beyond_null(correlation: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    """Mean correlations with their intervals and the central 95 % of the null distribution of such means.

    The null of a tensor pools all pairs.

    Args:
        correlation: the table ``correlation`` of one study.
        null: the table ``correlation_null`` of the same study.

    Returns:
        columns tensor, coefficient, estimator_a, estimator_b, mean, low, high, n, p (see :func:`fisher_intervals`),
        holm_p (adjusted for all pairs and parameter tensors of a coefficient), null_low, null_high, and ``sign``: 1 or
        -1 if ``holm_p`` is below :data:`LEVEL` and the mean is outside the null, else 0. The tensor ``all`` is excluded
        from the family. For coefficients :data:`WITHOUT_Z`, the interval replaces ``holm_p``.
    """
    keys = ["tensor", "coefficient"]
    means = fisher_intervals(correlation, [*keys, *PAIR])
    adjusted = means["p"].copy()
    for _, family in means[means["tensor"] != ALL].groupby("coefficient")["p"]:
        adjusted.update(pd.Series(holm(family.to_dict()), dtype=float))
    means = means.assign(holm_p=adjusted)
    ranges = null_means(null).groupby(keys)["value"].quantile([0.025, 0.975]).unstack()
    means = means.merge(ranges.set_axis(["null_low", "null_high"], axis=1), left_on=keys, right_index=True)
    clear = (means["holm_p"] < LEVEL) | (means["p"].isna() & ((means["low"] > 0) | (means["high"] < 0)))
    above = clear & (means["mean"] > np.maximum(means["null_high"], 0))
    below = clear & (means["mean"] < np.minimum(means["null_low"], 0))
    return means.assign(sign=above.astype(int) - below.astype(int))


def pair_properties(means: pd.DataFrame) -> pd.DataFrame:
    """Properties of each pair over the parameter tensors, by coefficient.

    Args:
        means: result of :func:`beyond_null`.

    Returns:
        columns coefficient, estimator_a, estimator_b and :data:`PROPERTIES`: ``strong``, the mean is at least
        :data:`STRONG` in every weight tensor; ``negative``, the ``sign`` is -1 in a parameter tensor, biases included;
        ``turning``, negative in one and positive in another; ``ranging``, negative in one and strong in another. Then
        ``lowest``, the lowest mean over weight tensors, with its interval, ``low`` and ``high``.
    """
    rows = []
    for key, group in means.groupby(["coefficient", *PAIR]):
        weights = group[group["tensor"].map(is_weight_tensor)]
        tensors = group[group["tensor"] != ALL]
        negative, positive = (tensors["sign"] < 0).any(), (tensors["sign"] > 0).any()
        strong = len(weights) > 0 and (weights["mean"] >= STRONG).all()
        values = (strong, negative, negative and positive, negative and (tensors["mean"] >= STRONG).any())
        defined = weights.dropna(subset="mean")
        lowest = [math.nan] * 3 if defined.empty else defined.loc[defined["mean"].idxmin(), ["mean", "low", "high"]]
        rows.append((*key, *map(bool, values), *lowest))
    return pd.DataFrame(rows, columns=["coefficient", *PAIR, *PROPERTIES, "lowest", "low", "high"])


def shares(correlation: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Share of pairs with each property, with 95 % bootstrap intervals over estimators (and networks).

    Pairs share estimators and are not independent: estimators are resampled with replacement, and a pair counts as
    often as the product of its estimators' counts. For ``strong``, networks are resampled as well; the other properties
    result from tests on all networks and are taken from ``pairs``.

    Args:
        correlation: the table ``correlation`` of one study.
        pairs: result of :func:`pair_properties`.

    Returns:
        columns coefficient, property, mean (observed share), low, high (percentiles), n (pairs).
    """
    weights = correlation[correlation["tensor"].map(is_weight_tensor)]
    rows = []
    for coefficient, group in pairs.groupby("coefficient"):
        names = sorted({*group["estimator_a"], *group["estimator_b"]})
        first, second = (group[side].map(names.index).to_numpy() for side in PAIR)
        values = weights[weights["coefficient"] == coefficient].pivot_table(
            index=PAIR, columns=["tensor", "seed"], values="value", dropna=False
        )
        values = values.reindex(pd.MultiIndex.from_frame(group[PAIR]))
        by_seed = np.stack([values.xs(seed, axis=1, level="seed") for seed in weights["seed"].unique()], -1)
        random = np.random.default_rng(0)
        counts, networks = (
            random.multinomial(n, np.full(n, 1 / n), RESAMPLES) for n in (len(names), by_seed.shape[-1])
        )
        of_pairs = counts[:, first] * counts[:, second]
        some = of_pairs.any(1)
        strong = (by_seed @ networks.T / by_seed.shape[-1] >= STRONG).all(1).T
        for name in PROPERTIES:
            has = strong if name == "strong" else group[name].to_numpy()
            drawn = (of_pairs * has).sum(1)[some] / of_pairs.sum(1)[some]
            low, high = np.quantile(drawn, [0.025, 0.975])
            row = {"coefficient": coefficient, "property": name, "mean": group[name].mean()}
            rows.append(row | {"low": low, "high": high, "n": len(group)})
    return pd.DataFrame(rows, columns=["coefficient", "property", "mean", "low", "high", "n"])


def extremes(means: pd.DataFrame) -> pd.DataFrame:
    """Pairs with the lowest and the highest mean, by coefficient and tensor.

    Args:
        means: result of :func:`beyond_null`.

    Returns:
        the columns of ``means`` and ``place``: ``lowest`` or ``highest``. A coefficient that is undefined for every
        pair of a tensor has no row.
    """
    ordered = means.dropna(subset="mean").sort_values(["coefficient", "tensor", "mean", *PAIR])
    groups = ordered.groupby(["coefficient", "tensor"])
    return pd.concat([groups.head(1).assign(place="lowest"), groups.tail(1).assign(place="highest")])


def null_ranges(means: pd.DataFrame) -> pd.DataFrame:
    """Central 95 % of the null and number of pairs ``inside`` it, by coefficient and tensor.

    Args:
        means: result of :func:`beyond_null`.
    """
    inside = means["mean"].between(means["null_low"], means["null_high"])
    groups = means.assign(inside=inside).groupby(["coefficient", "tensor"])
    return groups.agg({"null_low": "first", "null_high": "first", "inside": "sum"}).reset_index()
