"""Importances by one estimator against another, binned for display: bytes in place of millions of weights.

Each estimator has one logarithmic axis per tensor, on which each weight of each network gets a one-byte code. Large
tensors store joint counts of two estimators' codes, on a logarithmic scale; small tensors store the codes. Knows
nothing of files, pages or drawing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

BINS = 32
"""Cells along each axis of a large tensor."""

LEVELS = 250
"""Levels along the axis of a small tensor, whose weights are stored individually."""

FEW = 2048
"""Largest number of entries, over all networks, of a small tensor."""

BEYOND, NOT_POSITIVE = 254, 255
"""Codes of values without a position on the logarithmic axis: outside its range; zero or negative."""

QUANTILES = (0.001, 0.999)
"""Quantiles of a large tensor that its axis spans, with a margin: single weights are many decades away."""

STEPS_PER_DOUBLING = 4
"""Steps of the count scale: counts are accurate to 9 %, finer than visible colours; few steps compress well."""


@dataclass(frozen=True)
class Axis:
    """One estimator's axis in one tensor, with the position of each weight.

    Attributes:
        codes: codes of all weights of all networks, uint8 ``(n,)``: 0 to cells - 1, :data:`BEYOND` or
            :data:`NOT_POSITIVE`; the number of cells is :data:`LEVELS` in a small tensor, else :data:`BINS`.
        low, high: decimal logarithms of the axis's ends; ``nan`` without positive values.
    """

    codes: np.ndarray
    low: float
    high: float


@dataclass(frozen=True)
class Density:
    """Pairs of estimators in one tensor.

    Attributes:
        entries: number of weights over all networks.
        few: whether weights are stored individually.
        ranges: ends of each estimator's axis, see :class:`Axis`, ``(E, 2)``.
        positive: number of entries positive for both estimators of each pair, ``(E (E - 1) / 2,)``.
        shown: number of these within both axes, the same shape.
        content: uint8; if ``few``, codes, ``(E, entries)``; else levels of counts, ``(pairs, BINS, BINS)``, with the
            pair's first estimator along the first of both axes; see :func:`level_of`.
    """

    entries: int
    few: bool
    ranges: np.ndarray
    positive: np.ndarray
    shown: np.ndarray
    content: np.ndarray


def axis(values: np.ndarray) -> Axis:
    """Positions of one estimator's importances on its logarithmic axis.

    The axis spans the :data:`QUANTILES` of the positive values of a large tensor, or all positive values of a small
    one, with a margin of 5 % on both sides.

    Args:
        values: importances of all weights of all networks in one tensor, ``(n,)``.
    """
    few = len(values) <= FEW
    cells, quantiles = (LEVELS, (0.0, 1.0)) if few else (BINS, QUANTILES)
    codes = np.full(len(values), NOT_POSITIVE, dtype=np.uint8)
    positive = values > 0
    if not positive.any():
        return Axis(codes, np.nan, np.nan)
    logs = np.log10(values[positive], dtype=np.float64)
    low, high = np.quantile(logs, quantiles)
    margin = max(0.05 * (high - low), 0.05)  # if all values are equal, the axis still has a length
    low, high = float(low - margin), float(high + margin)
    places = np.floor((logs - low) / (high - low) * cells)
    codes[positive] = np.where((places >= 0) & (places < cells), places, BEYOND).astype(np.uint8)
    return Axis(codes, low, high)


def density(axes: Sequence[Axis]) -> Density:
    """Data stored for one tensor.

    Args:
        axes: one per estimator, for the same weights in the same order; pairs follow :func:`itertools.combinations`.
    """
    entries = len(axes[0].codes)
    few = entries <= FEW
    pairs = list(combinations([one.codes for one in axes], 2))
    if few:
        content = np.stack([one.codes for one in axes])
    else:
        content = np.array([level_of(_counts(a, b)) for a, b in pairs], dtype=np.uint8).reshape(-1, BINS, BINS)
    return Density(
        entries,
        few,
        ranges=np.array([(one.low, one.high) for one in axes]),
        positive=np.array([np.count_nonzero((a != NOT_POSITIVE) & (b != NOT_POSITIVE)) for a, b in pairs], dtype=int),
        shown=np.array([np.count_nonzero((a < BEYOND) & (b < BEYOND)) for a, b in pairs], dtype=int),
        content=content,
    )


def _counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Number of entries in each cell, ``(BINS, BINS)``, a along the first axis."""
    inside = (a < BINS) & (b < BINS)
    cell = a[inside].astype(np.intp) * BINS + b[inside]
    return np.bincount(cell, minlength=BINS * BINS).reshape(BINS, BINS)


def level_of(counts: np.ndarray) -> np.ndarray:
    """Counts on a one-byte scale: 0 for none, else 1 + ``STEPS_PER_DOUBLING`` · log2 of the count, rounded."""
    levels = 1 + np.round(STEPS_PER_DOUBLING * np.log2(np.maximum(counts, 1)))
    return np.where(counts > 0, np.minimum(levels, 255), 0).astype(np.uint8)
