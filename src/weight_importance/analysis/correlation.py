"""Similarity of importances by different estimators: four coefficients per pair and tensor, and their null.

Works on importances in memory, one seed at a time; knows nothing of files, networks or how importances are computed.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from weight_importance.analysis.ranks import average_ranks, largest
from weight_importance.analysis.rows import pair_rows
from weight_importance.files.tables import COLUMNS
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.progress import counted
from weight_importance.runtime.seeding import generator

COEFFICIENTS = ("pearson", "spearman", "pearson_log", "overlap_top10")
ALL = "all"

TOP_SHARE = 0.1
FEWEST_ENTRIES = 3
# Logarithms of a pair's common entries count as constant if centring leaves at most this share of their sum of
# squares: the spread is then below 1e-5 of their distance from the tensor's mean logarithm, mostly rounding error.
CONSTANT_SHARE = 1e-10
BLOCK = 1024  # entries per product: few enough for the processor's cache

Importances = Mapping[str, Mapping[str, Tensor]]


def correlate(
    study: str, importances: Importances, seeds: Sequence[int], permutations: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Correlate the importances of every pair of estimators, per parameter tensor and over all parameters together.

    Let x and y be the n entries of two estimators for one seed, in one parameter tensor or, for the tensor ``all``, in
    all tensors concatenated in the given order:

    - ``pearson``: the product-moment correlation of x and y;
    - ``spearman``: the correlation of their ranks; ties share their average rank;
    - ``pearson_log``: the correlation of log x and log y over the entries positive in both; entries where either is
      zero (a dead input) or negative (synaptic intelligence) are excluded, see :func:`excluded`;
    - ``overlap_top10``: the share of x's k largest entries that are among y's k largest, k = max(1, round(n / 10));
      among ties, the first entry counts as larger. Independent entries give k / n.

    Undefined coefficients are ``nan``: all if x or y is constant, the first three if n is below 3, and ``pearson_log``
    if fewer than 3 entries are positive in both or either is constant over those.

    The null holds the same coefficients after a random permutation of the second estimator's entries, for ``all`` over
    all parameters. One permutation is drawn per seed, tensor and index, independent of everything else; all pairs share
    it. Ties keep their order from before the permutation, so that the overlap's null has mean k / n exactly.

    Args:
        study: name for the first column.
        importances: estimator to parameter name to importance of shape ``(R, *parameter.shape)``.
        seeds: the seed of each of the R replicas.
        permutations: number of permutations for each seed and tensor, at least 1.

    Returns:
        The tables ``correlation`` and ``correlation_null``; estimators a and b of a pair in the given order.

    Raises:
        UserError: there are fewer than two estimators, or an importance is not finite.
        ValueError: the estimators' parameters or shapes differ, or ``permutations`` is below 1.
    """
    _check(importances, seeds)
    if permutations < 1:
        raise ValueError(f"permutations = {permutations}, must be at least 1")
    observed, null = [], []
    total = len(seeds) * (1 + len(next(iter(importances.values()))))
    for seed, tensor, values in counted(entries(importances, seeds), total, "tensors"):
        columns = features(values)
        keys: dict[str, str | int] = {"study": study, "tensor": tensor, "seed": seed}
        observed.append(_rows(keys, list(importances), coefficients(columns, torch.arange(len(values)))))
        for permutation in range(permutations):
            random = generator(f"correlation null of {tensor}", seed, permutation)
            permuted = coefficients(columns, torch.randperm(len(values), generator=random))
            null.append(_rows(keys | {"permutation": permutation}, list(importances), permuted))
    return (
        pd.concat(observed, ignore_index=True)[list(COLUMNS["correlation"])],
        pd.concat(null, ignore_index=True)[list(COLUMNS["correlation_null"])],
    )


