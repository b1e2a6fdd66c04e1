"""Importances by one estimator against another as counts that a page can hold: bytes in place of millions of weights.

Every estimator has one logarithmic axis per tensor, on which each weight of every network gets a code of one byte. Of
a large tensor the codes of two estimators are counted in cells, and the counts kept on a logarithmic scale; of a small
one the codes themselves are kept. Knows nothing of files, pages or drawing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

BINS = 32
"""Cells along each axis of a large tensor."""

LEVELS = 250
"""Places along the axis of a small tensor, whose weights are kept one by one."""

FEW = 2048
"""Entries, of all networks together, up to which a tensor is small."""

BEYOND, NOT_POSITIVE = 254, 255
"""Codes of what has no place on a logarithmic axis: outside its range; zero or negative."""

QUANTILES = (0.001, 0.999)
"""Quantiles of a large tensor that its axis spans, with a margin: single weights are many decades away."""

STEPS_PER_DOUBLING = 4
"""Steps of the scale of counts: a count is kept within 9 %, finer than colours show; few steps compress well."""


@dataclass(frozen=True)
class Axis:
    """One estimator's axis in one tensor, with the place of every weight on it.

    Attributes:
        codes: of all weights of all networks, uint8 ``(n,)``: 0 to cells - 1, :data:`BEYOND` or :data:`NOT_POSITIVE`;
            the cells are :data:`LEVELS` in a small tensor, else :data:`BINS`.
        low, high: decimal logarithms of the axis's ends; ``nan`` where nothing is positive.
    """

    codes: np.ndarray
    low: float
    high: float


@dataclass(frozen=True)
class Density:
    """Pairs of estimators in one tensor.

    Attributes:
        entries: weights of all networks together.
        few: whether the weights are kept one by one.
        ranges: ends of each estimator's axis, see :class:`Axis`, ``(E, 2)``.
        positive: entries that are positive by both estimators of each pair, ``(E (E - 1) / 2,)``.
        shown: those of them within both axes, the same shape.
        content: few: codes, ``(E, entries)``; else levels of counts, ``(pairs, BINS, BINS)``, the pair's first
            estimator along the first of both axes; see :func:`level_of`. uint8.
    """

    entries: int
    few: bool
    ranges: np.ndarray
    positive: np.ndarray
    shown: np.ndarray
    content: np.ndarray


def axis(values: np.ndarray) -> Axis:
    """Positions of one estimator's importances on its logarithmic axis.

    Of a large tensor the axis spans the :data:`QUANTILES` of the positive values, of a small one all of them, with a
    margin of a twentieth on both sides.

    Args:
        values: of all weights of all networks in one tensor, ``(n,)``.
    """
    few = len(values) <= FEW
    cells, quantiles = (LEVELS, (0.0, 1.0)) if few else (BINS, QUANTILES)
    codes = np.full(len(values), NOT_POSITIVE, dtype=np.uint8)
    positive = values > 0
    if not positive.any():
        return Axis(codes, np.nan, np.nan)
    logs = np.log10(values[positive], dtype=np.float64)
    low, high = np.quantile(logs, quantiles)
    margin = max(0.05 * (high - low), 0.05)  # all equal: the axis still has a length
    low, high = float(low - margin), float(high + margin)
    places = np.floor((logs - low) / (high - low) * cells)
    codes[positive] = np.where((places >= 0) & (places < cells), places, BEYOND).astype(np.uint8)
    return Axis(codes, low, high)


def density(axes: Sequence[Axis]) -> Density:
    """The data kept of one tensor.

    Args:
        axes: one per estimator, of the same weights in the same order; pairs are those of
            :func:`itertools.combinations` in this order.
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
    """How many entries share each cell, ``(BINS, BINS)``, a's along the first axis."""
    here = (a < BINS) & (b < BINS)
    cell = a[here].astype(np.intp) * BINS + b[here]
    return np.bincount(cell, minlength=BINS * BINS).reshape(BINS, BINS)


def level_of(counts: np.ndarray) -> np.ndarray:
    """Counts on the scale of one byte: 0 for none, else 1 + ``STEPS_PER_DOUBLING`` · log2 of the count, rounded."""
    levels = 1 + np.round(STEPS_PER_DOUBLING * np.log2(np.maximum(counts, 1)))
    return np.where(counts > 0, np.minimum(levels, 255), 0).astype(np.uint8)


def count_of(levels: np.ndarray) -> np.ndarray:
    """The counts that levels represent, within 9 %, rounded to integers."""
    return np.where(levels > 0, np.round(2.0 ** ((levels.astype(float) - 1) / STEPS_PER_DOUBLING)), 0).astype(int)
