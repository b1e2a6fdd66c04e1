"""Sampling noise: the reliability of importances, and their correlations without noise.

Works on importances in memory; knows nothing of files, networks or how importances are computed.
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
"""Pearson reliability of a weight tensor's residual beyond its two factors: see :func:`residual`."""


def reliabilities(
    study: str,
    importances: Importances,
    halves: Sequence[Importances],
    means: Sequence[bool],
    seeds: Sequence[int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables ``explanation_reliability`` and ``explanation_noise``: :func:`noise` of every tensor.

    Args:
        study: name for the first column.
        importances: estimator to parameter name to importance ``(R, *shape)``.
        halves: the same on each half of the samples; ``nan`` for an estimator without samples.
        means: for each estimator, whether it is a mean over samples.
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
            own.append(estimator_rows(keys, names, reliable))
            pairs.append(pair_rows(keys, names, "quantity", correlations))
    return (
        pd.concat(own, ignore_index=True)[list(COLUMNS["explanation_reliability"])],
        pd.concat(pairs, ignore_index=True)[list(COLUMNS["explanation_noise"])],
    )


def residual(values: Tensor) -> Tensor:
    """Residual of a weight tensor beyond its two factors: the differences that :func:`rank_one` does not reproduce.

    Args:
        values: importance of a weight tensor ``(out, ...)``; negative entries count as zero.
    """
    rows = values.flatten(1).double()
    return rows.clamp_min(0) - rank_one(rows)


def residual_reliability(halves: Sequence[Importances], tensor: str, replica: int, means: Tensor) -> dict[str, Tensor]:
    """Reliability of each estimator's :func:`residual` in one weight tensor, by the names in :data:`RESIDUAL`."""
    first, second = (
        torch.stack([residual(each[tensor][replica]).flatten() for each in half.values()], 1).cpu() for half in halves
    )
    half, _ = reliability(first, second, "pearson")
    return dict(zip(RESIDUAL, (half, torch.where(means, spearman_brown(half), torch.nan)), strict=True))


def spearman_brown(half: Tensor) -> Tensor:
    """Reliability of a mean over all samples, from the correlation of the means over two halves.

    2r / (1 + r), Spearman (1910) and Brown (1910). Valid only for the Pearson correlation of means over samples: on
    half of the samples, their noise has twice the variance and the same expectation.
    """
    return 2 * half / (1 + half)


def reliability(first: Tensor, second: Tensor, coefficient: str) -> tuple[Tensor, Tensor]:
    """Correlations between importances on two disjoint halves of the samples.

    Args:
        first, second: float64 ``(n, E)`` on each half; ``nan`` throughout for an estimator without samples.
        coefficient: as in :func:`weight_importance.analysis.correlation.correlation`.

    Returns:
        ``(E,)``, each estimator with itself, and ``(E, E)``, each pair across halves (averaged over both assignments),
        with independent sampling noise.
    """
    count = first.shape[1]
    across = correlation(torch.cat([first, second], 1), coefficient)[:count, count:]
    return across.diagonal().clone(), (across + across.T) / 2


def disattenuated(observed: Tensor, reliabilities: Tensor) -> Tensor:
    """Correlations divided by the root of both reliabilities: estimates without noise (Spearman 1904, eq. 3).

    Values may exceed 1 if two estimators share noise (same samples), or by chance.

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

    For Pearson, the correlation across halves over the root of both half reliabilities is the correlation of the
    expectations over samples, for any estimator; if an estimator is not a mean over samples, these are expectations on
    half the samples, bias included. :func:`spearman_brown` extends halves to all samples, for means only.

    Ranks are not sums of a true rank and independent noise, so neither the division nor the formula applies. A
    correction on the scale of normal scores (Rosner and Glynn 2007) assumes a distribution that importances, with many
    values near zero, do not have. Rank-based quantities need no correction: they report the agreement of each estimator
    with itself and with others across halves.

    Args:
        full: float64 ``(n, E)`` on all samples.
        first, second: the same on each half of the samples.
        coefficient: as in :func:`weight_importance.analysis.correlation.correlation`.
        means: ``(E,)``, which estimators are means over samples.

    Returns:
        - by the names in :data:`RELIABILITIES` ``(E,)``: ``half``, the correlation between halves; for Pearson
          correlations of means also ``full``, the result of :func:`spearman_brown`;
        - by the names in :data:`PAIRED` ``(E, E)``: ``observed``, on all samples; ``across``, across halves; for
          Pearson also ``disattenuated``, ``observed`` over the root of both ``full``; ``independent``, ``across`` over
          the root of both ``half``.
    """
    half, across = reliability(first, second, coefficient)
    observed = correlation(full, coefficient)
    own, pairs = {"half": half}, {"observed": observed, "across": across}
    if coefficient == "pearson":
        own["full"] = torch.where(means, spearman_brown(half), torch.nan)
        pairs |= {"disattenuated": disattenuated(observed, own["full"]), "independent": disattenuated(across, half)}
    return own, pairs