def excluded(importances: Importances, seeds: Sequence[int]) -> pd.DataFrame:
    """Share of entries that ``pearson_log`` excludes because either importance is zero or negative.

    Args:
        importances: estimator to parameter name to importance of shape ``(R, *parameter.shape)``.
        seeds: the seed of each of the R replicas.

    Returns:
        A table with columns tensor, estimator_a, estimator_b, seed, excluded.

    Raises:
        UserError, ValueError: as :func:`correlate`.
    """
    _check(importances, seeds)
    rows = []
    for seed, tensor, values in entries(importances, seeds):
        positive = (values > 0).double()
        shares = 1 - (positive.T @ positive) / len(values)
        for (a, first), (b, second) in combinations(enumerate(importances), 2):
            rows.append((tensor, first, second, seed, shares[a, b].item()))
    return pd.DataFrame(rows, columns=["tensor", "estimator_a", "estimator_b", "seed", "excluded"])


def correlation(values: Tensor, coefficient: str) -> Tensor:
    """Correlation of each estimator with each other.

    Args:
        values: float64 ``(n, E)``.
        coefficient: ``pearson``, or ``spearman`` (Pearson correlation of average ranks).

    Returns:
        ``(E, E)``; ``nan`` if an estimator is constant, or n is below 3.
    """
    constant = values.amax(0) == values.amin(0)
    if coefficient == "spearman":
        values = average_ranks(values)
    columns = _standardised(values, constant)
    if len(values) < FEWEST_ENTRIES:
        columns[:] = torch.nan
    [products] = _products(columns, [slice(None)])
    return products.clamp(-1.0, 1.0)  # rounding may push values beyond 1


def features(entries: Tensor) -> Tensor:
    """Features for :func:`coefficients` from the n entries of each of E estimators, computed once for all permutations.

    Args:
        entries: float64 ``(n, E)``.

    Returns:
        ``(n, 6 E)``, six blocks of one column per estimator: centred values and centred average ranks, each scaled to
        unit norm; 1 for the k largest entries, else 0; 1 for a positive entry, else 0; the logarithm of a positive
        entry minus the mean of these, else 0; the square of the latter. The first three blocks are ``nan`` for a
        constant estimator.
    """
    constant = entries.amax(0) == entries.amin(0)
    ranks = average_ranks(entries)
    top = largest(entries, _top(len(entries))).double()
    top[:, constant] = torch.nan
    return torch.cat([_standardised(entries, constant), _standardised(ranks, constant), top, _logarithms(entries)], 1)


def _logarithms(entries: Tensor) -> Tensor:
    """The last three blocks of :func:`features`."""
    positive = entries > 0
    logs = torch.where(positive, entries, 1.0).log()
    logs = torch.where(positive, logs - logs.sum(0) / positive.sum(0).clamp(min=1), 0.0)
    return torch.cat([positive, logs, logs.square()], 1)


def log_slopes(entries: Tensor) -> Tensor:
    """Least-squares slopes of log b on log a over the entries positive in both.

    Args:
        entries: float64 ``(n, E)``.

    Returns:
        ``(E, E)``, element [a, b]; ``nan`` with fewer than three entries, or if log a is constant over them.
    """
    [sums] = _products(_logarithms(entries), [slice(None)])
    spread, _, covariance = _log_moments(sums)
    return covariance / spread


def coefficients(columns: Tensor, order: Tensor) -> np.ndarray:
    """Coefficients of each pair of estimators, with the entries of the second one permuted.

    Args:
        columns: the :func:`features`, ``(n, 6 E)``.
        order: source position of each entry of the second estimator, ``(n,)``.

    Returns:
        The coefficients, ``(len(COEFFICIENTS), E, E)``.
    """
    n, size = len(columns), columns.shape[1] // 6
    parts = [slice(0, size), slice(size, 2 * size), slice(2 * size, 3 * size), slice(3 * size, 6 * size)]
    pearson, spearman, overlap, logs = _products(columns, parts, order)
    if n < FEWEST_ENTRIES:
        pearson, spearman = torch.full_like(pearson, torch.nan), torch.full_like(spearman, torch.nan)
    together = torch.stack([pearson, spearman, _log_correlation(logs), overlap / _top(n)])
    return together.clamp(-1.0, 1.0).numpy()  # rounding may push values beyond 1


def _products(columns: Tensor, parts: Sequence[slice], order: Tensor | None = None) -> list[Tensor]:
    """Products of all pairs of columns within each part, with the rows of the second column permuted by ``order``."""
    widths = [columns[:1, part].shape[1] for part in parts]
    sums = [columns.new_zeros(width, width) for width in widths]
    for start in range(0, len(columns), BLOCK):
        first = columns[start : start + BLOCK]
        second = first if order is None else columns.index_select(0, order[start : start + BLOCK])
        for total, part in zip(sums, parts, strict=True):
            total.addmm_(first[:, part].T, second[:, part])
    return sums


