"""Figures of single estimators: weight-by-weight comparisons, and predictions of their formulas."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from weight_importance.figures.style import MOST_COLUMNS, WIDTH, figure, grid_shape, in_order, label, look, panels
from weight_importance.findings.statistics import intervals


def estimator_scatter(
    importances: Mapping[str, Mapping[str, Tensor]], pairs: Sequence[tuple[str, str, float | None]]
) -> Figure:
    """One estimator against another, weight by weight on logarithmic axes: pairs in rows, weight tensors in columns.

    Args:
        importances: estimator → weight tensor's name → importance of one replica, in the shape of the weight (a
            convolution kernel has trailing axes). A pair takes several rows if its tensors do not fit into one.
        pairs: ``(estimator on x, estimator on y, predicted slope)``; without a slope, no line is drawn.
    """
    tensors = list(importances[pairs[0][0]])
    rows, columns = grid_shape(len(tensors), MOST_COLUMNS)
    with figure(rows * len(pairs) * max(WIDTH / columns * 0.72, 1.6)) as drawn:
        grid = drawn.subplots(rows * len(pairs), columns, squeeze=False)
        for place, (first, second, slope) in enumerate(pairs):
            panels = grid[place * rows : (place + 1) * rows]
            for axes, tensor in zip_longest(panels.flat, tensors):
                if tensor is None:
                    axes.set_axis_off()
                    continue
                _hexagons(axes, importances[first][tensor], importances[second][tensor], slope)
                axes.set_xlabel(f"log$_{{10}}$ {label(first)}")
                if place == 0 or rows > 1:
                    axes.set_title(tensor, pad=4)
            for axes in panels[:, 0]:
                axes.set_ylabel(f"log$_{{10}}$ {label(second)}")
    return drawn


def _hexagons(axes: Axes, first: Tensor, second: Tensor, slope: float | None) -> None:
    both = ((first > 0) & (second > 0)).numpy()
    x, y = np.log10(first.numpy()[both]), np.log10(second.numpy()[both])
    (left, right), (bottom, top) = (_view(values) for values in (x, y))
    extent = (left, right, bottom, top)
    axes.hexbin(x, y, gridsize=40, bins="log", extent=extent, cmap="cividis", mincnt=1, linewidths=0.1)
    if slope is not None:
        highest = x.mean() + (top - y.mean()) / slope  # no line behind the text
        ends = np.array([left, min(right, highest)])
        axes.plot(ends, y.mean() + slope * (ends - x.mean()), color="#CC3311", linewidth=1.2)
    axes.set(xlim=(left, right), ylim=(bottom, top + 0.4 * (top - bottom)))  # room for the text above the points
    text = f"$r$ = {np.corrcoef(x, y)[0, 1]:.2f}" + ("" if slope is None else f"\npredicted slope {slope:g}")
    axes.text(0.04, 0.98, text, transform=axes.transAxes, va="top", fontsize=7)


def _view(values: np.ndarray) -> tuple[float, float]:
    """Range of nearly all values, with a margin."""
    low, high = np.quantile(values, (0.001, 0.999))
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def estimator_factors(factors: pd.DataFrame) -> Figure:
    """Fit of each estimator by an output factor times an input factor: one panel per weight tensor.

    Args:
        factors: columns ``estimator``, ``tensor``, ``seed``, ``value`` of
            :func:`weight_importance.findings.estimators.factor_correlations`.
    """
    means = intervals(factors, ["estimator", "tensor"], "value")
    estimators = in_order(means["estimator"])
    tensors = list(dict.fromkeys(means["tensor"]))
    left = min(0, factors["value"].min() - 0.05)
    rows, _ = grid_shape(len(tensors), MOST_COLUMNS)
    with figure(rows * (0.2 * len(estimators) + 0.4) + 0.35) as drawn:
        for axes, tensor in panels(drawn, tensors, sharey=True):
            for height, name in enumerate(estimators):
                mean = means[(means["tensor"] == tensor) & (means["estimator"] == name)].iloc[0]
                seeds = factors[(factors["tensor"] == tensor) & (factors["estimator"] == name)]["value"]
                colour = look(name)["color"]
                axes.plot([0, mean["mean"]], [height] * 2, color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
                axes.plot(seeds, [height] * len(seeds), look(name)["marker"], color=colour)
            axes.axvline(0, color="black", linewidth=0.6)
            axes.set(xlim=(left, 1.03), ylim=(len(estimators) - 0.5, -0.5))
            axes.set_yticks(range(len(estimators)), [label(name) for name in estimators])
            axes.grid(axis="x")
        drawn.supxlabel("correlation of the logarithms of an importance and of its rank-one part", fontsize=7.5)
    return drawn
