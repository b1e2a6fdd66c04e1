"""Correlations of accumulated importances on networks that learnt the same tasks under different penalties.

Works on importances in memory; knows nothing of files, networks or how importances are computed.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from weight_importance.analysis.correlation import Importances, correlation, entries
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
        columns = torch.cat([values for _, _, values in parts], 1)
        for coefficient in COEFFICIENTS:
            keys = {"study": study, "tensor": tensor, "coefficient": coefficient}
            keys |= {"tasks_learnt": tasks_learnt, "seed": seed}
            every = correlation(columns, coefficient).unflatten(0, (-1, len(names))).unflatten(2, (-1, len(names)))
            shared.append(pair_rows(keys, names, "quantity", {"shared": on_all_trajectories(every)}))
            of_own = on_trajectories(every[:, places][:, :, :, places])
            own.append(pair_rows(keys, list(reached), "quantity", of_own))
    return (
        pd.concat(own, ignore_index=True)[list(COLUMNS["explanation_trajectories"])],
        pd.concat(shared, ignore_index=True)[list(COLUMNS["explanation_shared"])],
    )


def on_trajectories(every: Tensor) -> dict[str, Tensor]:
    """Correlations between estimators on the same and on different networks, as in :data:`TRAJECTORIES`.

    Let x[a, b] be the importance by estimator b on the network trained with the penalty of a:

    - ``same`` [a, b]: two estimators on the same network, the mean of (x[a, a], x[a, b]) and (x[b, a], x[b, b]);
    - ``own`` [a, b]: each estimator on its own network, (x[a, a], x[b, b]);
    - ``across`` [a, b]: one estimator on both networks, the mean of (x[a, a], x[b, a]) and (x[a, b], x[b, b]).

    Args:
        every: correlation of x[a, b] with x[c, d], ``(A, A, A, A)``.

    Returns:
        name → ``(A, A)``.
    """
    count = len(every)
    a, b = torch.meshgrid(torch.arange(count), torch.arange(count), indexing="ij")
    return {
        "same": (every[a, a, a, b] + every[b, a, b, b]) / 2,
        "own": every[a, a, b, b],
        "across": (every[a, a, b, a] + every[a, b, b, b]) / 2,
    }


def on_all_trajectories(every: Tensor) -> Tensor:
    """Correlations between all estimators on the same network, averaged over the networks of all trajectories.

    Args:
        every: correlation of the importance by estimator b on network a with that by d on c, ``(A, E, A, E)``.

    Returns:
        ``(E, E)``.
    """
    return every.diagonal(dim1=0, dim2=2).mean(-1)
