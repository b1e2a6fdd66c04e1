"""Agreement of importances against the confidence of the network, under conditions that change it.

Works on importances in memory; knows nothing of files, networks or how importances are computed.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
from torch import Tensor

from weight_importance.analysis.correlation import Importances, correlation, entries, log_slopes
from weight_importance.analysis.rows import pair_rows
from weight_importance.files.tables import COLUMNS

AGREEMENT = ("pearson", "spearman", "log_slope", "ratio")


def confidence(
    keys: Mapping[str, str | float], quantities: Mapping[str, Sequence[float]], seeds: Sequence[int]
) -> pd.DataFrame:
    """Rows of the table ``explanation_confidence``.

    Args:
        keys: ``study``, ``condition`` and ``level``.
        quantities: values per replica, by quantity.
        seeds: the seed of each replica.
    """
    rows = [
        dict(keys) | {"quantity": quantity, "seed": seed, "value": values[replica]}
        for replica, seed in enumerate(seeds)
        for quantity, values in quantities.items()
    ]
    return pd.DataFrame(rows)[list(COLUMNS["explanation_confidence"])]


def agreements(keys: Mapping[str, str | float], importances: Importances, seeds: Sequence[int]) -> pd.DataFrame:
    """Rows of the table ``explanation_agreement``: :func:`agreement` of every tensor.

    Args:
        keys: ``study``, ``condition`` and ``level``.
        importances: estimator to parameter name to importance ``(R, *shape)``.
        seeds: the seed of each of the R replicas.
    """
    rows = [
        pair_rows(dict(keys) | {"tensor": tensor, "seed": seed}, list(importances), "coefficient", agreement(values))
        for seed, tensor, values in entries(importances, seeds)
    ]
    return pd.concat(rows, ignore_index=True)[list(COLUMNS["explanation_agreement"])]


def agreement(values: Tensor) -> dict[str, Tensor]:
    """Agreement of each pair of estimators, by the names in :data:`AGREEMENT`, each ``(E, E)``.

    ``log_slope`` [a, b] is the least-squares slope of log b on log a over the entries positive in both;
    ``ratio`` [a, b] is the sum of b over the sum of a.

    Args:
        values: float64 ``(n, E)``.
    """
    totals = values.sum(0)
    correlations = {name: correlation(values, name) for name in ("pearson", "spearman")}
    return correlations | {"log_slope": log_slopes(values), "ratio": totals / totals[:, None]}
