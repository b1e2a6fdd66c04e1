"""Sampling noise: how reliable importances are, and how they would correlate without it.

Works on importances in memory; knows nothing of files, networks or how an importance came about.
"""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from weight_importance.analysis.correlation import Importances, correlation, entries
from weight_importance.analysis.rows import estimator_rows, pair_rows
from weight_importance.estimators.factors import rank_one
from weight_importance.estimators.weights import is_weight
from weight_importance.files.tables import COLUMNS

PAIRED = {"pearson": ("observed", "across", "disattenuated", "independent"), "spearman": ("observed", "across")}
RELIABILITIES = {"pearson": ("half", "full"), "spearman": ("half",)}
"""Quantities of each coefficient: see :func:`noise`."""

RESIDUAL = ("residual_half", "residual_full")
"""The same of the residual of a weight tensor beyond its two factors, by Pearson: see :func:`residual`."""


def reliabilities(
    study: str,
    importances: Importances,
    halves: Sequence[Importances],
    means: Sequence[bool],
    seeds: Sequence[int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables ``explanation_reliability`` and ``explanation_noise``: :func:`noise` of every tensor.

    Args:
        study: for the first column.
        importances: estimator to parameter name to importance ``(R, *shape)``.
        halves: the same on either half of the samples; ``nan`` for an estimator without samples.
        means: of every estimator whether it is a mean over samples.
        seeds: the seed of each of the R replicas.
    """
    names, mean = list(importances), torch.tensor(means)
    weights = [name for name, values in next(iter(importances.values())).items() if is_weight(values[0])]
    own, pairs = [], []
    tensors = (entries(each, seeds) for each in (importances, *halves))
    for (seed, tensor, full), (_, _, first), (_, _, second) in zip(*tensors, strict=True):
        for coefficient in PAIRED:
            reliable, correlations = noise(full, first, second, coefficient, mean)
            keys = {"study": study, "tensor": tensor, "coefficient": coefficient, "seed": seed}
            if coefficient == "pearson" and tensor in weights:
                reliable |= residual_reliability(halves, tensor, [*seeds].index(seed), mean)
            own.append(estimator_rows(keys, names, "quantity", reliable))
            pairs.append(pair_rows(keys, names, "quantity", correlations))
    return (
        pd.concat(own, ignore_index=True)[list(COLUMNS["explanation_reliability"])],
        pd.concat(pairs, ignore_index=True)[list(COLUMNS["explanation_noise"])],
    )


def residual(values: Tensor) -> Tensor:
    """The differences between single weights that two factors leave: what :func:`rank_one` does not reproduce.

    Args:
        values: importance of a weight tensor ``(out, ...)``; negative entries count as zero.
    """
    rows = values.flatten(1).double()
    return rows.clamp_min(0) - rank_one(rows)


def residual_reliability(halves: Sequence[Importances], tensor: str, replica: int, means: Tensor) -> dict[str, Tensor]:
    """By the names in :data:`RESIDUAL` the reliability of every estimator's :func:`residual` in one weight tensor."""
    first, second = (
        torch.stack([residual(each[tensor][replica]).flatten() for each in half.values()], 1).cpu() for half in halves
    )
    half, _ = reliability(first, second, "pearson")
    return dict(zip(RESIDUAL, (half, torch.where(means, spearman_brown(half), torch.nan)), strict=True))


def spearman_brown(half: Tensor) -> Tensor:
    """The reliability of a mean over all samples from the correlation of the means over two halves of them.

    2r / (1 + r), Spearman (1910) and Brown (1910). It holds for the Pearson correlation of means over samples, whose
    noise has twice the variance on half of the samples and the same expectation, and for nothing else.
    """
    return 2 * half / (1 + half)


def reliability(first: Tensor, second: Tensor, coefficient: str) -> tuple[Tensor, Tensor]:
    """Correlations between importances on two disjoint halves of the samples.

    Args:
        first, second: float64 ``(n, E)`` on either half; ``nan`` throughout for an estimator without samples.
        coefficient: as in :func:`weight_importance.analysis.correlation.correlation`.

    Returns:
        ``(E,)`` of each estimator with itself, and ``(E, E)`` of each on one half with each on the other (mean of both
        ways): the sampling noise of the two is independent.
    """
    count = first.shape[1]
    across = correlation(torch.cat([first, second], 1), coefficient)[:count, count:]
    return across.diagonal().clone(), (across + across.T) / 2


def disattenuated(observed: Tensor, reliabilities: Tensor) -> Tensor:
    """Correlations divided by the root of both reliabilities: what they would be without noise (Spearman 1904, eq. 3).

    It may exceed 1: where noise is shared, as between two estimators on the same samples, and by chance.

    Args:
        observed: ``(E, E)``.
        reliabilities: ``(E,)``.

    Returns:
        ``(E, E)``; ``nan`` where a reliability is not above zero.
    """
    usable = torch.where(reliabilities > 0, reliabilities, torch.nan)
    return observed / (usable * usable[:, None]).sqrt()


def noise(
    full: Tensor, first: Tensor, second: Tensor, coefficient: str, means: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Reliabilities, and pair correlations with and without sampling noise, in one tensor.

    By Pearson, the correlation across halves over the root of both correlations of the halves is that of the
    expectations over samples, whatever the estimator; for one that is no mean over samples these are the expectations
    on half as many, bias included. From halves to all samples leads :func:`spearman_brown`, for means only.

    Ranks are no sums of a true rank and independent noise, so that for them neither division nor formula holds; there
    is a correction on the scale of normal scores (Rosner and Glynn 2007), under assumptions that importances, with
    their many values near zero, do not meet. Quantities based on ranks need no correction: how each estimator agrees
    with itself and with the others across halves.

    Args:
        full: float64 ``(n, E)`` on all samples.
        first, second: the same on either half of the samples.
        coefficient: as in :func:`weight_importance.analysis.correlation.correlation`.
        means: ``(E,)``, which estimators are means over samples.

    Returns:
        - by the names in :data:`RELIABILITIES` ``(E,)``: ``half``, the correlation of the halves, and, of means by
          Pearson, ``full``, that after :func:`spearman_brown`;
        - by the names in :data:`PAIRED` ``(E, E)``: ``observed`` on all samples; ``across``, the correlation across
          halves; and by Pearson ``disattenuated``, ``observed`` divided by the root of both ``full``; ``independent``,
          ``across`` divided by the root of both ``half``.
    """
    half, across = reliability(first, second, coefficient)
    observed = correlation(full, coefficient)
    own, pairs = {"half": half}, {"observed": observed, "across": across}
    if coefficient == "pearson":
        own["full"] = torch.where(means, spearman_brown(half), torch.nan)
        pairs |= {"disattenuated": disattenuated(observed, own["full"]), "independent": disattenuated(across, half)}
    return own, pairs
