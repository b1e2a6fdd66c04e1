"""Mantel test between families of estimators: do similar importances perform similarly?

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from weight_importance.findings.correlation import PAIR, square_of_pairs

FAMILIES: Mapping[str, str] = {
    **dict.fromkeys(
        ("fisher_exact", "fisher_empirical", "fisher_sampled", "fisher_predicted", "fisher_batched", "ggn", "squisher",
         "absolute_fisher", "root_fisher", "hessian_diagonal"),
        "Fisher information",
    ),
    **dict.fromkeys(("mas", "mas_batched", "mas_logits", "mas_logits_norm", "masx"), "MAS"),
    **dict.fromkeys(
        ("si", "si_bias", "si_penalised", "si_unbiased", "si_undivided", "onaf", "sos", "rwalk"), "path"
    ),
    **dict.fromkeys(("total_signal", "wanda"), "signal"),
}  # fmt: skip
"""Families of estimators: variants of one formula, equal up to a power, or equal in piecewise linear networks (such as
the Hessian diagonal and the exact Fisher information). Any other estimator forms a separate family."""

MOST_PERMUTATIONS = 9999
"""Largest number of permutations of the families' scores: all if there are no more, otherwise a random sample."""

USES = ("retention", "pruning")
"""Uses of importances; similarity is measured on the form that each use takes."""


@dataclass(frozen=True)
class Mantel:
    """Mantel statistic: a correlation over pairs with its permutation p value.

    Attributes:
        r: rank correlation over pairs of families.
        p: two-sided p value, by permutation of families; ``nan`` with ``r``.
        n: number of families.
    """

    r: float
    p: float
    n: int


def similarity(used: pd.DataFrame, use: str) -> pd.DataFrame:
    """Mean correlation over networks of importances in the form that a use takes, as a symmetric matrix.

    Args:
        used: the table ``correlation_used`` of one study.
        use: one of :data:`USES`.
    """
    rows = used[used["use"] == use]
    names = list(dict.fromkeys([*rows["estimator_a"], *rows["estimator_b"]]))
    return square_of_pairs(rows.groupby(PAIR, sort=False)["value"].mean(), names)


def mantel_test(square: pd.DataFrame, scores: pd.Series) -> Mantel:
    """Test whether similar families of estimators have similar scores (Mantel 1967, with ranks).

    Estimators of one family are variants of one formula, with similar scores by construction; they are not independent
    evidence, and permuting single estimators would only recover the families. A family's score is the mean over its
    members, the similarity of two families the mean over pairs of members. The statistic is the rank correlation, over
    all pairs of families, of similarity with the negative absolute difference of scores; the null permutes the scores
    over families.

    Args:
        square: result of :func:`similarity`.
        scores: scores by estimator; estimators missing from either input are ignored.

    Returns:
        ``nan`` with fewer than four families, or if all similarities or all scores are equal.
    """
    names = [name for name in square.index if name in scores.index and np.isfinite(scores[name])]
    families = [FAMILIES.get(name, name) for name in names]
    unique = list(dict.fromkeys(families))
    member = np.array([[family == other for other in families] for family in unique], float).reshape(len(unique), -1)
    member /= member.sum(1, keepdims=True)
    values = member @ scores[names].to_numpy(float)
    between = member @ square.loc[names, names].fillna(0.0).to_numpy() @ member.T
    upper = np.triu_indices(len(unique), k=1)
    similarities, distances = between[upper], np.abs(values[:, None] - values[None])
    if len(unique) < 4 or np.ptp(similarities) == 0 or np.ptp(values) == 0:
        return Mantel(math.nan, math.nan, len(unique))
    near = np.zeros(distances.shape)
    near[upper] = _standardised(rankdata(-distances[upper]))
    near += near.T
    similarities = _standardised(rankdata(similarities))
    correlations = np.array([similarities @ near[order[upper[0]], order[upper[1]]] for order in _orders(len(unique))])
    # the observed order comes first; rounding must not separate it from ties
    return Mantel(
        float(correlations[0]), float((np.abs(correlations) >= abs(correlations[0]) - 1e-12).mean()), len(unique)
    )


def _orders(count: int) -> np.ndarray:
    if math.factorial(count) <= MOST_PERMUTATIONS:
        return np.array([*permutations(range(count))])
    random = np.random.default_rng(0)
    return np.array([np.arange(count), *(random.permutation(count) for _ in range(MOST_PERMUTATIONS))])


def _standardised(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    return centred / np.linalg.norm(centred)
