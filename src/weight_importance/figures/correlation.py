"""Figures of correlations between importances of different estimators."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from weight_importance.figures.labels import COEFFICIENT_LABELS
from weight_importance.figures.matrix import SMALLEST_CELL, cells, colours, name_cells, name_colours
from weight_importance.figures.style import GREY, WIDTH, figure, grid_shape, in_order, label
from weight_importance.findings.correlation import null_means
from weight_importance.findings.statistics import intervals
from weight_importance.findings.tensors import tensor_order

CHANCE = {"overlap_top10": 0.1}
"""Expected value for two unrelated importances, if not zero."""

GAP = 0.1
"""Inches between neighbouring matrices."""


def correlation_matrix(correlation: pd.DataFrame, coefficient: str) -> Figure:
    """Main figure: one matrix of estimator pairs per parameter tensor, means over seeds.

    Args:
        correlation: the table ``correlation`` of one study.
        coefficient: coefficient to show.
    """
    means = intervals(
        correlation[correlation["coefficient"] == coefficient], ["tensor", "estimator_a", "estimator_b"], "value"
    )
    estimators = in_order([*means["estimator_a"], *means["estimator_b"]])
    side = len(estimators) - 1
    # a character of 7 pt takes about 0.055 inches
    margin = 0.06 * max(len(label(name)) for name in estimators)
    title = 0.065 * max(len(tensor) for tensor in means["tensor"])
    most = int((WIDTH - margin) / (max(side * SMALLEST_CELL, title) + GAP))
    panels = _panels(tensor_order(means["tensor"]), most)
    columns = len(panels[0])
    size = min(0.4, ((WIDTH - margin) / columns - GAP) / side) * side
    # tensor names go in the empty corner if they fit, otherwise above
    inside = title < size - size / side
    step = size + GAP + (0 if inside else 0.15)
    bar = 0.45
    height = len(panels) * step + margin + bar
    chance = CHANCE.get(coefficient, 0.0)
    scale = colours(chance)
    with figure(height, layout=None) as drawn:
        for row, tensors in enumerate(panels):
            for column, tensor in enumerate(tensors):
                if tensor is None:
                    continue
                left, bottom = margin + column * (max(size, title) + GAP), height - (row + 1) * step + GAP - 0.02
                axes = drawn.add_axes((left / WIDTH, bottom / height, size / WIDTH, size / height), label=tensor)
                cells(axes, _square(means[means["tensor"] == tensor], estimators), scale, np.tri(side, dtype=bool))
                axes.text(
                    side, 0.5 if inside else -0.1, tensor, ha="right", va="center" if inside else "bottom", fontsize=8
                )
                lowest = row + 1 == len(panels) or panels[row + 1][column] is None
                name_cells(
                    axes,
                    [label(name) for name in estimators[:-1]] if lowest else [],
                    [label(name) for name in estimators[1:]] if column == 0 else [],
                )
        place = drawn.add_axes((0.3, 0.37 / height, 0.4, 0.1 / height))
        ticks = [0, 0.1, 0.5, 1] if chance else [-1, -0.5, 0, 0.5, 1]
        name_colours(
            drawn.colorbar(scale, cax=place, orientation="horizontal", ticks=ticks), COEFFICIENT_LABELS[coefficient]
        )
        if chance:
            place.set_xlim(0, 1)
    return drawn


def _panels(tensors: list[str], most: int) -> list[list[str | None]]:
    """Layers in columns, kinds of parameter in rows, ``all`` at the end of the first row; one tensor after another if
    rows would be longer than ``most``."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in tensors if name != "all"))
    kinds = list(dict.fromkeys(name.rpartition(".")[2] for name in tensors if name != "all"))
    rows = [[name if (name := f"{layer}.{kind}") in tensors else None for layer in layers] for kind in kinds]
    if "all" in tensors:
        rows = [[*row, "all" if number == 0 else None] for number, row in enumerate(rows)]
    if len(rows[0]) > most:
        count, columns = grid_shape(len(tensors), max(1, most))
        filled = tensors + [None] * (count * columns - len(tensors))
        rows = [filled[start : start + columns] for start in range(0, len(filled), columns)]
    return rows


