"""Map of all estimators: similarity, retention scores and pruning scores."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram

from weight_importance.figures.labels import COEFFICIENT_LABELS
from weight_importance.figures.matrix import NO_VALUE, SMALLEST_CELL, cells, colours, name_cells, name_colours
from weight_importance.figures.style import (
    ABLATIONS,
    CHOSEN,
    GREY,
    PALETTE,
    PERCENT,
    WIDTH,
    bounds,
    figure,
    in_view,
    label,
)
from weight_importance.findings.atlas import clustered, tree

LARGEST_CELL = 0.28
"""Inches."""

TREE = 0.4
"""Inches for the tree above the matrix."""

SIDE = 0.95
"""Width in inches of each panel of scores."""

GAP = 0.12
RIGHT = 0.12
"""Inches to the right of the last panel, for half of its last tick label."""


def atlas(square: pd.DataFrame, coefficient: str, retention: pd.DataFrame, pruning: pd.DataFrame) -> Figure:
    """Clustered matrix of mean correlations with each estimator's scores alongside.

    Args:
        square: result of :func:`weight_importance.findings.atlas.similarity`.
        coefficient: coefficient in the matrix.
        retention: result of :func:`weight_importance.findings.atlas.retention_scores`.
        pruning: result of :func:`weight_importance.findings.atlas.pruning_scores`.
    """
    names = clustered(square)
    margin = 0.058 * max(len(label(name)) for name in names) + 0.05
    size = min(LARGEST_CELL * len(names), WIDTH - margin - 2 * (SIDE + GAP) - RIGHT)
    height = TREE + size + max(margin, 0.75) + 0.05

    with figure(height, layout=None) as drawn:

        def place(left: float, width: float, bottom: float, tall: float) -> Axes:
            return drawn.add_axes((left / WIDTH, bottom / height, width / WIDTH, tall / height))

        bottom = height - TREE - size
        _tree(place(margin, size, height - TREE, TREE - 0.04), square)
        scale, cell, matrix = colours(), size / len(names), place(margin, size, bottom, size)
        written = ~np.eye(len(names), dtype=bool) & (cell >= SMALLEST_CELL)
        cells(matrix, square.loc[names, names].to_numpy(), scale, written)
        matrix.set_facecolor(NO_VALUE)
        labels = [label(name) for name in names]
        name_cells(matrix, labels, labels, size=min(7, 0.85 * 72 * cell))
        left = margin + size + GAP
        _scores(place(left, SIDE, bottom, size), names, retention, "average\naccuracy (%)")
        left += SIDE + GAP
        _scores(place(left, SIDE, bottom, size), names, pruning, "mean accuracy\nafter pruning (%)")
        bar = drawn.colorbar(
            scale, cax=place(margin + size + GAP + 0.1, 2 * SIDE - 0.1, 0.32, 0.08), orientation="horizontal",
            ticks=[-1, -0.5, 0, 0.5, 1],
        )  # fmt: skip
        name_colours(bar, f"{COEFFICIENT_LABELS[coefficient]}, mean")
    return drawn


def _tree(axes: Axes, square: pd.DataFrame) -> None:
    dendrogram(tree(square), ax=axes, no_labels=True, color_threshold=0, above_threshold_color=GREY)
    for line in axes.collections:
        line.set_linewidth(0.7)
    axes.set_axis_off()


def _scores(axes: Axes, names: list[str], scores: pd.DataFrame, title: str) -> None:
    """Dots with intervals in the row order of the matrix; the title reports the score without an estimator.

    A dashed line marks this score if it is in view; a ring marks a λ at an end of its grid.
    """
    by_name = scores.set_index(scores.columns[0]).to_dict("index")
    rows = {name: by_name[name] for name in names if name in by_name}
    without = next((name for name in by_name if name in ABLATIONS), None)
    axes.set(ylim=(len(names), 0))
    axes.set_yticks(np.arange(len(names)) + 0.5, [])
    axes.tick_params(axis="y", length=0)
    axes.grid()
    axes.set_xlabel(title)
    if not rows:
        axes.set_xticks([])
        axes.text(0.5, 0.5, "not computed", ha="center", va="center", transform=axes.transAxes, color=GREY)
        return
    shown = pd.DataFrame(list(rows.values()))
    for (name, row), ends in zip(rows.items(), zip(*bounds(shown), strict=True), strict=True):
        y = names.index(name) + 0.5
        axes.plot(ends, [y, y], color=PALETTE[0], linewidth=1)
        axes.plot(row["mean"] * PERCENT, y, marker="o", markersize=3.2, color=PALETTE[0])
        if row.get("at_edge"):
            axes.plot(row["mean"] * PERCENT, y, **CHOSEN)
    visible = in_view(shown)
    lowest, highest = np.nanmin(visible), np.nanmax(visible)
    room = 0.06 * (highest - lowest) + 0.2
    axes.set_xlim(lowest - room, min(highest + room, 100.2))
    if without:
        level = by_name[without]["mean"] * PERCENT
        axes.set_title(f"{label(without)}: {level:.0f} %", fontsize=6.5, color=GREY, pad=3)
        if level > axes.get_xlim()[0]:
            axes.axvline(level, color=GREY, linestyle=(0, (2, 2)), linewidth=0.9)
