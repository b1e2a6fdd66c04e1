"""Importances weight by weight: slopes between estimators, and rank-one fits (output factor times input factor).

Works on importances in memory, by estimator and weight tensor, one replica per seed; knows nothing of files or drawing.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import pandas as pd
import torch
from torch import Tensor

from weight_importance.analysis.correlation import log_slopes
from weight_importance.estimators.factors import factor_correlation
from weight_importance.findings.statistics import intervals

Importances = Mapping[str, Mapping[str, Tensor]]
"""Importances by estimator and weight tensor, ``(R, ...)`` for R seeds."""

PREDICTED = (
    ("fisher_exact", "fisher_empirical", 1.0),
    ("fisher_empirical", "mas", 0.5),
    ("fisher_empirical", "si", 0.5),
)
"""Estimators x and y, and the slope of log y on log x that the formulas predict."""


def predicted_pairs(estimators: Sequence[str]) -> Sequence[tuple[str, str, float | None]]:
    """Pairs of :data:`PREDICTED` among estimators; without any, the first three pairs, without a slope."""
    pairs = [pair for pair in PREDICTED if set(pair[:2]) <= set(estimators)]
    return pairs or [(*pair, None) for pair in combinations(estimators, 2)][:3]


def slopes(
    importances: Importances, pairs: Sequence[tuple[str, str, float | None]], seeds: Sequence[int]
) -> pd.DataFrame:
    """Least-squares slopes of log y on log x in every weight tensor, with 95 % intervals over seeds.

    Args:
        importances: importances by all estimators of the pairs.
        pairs: result of :func:`predicted_pairs`.
        seeds: seeds of the replicas.

    Returns:
        columns first, second, predicted, tensor, mean, low, high, n, ``holds``: the interval contains the prediction.
    """
    rows = [
        (first, second, slope, tensor, seed, value)
        for first, second, slope in pairs
        for tensor in importances[first]
        for seed, value in zip(seeds, _slopes(importances[first][tensor], importances[second][tensor]), strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["first", "second", "predicted", "tensor", "seed", "value"])
    means = intervals(frame, ["first", "second", "predicted", "tensor"], "value")
    return means.assign(holds=means["predicted"].between(means["low"], means["high"]))


def _slopes(first: Tensor, second: Tensor) -> list[float]:
    """The slope of each replica."""
    pairs = torch.stack([first.flatten(1), second.flatten(1)], 2).double()
    return [log_slopes(pair)[0, 1].item() for pair in pairs]


def factor_correlations(importances: Importances, seeds: Sequence[int]) -> pd.DataFrame:
    """Correlation of log importance with the logarithm of its rank-one reconstruction.

    Args:
        importances: importances by the estimators to analyse.
        seeds: seeds of the replicas.

    Returns:
        columns estimator, tensor, seed, value.
    """
    rows = [
        (name, tensor, seed, value.item())
        for name, tensors in importances.items()
        for tensor, values in tensors.items()
        for seed, value in zip(seeds, factor_correlation(values), strict=True)
    ]
    return pd.DataFrame(rows, columns=["estimator", "tensor", "seed", "value"])


def not_positive(importances: Importances) -> dict[str, float]:
    """Share of weights whose importance is not positive and has no logarithm, by estimator."""
    return {
        name: sum((values <= 0).sum().item() for values in tensors.values())
        / sum(values.numel() for values in tensors.values())
        for name, tensors in importances.items()
    }