def _log_moments(sums: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of squares of log a and of log b, and of their products, around their means over common positive entries.

    Args:
        sums: ``(3 E, 3 E)``, the products of the last three blocks of features. Each is a sum over the common entries
            because excluded entries are 0.

    Returns:
        Three tensors ``(E, E)``; the first two are ``nan`` with fewer than three entries, or for constant logarithms.
    """
    size = len(sums) // 3
    sums = sums.reshape(3, size, 3, size).transpose(1, 2)
    count, sum_b, squares_b = sums[0]
    sum_a, products, _ = sums[1]
    squares_a = sums[2, 0]
    shared = count.clamp(min=1)
    covariance = products - sum_a * sum_b / shared

    def spread(squares: Tensor, total: Tensor) -> Tensor:
        centred = squares - total.square() / shared
        return torch.where((count >= FEWEST_ENTRIES) & (centred > CONSTANT_SHARE * squares), centred, torch.nan)

    return spread(squares_a, sum_a), spread(squares_b, sum_b), covariance


def _log_correlation(sums: Tensor) -> Tensor:
    """Correlation of logarithms over each pair's common positive entries; ``sums`` as for :func:`_log_moments`."""
    spread_a, spread_b, covariance = _log_moments(sums)
    return covariance / (spread_a.sqrt() * spread_b.sqrt())


def _top(n: int) -> int:
    """Number of top entries among n."""
    return max(1, round(TOP_SHARE * n))


def _standardised(entries: Tensor, constant: Tensor) -> Tensor:
    centred = entries - entries.mean(0)
    scaled = centred / torch.linalg.vector_norm(centred, dim=0)
    scaled[:, constant] = torch.nan
    return scaled


def entries(importances: Importances, seeds: Sequence[int]) -> Iterator[tuple[int, str, Tensor]]:
    """Yield ``(seed, tensor name, entries (n, E) in float64)`` for each seed and tensor, ``all`` last.

    Args:
        importances: estimator to parameter name to importance of shape ``(R, *parameter.shape)``.
        seeds: the seed of each of the R replicas.
    """
    parameters = list(next(iter(importances.values())))
    for replica, seed in enumerate(seeds):
        parts = []
        for parameter in parameters:
            columns = [tensors[parameter][replica].flatten() for tensors in importances.values()]
            parts.append(torch.stack(columns, dim=1).double().cpu())
            yield seed, parameter, parts[-1]
        yield seed, ALL, torch.cat(parts)


def _check(importances: Importances, seeds: Sequence[int]) -> None:
    if len(importances) < 2:
        raise UserError(
            f"correlation needs at least two estimators, found {list(importances)}. List more under 'estimators' in "
            "config.yaml."
        )
    shapes = {
        estimator: {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        for estimator, tensors in importances.items()
    }
    reference = next(iter(shapes.values()))
    for estimator, own_shapes in shapes.items():
        if own_shapes != reference:
            raise ValueError(f"importances of '{estimator}' have shapes {own_shapes}, those of others {reference}")
    for name, shape in reference.items():
        if shape[0] != len(seeds):
            raise ValueError(f"importances of {name} have {shape[0]} replicas for {len(seeds)} seeds")
    for replica, seed in enumerate(seeds):
        for name in reference:
            for estimator, tensors in importances.items():
                if not tensors[name][replica].isfinite().all():
                    raise UserError(
                        f"the importance '{estimator}' of {name} for seed {seed} contains values that are not finite. "
                        "Did the training of this seed diverge? Compare the baseline's accuracy; a smaller "
                        "learning_rate in config.yaml may prevent it."
                    )


def _rows(keys: Mapping[str, str | int], estimators: Sequence[str], values: np.ndarray) -> pd.DataFrame:
    """One row per pair and coefficient of ``values``, ``(len(COEFFICIENTS), E, E)``."""
    return pair_rows(keys, estimators, "coefficient", dict(zip(COEFFICIENTS, values, strict=True)))
