"""Accuracy of a network as its least important weights are removed.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

import pandas as pd

from weight_importance.findings.statistics import intervals

RANDOM = "random"
"""Random order of weights, the baseline."""


def pruning_means(pruning: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy by scope, criterion and fraction removed, with 95 % t intervals over seeds.

    Args:
        pruning: the table ``pruning`` of one study.

    Returns:
        columns ``scope``, ``criterion``, ``fraction``, ``mean``, ``low``, ``high``, ``n``.
    """
    return intervals(pruning, ["scope", "criterion", "fraction"], "accuracy")


def extremes(means: pd.DataFrame) -> pd.DataFrame:
    """Best and worst estimator at each fraction in each scope; the random baseline is excluded.

    Args:
        means: result of :func:`pruning_means`.

    Returns:
        the columns of ``means`` and ``place``: ``best`` or ``worst``.
    """
    ordered = means[means["criterion"] != RANDOM].sort_values(["scope", "fraction", "mean", "criterion"])
    groups = ordered.groupby(["scope", "fraction"])
    return pd.concat([groups.tail(1).assign(place="best"), groups.head(1).assign(place="worst")])
