"""How pairs of estimators correlate: beyond the null, strongly, with which sign.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

import pandas as pd

from weight_importance.files.tables import is_weight_tensor
from weight_importance.findings.statistics import intervals
from weight_importance.findings.tensors import ALL

PAIR = ["estimator_a", "estimator_b"]

STRONG = 0.7
"""A correlation is strong where its whole interval lies above this value."""

PROPERTIES = ("strong", "negative", "turning", "ranging")


def null_means(null: pd.DataFrame) -> pd.DataFrame:
    """The null of reported means over seeds: one value per tensor, coefficient, pair and permutation.

    Args:
        null: the table ``correlation_null`` of one study.
    """
    return null.groupby(["tensor", "coefficient", *PAIR, "permutation"], sort=False)["value"].mean().reset_index()


def beyond_null(correlation: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    """Mean correlations with their intervals and the central 95 % of the null of such means.

    The null of a tensor pools the values of all pairs.

    Args:
        correlation: the table ``correlation`` of one study.
        null: the table ``correlation_null`` of the same study.

    Returns:
        columns tensor, coefficient, estimator_a, estimator_b, mean, low, high, n, null_low, null_high, and ``sign``: 1
        or -1 where the interval excludes zero and the mean lies outside the null, else 0.
    """
    keys = ["tensor", "coefficient"]
    means = intervals(correlation, [*keys, *PAIR], "value")
    ranges = null_means(null).groupby(keys)["value"].quantile([0.025, 0.975]).unstack()
    means = means.merge(ranges.set_axis(["null_low", "null_high"], axis=1), left_on=keys, right_index=True)
    above = (means["low"] > 0) & (means["mean"] > means["null_high"])
    below = (means["high"] < 0) & (means["mean"] < means["null_low"])
    return means.assign(sign=above.astype(int) - below.astype(int))


def pair_properties(means: pd.DataFrame) -> pd.DataFrame:
    """Properties of each pair over the parameter tensors, by coefficient.

    Args:
        means: of :func:`beyond_null`.

    Returns:
        columns coefficient, estimator_a, estimator_b and :data:`PROPERTIES`: ``strong``, the interval lies above
        :data:`STRONG` in every weight tensor; ``negative`` in a parameter tensor, biases included; ``turning``,
        negative in one and positive in another; ``ranging``, negative in one and strong in another.
    """
    rows = []
    for key, group in means.groupby(["coefficient", *PAIR]):
        weights = group[group["tensor"].map(is_weight_tensor)]
        tensors = group[group["tensor"] != ALL]
        negative, positive = (tensors["sign"] < 0).any(), (tensors["sign"] > 0).any()
        strong = len(weights) > 0 and (weights["low"] >= STRONG).all()
        values = (strong, negative, negative and positive, negative and (tensors["low"] >= STRONG).any())
        rows.append((*key, *map(bool, values)))
    return pd.DataFrame(rows, columns=["coefficient", *PAIR, *PROPERTIES])


def extremes(means: pd.DataFrame) -> pd.DataFrame:
    """The pairs with the lowest and the highest mean of each coefficient in each tensor.

    Args:
        means: of :func:`beyond_null`.

    Returns:
        the columns of ``means`` and ``place``: ``lowest`` or ``highest``. A coefficient that exists for no pair of a
        tensor has no row.
    """
    ordered = means.dropna(subset="mean").sort_values(["coefficient", "tensor", "mean", *PAIR])
    groups = ordered.groupby(["coefficient", "tensor"])
    return pd.concat([groups.head(1).assign(place="lowest"), groups.tail(1).assign(place="highest")])


def null_ranges(means: pd.DataFrame) -> pd.DataFrame:
    """The null of each coefficient in each tensor: its central 95 %, and the number of pairs ``inside``.

    Args:
        means: of :func:`beyond_null`.
    """
    inside = means["mean"].between(means["null_low"], means["null_high"])
    groups = means.assign(inside=inside).groupby(["coefficient", "tensor"])
    return groups.agg({"null_low": "first", "null_high": "first", "inside": "sum"}).reset_index()
