"""All estimators of a study at a glance: their similarity, groups, retention and pruning scores.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from weight_importance.files.tables import is_weight_tensor
from weight_importance.findings.baselines import NONE, estimators_of
from weight_importance.findings.correlation import PAIR
from weight_importance.findings.retention import at_selected_lambda, is_at_edge
from weight_importance.findings.statistics import final_accuracy, intervals

COEFFICIENT = "spearman"
"""Of the map: ranks do not depend on the scale and the power of an estimator."""

SCOPE = "network"
"""Of the pruning score: weights are ranked over the whole network."""

KEPT_TOGETHER = 0.9
"""The mean correlation from which on estimators form a group."""

ENDS = ("mean", "low", "high", "n")


def similarity(correlation: pd.DataFrame, coefficient: str = COEFFICIENT) -> pd.DataFrame:
    """The mean correlation of every two estimators: over weight tensors in each network, then over networks.

    Biases and scales of normalisation do not count, as they have few entries.

    Args:
        correlation: the table ``correlation`` of one study.
        coefficient: which of its coefficients.

    Returns:
        a symmetric square with estimators as index and columns, in the table's order, and 1 on the diagonal; ``nan``
        for a pair that correlates in no tensor (one of the two is constant in each).
    """
    rows = correlation[(correlation["coefficient"] == coefficient) & correlation["tensor"].map(is_weight_tensor)]
    of_seed = rows.groupby([*PAIR, "seed"], sort=False)["value"].mean()
    means = of_seed.groupby(PAIR, sort=False).mean()
    names = list(dict.fromkeys([*rows["estimator_a"], *rows["estimator_b"]]))
    square = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for (first, second), mean in means.items():
        square.loc[first, second] = square.loc[second, first] = mean
    return square


def tree(square: pd.DataFrame) -> np.ndarray:
    """The clustering of estimators by average linkage of 1 - correlation, as SciPy's linkage, leaves optimally ordered.

    Args:
        square: of :func:`similarity`, of two estimators or more; a pair without a correlation counts as uncorrelated.
    """
    distance = 1 - square.fillna(0.0).to_numpy()
    np.fill_diagonal(distance, 0.0)
    return linkage(squareform(distance, checks=False), method="average", optimal_ordering=True)


def clustered(square: pd.DataFrame) -> list[str]:
    """The estimators in the order of the tree's leaves."""
    if len(square) < 2:
        return list(square.index)
    return [square.index[leaf] for leaf in leaves_list(tree(square))]


def groups(square: pd.DataFrame, least: float = KEPT_TOGETHER) -> list[list[str]]:
    """The groups of two or more estimators whose branches join at a mean correlation of ``least`` or more.

    Args:
        square: of :func:`similarity`.
        least: between -1 and 1.

    Returns:
        groups and their members in the order of the tree's leaves.
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
    found = [sorted(names, key=order.index) for names in top.values()]
    return sorted(found, key=lambda names: order.index(names[0]))


def retention_scores(retention: pd.DataFrame, selected: pd.DataFrame) -> pd.DataFrame:
    """Average test accuracy of each estimator after the last task, at its selected λ.

    Args:
        retention: the table ``retention`` of one study, or an empty one.
        selected: the table ``selected_lambda`` of the same study.

    Returns:
        columns estimator, lambda, mean, low, high, n (95 % interval over networks), and ``at_edge``: λ is at an
        end of its grid. ``none`` is without a penalty. An estimator of which every λ diverged is left out.
    """
    if retention.empty:
        return pd.DataFrame(columns=["estimator", "lambda", *ENDS, "at_edge"])
    retention = retention[retention["estimator"].isin([*estimators_of(retention["estimator"].unique()), NONE])]
    final = final_accuracy(retention, "test")
    found = intervals(at_selected_lambda(final, selected), ["estimator", "lambda"], "accuracy")
    tried = final.groupby("estimator")["lambda"].unique()
    edges = [is_at_edge(row["lambda"], tried[row["estimator"]]) for row in found.to_dict("records")]
    return found.assign(at_edge=edges)


def pruning_scores(pruning: pd.DataFrame, scope: str = SCOPE) -> pd.DataFrame:
    """Test accuracy averaged over the fraction of weights removed, least important first, by estimator.

    The average is the area under the curve (trapezoids between the shares tried) over its width.

    Args:
        pruning: the table ``pruning`` of one study, or an empty one.
        scope: ``network`` or ``tensor``: where weights are ranked.

    Returns:
        columns criterion, mean, low, high, n (95 % interval over networks); ``random`` is a criterion, too.
    """
    rows = pruning[pruning["scope"] == scope].sort_values("fraction")
    areas = [
        (criterion, seed, np.trapezoid(curve["accuracy"], curve["fraction"]) / np.ptp(curve["fraction"]))
        for (criterion, seed), curve in rows.groupby(["criterion", "seed"], sort=False)
        if curve["fraction"].nunique() > 1
    ]
    return intervals(pd.DataFrame(areas, columns=["criterion", "seed", "area"]), ["criterion"], "area")
