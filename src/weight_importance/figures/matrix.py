"""Correlation matrices: coloured cells with printed values."""

import re

import numpy as np
import seaborn
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import CenteredNorm

SMALLEST_CELL = 0.195
"""Inches: fits a coefficient of two digits and a sign at 7 pt."""

NO_VALUE = "#E6E6E6"
"""Background of a full matrix, visible where a cell has no value."""


def colours(chance: float = 0.0) -> ScalarMappable:
    """Blue below ``chance`` (the value of unrelated importances), white at it, red above it."""
    return ScalarMappable(CenteredNorm(chance, halfrange=1 - chance), colormaps["RdBu_r"])


def cells(axes: Axes, square: np.ndarray, scale: ScalarMappable, written: np.ndarray) -> None:
    """Draw a matrix; cells in ``written`` show their value, or ``?`` if it is not finite."""
    texts = np.where(written, np.vectorize(digits, otypes=[object])(square), "")
    seaborn.heatmap(
        square, ax=axes, cmap=scale.cmap, vmin=scale.norm.vmin, vmax=scale.norm.vmax, cbar=False,
        linewidths=0.8, linecolor="white", xticklabels=False, yticklabels=False,
        annot=texts, fmt="", annot_kws={"fontsize": 7},
    )  # fmt: skip
    for row, column in np.argwhere(written & ~np.isfinite(square)):  # seaborn prints nothing for a missing value
        axes.text(column + 0.5, row + 0.5, "?", ha="center", va="center", fontsize=7)


def name_cells(axes: Axes, columns: list[str], rows: list[str], size: float = 7) -> None:
    """Label the columns and rows; an empty list omits labels."""
    axes.tick_params(length=0, pad=1.5)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=90, fontsize=size)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows, rotation=0, fontsize=size)


def name_colours(bar: Colorbar, text: str) -> None:
    """Label a colour bar."""
    bar.set_label(text, labelpad=1)
    bar.outline.set_linewidth(0.4)


def digits(value: float) -> str:
    """Two decimals without the leading zero: ``.97``, ``-.12``, ``1.0``, ``1.20``; ``?`` where undefined."""
    if not np.isfinite(value):
        return "?"
    text = re.sub(r"^(-?)0\.", r"\1.", f"{value:.2f}")
    return {"1.00": "1.0", "-1.00": "-1.0", "-.00": ".00"}.get(text, text)
