"""All estimators of a study at a glance: their similarity, groups, retention and pruning scores.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from weight_importance.files.tables import is_weight_tensor
from weight_importance.findings.correlation import PAIR
from weight_importance.findings.retention import at_selected_lambda, is_at_edge
from weight_importance.findings.statistics import final_accuracy, intervals
from weight_importance.findings.tensors import ALL

COEFFICIENT = "spearman"
"""Of the map: ranks do not depend on the scale and the power of an estimator."""

SCOPE = "network"
"""Of the pruning score: weights are ranked over the whole network."""

KEPT_TOGETHER = 0.9
"""The mean correlation from which on estimators form a group."""

THE_SAME = {"ggn": "fisher_exact", "hessian_diagonal": "fisher_exact"}
"""Estimators that equal another one: Gauss-Newton by definition (under cross-entropy of a softmax), the Hessian's
diagonal in networks that are piecewise linear in every tensor, as those of the studies are."""

SAME_RANKS = THE_SAME | {"root_fisher": "fisher_exact", "si_penalised": "si"}
"""Estimators with the ranks of another one after the first task; pruning depends on these alone. A penalty depends on
values, and on later tasks the penalised gradient differs."""

PERMUTATIONS = 9999
"""Of the scores, for the null of :func:`alike_do_alike`."""

ENDS = ("mean", "low", "high", "n")


@dataclass(frozen=True)
class Relation:
    """A correlation of two importances that was published.

    Attributes:
        pair: two estimators.
        least: the lowest published value, with :attr:`decimals` digits.
        most: the highest one.
        decimals: digits the publication gives.
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
task of permuted MNIST in a network 784-2000-2000-10, SI before its division. That network was trained for 20 epochs
with batches of 256, and all but SI and SOS took 1,000 images (github.com/freedbee/continual_regularisation,
``MNIST/correlations_scatter_comparison.py``)."""


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


@dataclass(frozen=True)
class Mantel:
    """Mantel's statistic: a correlation over pairs, and how often chance gives one as far from zero.

    Attributes:
        r: rank correlation over pairs.
        p: two-sided, by permutation of estimators; ``nan`` with ``r``.
        n: estimators.
    """

    r: float
    p: float
    n: int


def alike_do_alike(
    square: pd.DataFrame, scores: pd.Series, same: Mapping[str, str] = THE_SAME, permutations: int = PERMUTATIONS
) -> Mantel:
    """Whether similar estimators have similar scores (Mantel 1967, with ranks).

    Over all pairs of estimators, the rank correlation of their similarity with minus the difference of their scores.
    Pairs share estimators and are not independent: the null permutes the scores over the estimators. It does not hold
    for estimators that are equal by definition, which always have equal scores; so only one of them counts.

    Args:
        square: of :func:`similarity`.
        scores: by estimator; those that are not in both do not count.
        same: :data:`THE_SAME`, or :data:`SAME_RANKS` for scores that depend on ranks alone.
        permutations: how many.

    Returns:
        ``nan`` with fewer than four estimators, or where all pairs have one similarity or one difference.
    """
    known = [name for name in square.index if name in scores.index and np.isfinite(scores[name])]
    names = [name for name in known if name not in left_out(known, same)]
    upper = np.triu_indices(len(names), k=1)
    alike = square.loc[names, names].fillna(0.0).to_numpy()[upper]
    values = scores[names].to_numpy(float)
    if len(names) < 4 or np.ptp(alike) == 0 or np.ptp(values) == 0:
        return Mantel(np.nan, np.nan, len(names))
    near = np.zeros((len(names), len(names)))
    near[upper] = _standardised(rankdata(-np.abs(values[upper[0]] - values[upper[1]])))
    near += near.T
    alike = _standardised(rankdata(alike))
    random = np.random.default_rng(0)
    orders = [np.arange(len(names)), *(random.permutation(len(names)) for _ in range(permutations))]
    found = np.array([alike @ near[order[upper[0]], order[upper[1]]] for order in orders])
    # the observed order is one of the permutations; rounding must not separate it from equal ones
    return Mantel(float(found[0]), float((np.abs(found) >= abs(found[0]) - 1e-12).mean()), len(names))


def left_out(names: Sequence[str], same: Mapping[str, str]) -> list[str]:
    """Those of the estimators that are another of them by definition."""
    return [name for name in names if same.get(name) in names]


def _standardised(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    return centred / np.linalg.norm(centred)


VERDICTS = ("as published", "lower", "higher", "undecided")


def relations(correlation: pd.DataFrame, published: Sequence[Relation] = RELATIONS) -> pd.DataFrame:
    """The published correlations whose estimators a study has, with those of the study.

    Args:
        correlation: the table ``correlation`` of one study.
        published: what is published.

    Returns:
        columns estimator_a, estimator_b, least, most, decimals, source, mean, low, high, n (interval over networks),
        and ``verdict``, one of :data:`VERDICTS`: ``as published`` where the mean comes out as published once rounded to
        the published digits, else ``lower`` or ``higher`` where the whole interval does, else ``undecided``.
    """
    rows = correlation[(correlation["coefficient"] == "pearson") & (correlation["tensor"] == ALL)]
    ours = {frozenset(row[name] for name in PAIR): row for row in intervals(rows, PAIR, "value").to_dict("records")}
    found = []
    for relation in published:
        row = ours.get(frozenset(relation.pair))
        if row is not None:
            theirs = {name: getattr(relation, name) for name in ("least", "most", "decimals", "source")}
            about = dict(zip(PAIR, relation.pair, strict=True)) | theirs | {name: row[name] for name in ENDS}
            found.append(about | {"verdict": _verdict(relation, row)})
    return pd.DataFrame(found, columns=[*PAIR, "least", "most", "decimals", "source", *ENDS, "verdict"])


def _verdict(relation: Relation, ours: Mapping[str, float]) -> str:
    if relation.least <= round(ours["mean"], relation.decimals) <= relation.most:
        return "as published"
    half = 0.5 * 10**-relation.decimals
    if ours["high"] < relation.least - half:
        return "lower"
    return "higher" if ours["low"] > relation.most + half else "undecided"