def _square(means: pd.DataFrame, estimators: list[str]) -> np.ndarray:
    """Means of the pairs as a lower triangle: rows from the second estimator, columns up to the last but one."""
    position = {name: number for number, name in enumerate(estimators)}
    square = np.full((len(estimators) - 1, len(estimators) - 1), np.nan)
    for first, second, mean in zip(means["estimator_a"], means["estimator_b"], means["mean"], strict=True):
        low, high = sorted((position[first], position[second]))
        square[high - 1, low] = mean
    return square


def correlation_null(correlation: pd.DataFrame, null: pd.DataFrame) -> Figure:
    """Observed coefficients and their null distribution (permuted importances), both as means over seeds.

    Args:
        correlation: the table ``correlation`` of one study.
        null: the table ``correlation_null`` of the same study.
    """
    by = ["tensor", "coefficient", "estimator_a", "estimator_b"]
    means, null = intervals(correlation, by, "value"), null_means(null)
    tensors = tensor_order(means["tensor"])
    coefficients = [name for name in COEFFICIENT_LABELS if name in set(means["coefficient"])]
    rows, columns = grid_shape(len(coefficients), 2)
    with figure(rows * (0.2 * len(tensors) + 0.5) + 0.35) as drawn:
        grid = drawn.subplots(rows, columns, squeeze=False, sharey=True).flat
        for axes, coefficient in zip(grid, coefficients, strict=False):
            for height, tensor in enumerate(tensors):
                selection = (null["tensor"] == tensor) & (null["coefficient"] == coefficient)
                values = null.loc[selection, "value"].dropna()
                pairs = means[(means["tensor"] == tensor) & (means["coefficient"] == coefficient)]
                _null_row(axes, height, values, pairs)
            axes.axvline(CHANCE.get(coefficient, 0.0), color=GREY, linewidth=0.5, zorder=0)
            axes.set_yticks(range(len(tensors)), tensors)
            axes.set(xlabel=COEFFICIENT_LABELS[coefficient], ylim=(len(tensors) - 0.4, -0.6))
            axes.set_xlim(-0.03 if coefficient in CHANCE else -1.03, 1.03)
            axes.set_xticks([-1, -0.5, 0, 0.5, 1] if coefficient not in CHANCE else [0, 0.1, 0.5, 1])
            axes.grid(axis="x")
        _null_legend(drawn)
    return drawn


def _null_row(axes: Axes, height: int, values: pd.Series, pairs: pd.DataFrame) -> None:
    if len(values):
        low, high = np.quantile(values, (0.025, 0.975))
        axes.plot([values.min(), values.max()], [height] * 2, color="#888888", linewidth=1, solid_capstyle="butt")
        axes.plot([low, high], [height] * 2, color="#888888", linewidth=6, solid_capstyle="butt", alpha=0.6)
    # spread pairs slightly over the height, in a fixed order, so that equal ones stay visible
    order = np.linspace(-0.28, 0.28, max(2, len(pairs)))
    axes.plot(
        pairs["mean"], height + order[: len(pairs)], "|", color="#AA3311", markersize=4, markeredgewidth=1.1, zorder=3
    )


def _null_legend(drawn: Figure) -> None:
    drawn.legend(
        handles=[
            Line2D([], [], linestyle="", marker="|", color="#AA3311", markersize=6, markeredgewidth=1.1),
            Line2D([], [], color="#888888", linewidth=7, alpha=0.6),
            Line2D([], [], color="#888888", linewidth=1),
        ],
        labels=["observed, one mark per pair (mean over seeds)", "null, central 95 %", "null, all permutations"],
        loc="outside upper center",
        ncols=3,
    )
