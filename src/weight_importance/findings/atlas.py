"""All estimators of a study at a glance: similarity, groups, retention scores and pruning scores.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from weight_importance.files.tables import is_weight_tensor
from weight_importance.findings.baselines import NONE, estimators_of
from weight_importance.findings.correlation import PAIR, square_of_pairs
from weight_importance.findings.retention import at_selected_lambda, is_at_edge
from weight_importance.findings.statistics import final_accuracy, intervals

COEFFICIENT = "spearman"
"""Coefficient of the map: ranks do not depend on an estimator's scale or power."""

SCOPE = "network"
"""Scope of the pruning score: weights are ranked over the whole network."""

GROUP_CORRELATION = 0.9
"""Lowest mean correlation at which estimators form a group."""

ENDS = ("mean", "low", "high", "n")


def similarity(correlation: pd.DataFrame, coefficient: str = COEFFICIENT) -> pd.DataFrame:
    """Mean correlation of each pair of estimators: over weight tensors within each network, then over networks.

    Biases and normalisation scales are excluded because they have few entries.

    Args:
        correlation: the table ``correlation`` of one study.
        coefficient: correlation coefficient to average.

    Returns:
        a symmetric matrix with estimators as index and columns, in table order, and 1 on the diagonal; ``nan`` for a
        pair without a correlation in any tensor (one of the two is constant in each).
    """
    rows = correlation[(correlation["coefficient"] == coefficient) & correlation["tensor"].map(is_weight_tensor)]
    of_seed = rows.groupby([*PAIR, "seed"], sort=False)["value"].mean()
    names = list(dict.fromkeys([*rows["estimator_a"], *rows["estimator_b"]]))
    return square_of_pairs(of_seed.groupby(PAIR, sort=False).mean(), names)


def tree(square: pd.DataFrame) -> np.ndarray:
    """Cluster estimators by average linkage of 1 - correlation; returns a SciPy linkage with optimally ordered leaves.

    Args:
        square: result of :func:`similarity`, with at least two estimators; a missing correlation counts as zero.
    """
    distance = 1 - square.fillna(0.0).to_numpy()
    np.fill_diagonal(distance, 0.0)
    return linkage(squareform(distance, checks=False), method="average", optimal_ordering=True)


def clustered(square: pd.DataFrame) -> list[str]:
    """Estimators in the leaf order of the tree."""
    if len(square) < 2:
        return list(square.index)
    return [square.index[leaf] for leaf in leaves_list(tree(square))]


def groups(square: pd.DataFrame, least: float = GROUP_CORRELATION) -> list[list[str]]:
    """Groups of two or more estimators whose branches join at a mean correlation of at least ``least``.

    Args:
        square: result of :func:`similarity`.
        least: between -1 and 1.

    Returns:
        groups and their members in the leaf order of the tree.
    """
    if len(square) < 2:
        return []
    joined = tree(square)
    members: list[list[str]] = [[name] for name in square.index]
    top: dict[int, list[str]] = {}
    for step, (left, right, distance, _) in enumerate(joined):
        members.append(members[int(left)] + members[int(right)])
        if distance <= 1 - least:
            top.pop(int(left), None)
            top.pop(int(right), None)
            top[len(square) + step] = members[-1]
    order = clustered(square)
    ordered = [sorted(names, key=order.index) for names in top.values()]
    return sorted(ordered, key=lambda names: order.index(names[0]))


def retention_scores(retention: pd.DataFrame, selected: pd.DataFrame) -> pd.DataFrame:
    """Average test accuracy of each estimator after the last task, at its selected λ.

    Args:
        retention: the table ``retention`` of one study, or an empty one.
        selected: the table ``selected_lambda`` of the same study.

    Returns:
        columns estimator, lambda, mean, low, high, n (95 % interval over networks), and ``at_edge``: λ is at an end of
        its grid. ``none`` has no penalty. An estimator is omitted if every λ diverged.
    """
    if retention.empty:
        return pd.DataFrame(columns=["estimator", "lambda", *ENDS, "at_edge"])
    retention = retention[retention["estimator"].isin([*estimators_of(retention["estimator"].unique()), NONE])]
    final = final_accuracy(retention, "test")
    scores = intervals(at_selected_lambda(final, selected), ["estimator", "lambda"], "accuracy")
    tried = final.groupby("estimator")["lambda"].unique()
    edges = [is_at_edge(row["lambda"], tried[row["estimator"]]) for row in scores.to_dict("records")]
    return scores.assign(at_edge=edges)


def pruning_scores(pruning: pd.DataFrame, scope: str = SCOPE) -> pd.DataFrame:
    """Mean test accuracy over the fraction of weights removed, least important first, by estimator.

    Args:
        pruning: the table ``pruning`` of one study, or an empty one.
        scope: scope of the ranking of weights, ``network`` or ``tensor``.

    Returns:
        columns criterion, mean, low, high, n (95 % interval over networks); ``random`` is also a criterion.
    """
    return intervals(pruning_areas(pruning[pruning["scope"] == scope]), ["criterion"], "area")


def pruning_areas(pruning: pd.DataFrame) -> pd.DataFrame:
    """Area under each network's accuracy against the fraction removed, divided by the width of the fractions tried.

    Args:
        pruning: the table ``pruning`` of one study, or an empty one.

    Returns:
        columns scope, criterion, seed, area (trapezoidal rule).
    """
    keys = ["scope", "criterion", "seed"]
    areas = [
        (*key, np.trapezoid(curve["accuracy"], curve["fraction"]) / np.ptp(curve["fraction"]))
        for key, curve in pruning.sort_values("fraction").groupby(keys, sort=False)
        if curve["fraction"].nunique() > 1
    ]
    return pd.DataFrame(areas, columns=[*keys, "area"])
