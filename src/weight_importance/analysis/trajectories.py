"""Correlations of accumulated importances on networks that learnt the same tasks under different penalties.

Works on importances in memory; knows nothing of files, networks or how importances are computed.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from weight_importance.analysis.correlation import Importances, average_ranks, correlation, entries
from weight_importance.analysis.rows import pair_rows
from weight_importance.files.tables import COLUMNS

COEFFICIENTS = ("pearson", "spearman")
TRAJECTORIES = ("same", "own", "across")


def trajectories(
    study: str, tasks_learnt: int, reached: Mapping[str, Importances], seeds: Sequence[int]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the tables ``explanation_trajectories`` and ``explanation_shared`` after a number of tasks.

    Args:
        study: name for the first column.
        tasks_learnt: the number of tasks.
        reached: accumulated importances ``(R, *shape)`` by all estimators, by the estimator in the penalty.
        seeds: the seed of each of the R replicas.
    """
    names = list(next(iter(reached.values())))
    places = torch.tensor([names.index(name) for name in reached])
    own, shared = [], []
    for parts in zip(*(entries(importances, seeds) for importances in reached.values()), strict=True):
        seed, tensor, _ = parts[0]
        values = torch.stack([values for _, _, values in parts], 1)
        ranks = average_ranks(values.flatten(1)).view_as(values)
        for coefficient, compared in zip(COEFFICIENTS, (values, ranks), strict=True):
            keys = {"study": study, "tensor": tensor, "coefficient": coefficient}
            keys |= {"tasks_learnt": tasks_learnt, "seed": seed}
            every = on_all_trajectories(compared)
            shared.append(pair_rows(keys, names, "quantity", {"shared": every}).drop(columns="quantity"))
            of_own = on_trajectories(compared[:, :, places])
            own.append(pair_rows(keys, list(reached), "quantity", of_own))
    return (
        pd.concat(own, ignore_index=True)[list(COLUMNS["explanation_trajectories"])],
        pd.concat(shared, ignore_index=True)[list(COLUMNS["explanation_shared"])],
    )


def on_trajectories(values: Tensor) -> dict[str, Tensor]:
    """Pearson correlations between estimators on the same and on different networks, as in :data:`TRAJECTORIES`.

    Let x[a, b] be the importance by estimator b on the network trained with the penalty of a:

    - ``same`` [a, b]: two estimators on the same network, the mean of (x[a, a], x[a, b]) and (x[b, a], x[b, b]);
    - ``own`` [a, b]: each estimator on its own network, (x[a, a], x[b, b]);
    - ``across`` [a, b]: one estimator on both networks, the mean of (x[a, a], x[b, a]) and (x[a, b], x[b, b]).

    Args:
        values: x, float64 ``(n, A, A)``.

    Returns:
        name → ``(A, A)``.
    """
    count = values.shape[1]
    every = correlation(values.flatten(1), "pearson").view(count, count, count, count)
    a, b = torch.meshgrid(torch.arange(count), torch.arange(count), indexing="ij")
    return {
        "same": (every[a, a, a, b] + every[b, a, b, b]) / 2,
        "own": every[a, a, b, b],
        "across": (every[a, a, b, a] + every[a, b, b, b]) / 2,
    }


def on_all_trajectories(values: Tensor) -> Tensor:
    """Pearson correlations between all estimators on one network, averaged over the networks of all trajectories.

    Args:
        values: float64 ``(n, A, E)``, the importances by E estimators on each of A networks.

    Returns:
        ``(E, E)``.
    """
    return torch.stack([correlation(network, "pearson") for network in values.unbind(1)]).mean(0)
