"""Figures of the sources of agreement between importances: confidence, sampling noise, trajectories."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.typing import FillStyleType

from weight_importance.figures.matrix import NO_VALUE, cells, colours, name_cells, name_colours
from weight_importance.figures.style import (
    GREY,
    LEAST_SEEDS,
    MOST_COLUMNS,
    PALETTE,
    figure,
    grid_shape,
    in_order,
    label,
    panels,
)
from weight_importance.findings.explanation import predicted_pairs, reliabilities
from weight_importance.findings.statistics import intervals
from weight_importance.findings.tensors import tensor_order

CONDITIONS = {
    "temperature": ("temperature", PALETTE[0], "o"),
    "epochs": ("epochs", PALETTE[1], "s"),
    "label_smoothing": ("label smoothing", PALETTE[2], "D"),
}
"""Label and look of each condition."""

ROWS = {"pearson": "Pearson", "spearman": "Spearman", "log_slope": "slope of logarithms"}


def explanation_confidence(along: pd.DataFrame) -> Figure:
    """Agreement against confidence for pairs with a theoretical prediction: one column per pair of estimators.

    Intervals are drawn over :data:`LEAST_SEEDS` networks or more.

    Args:
        along: result of :func:`weight_importance.findings.explanation.along_confidence`.
    """
    pairs = predicted_pairs(along)
    with figure(4.6) as drawn:
        grid = drawn.subplots(len(ROWS), len(pairs), sharex=True, sharey="row", squeeze=False)
        for column, (a, b, slope) in enumerate(pairs):
            of_pair = along[(along["estimator_a"] == a) & (along["estimator_b"] == b)]
            for axes, coefficient in zip(grid[:, column], ROWS, strict=True):
                for name, (text, colour, marker) in CONDITIONS.items():
                    curve = of_pair[(of_pair["coefficient"] == coefficient) & (of_pair["condition"] == name)]
                    curve = curve.sort_values("level")
                    uncertainty, several = 1 - curve["max_probability"], curve["n"] >= LEAST_SEEDS
                    low, high = curve["low"].where(several), curve["high"].where(several)
                    axes.fill_between(uncertainty, low, high, color=colour, alpha=0.2, linewidth=0)
                    axes.plot(uncertainty, curve["mean"], marker=marker, color=colour, label=text)
                axes.grid(axis="y")
            if slope is not None:
                grid[-1, column].axhline(slope, color="black", linewidth=0.8, linestyle=(0, (4, 2)))
            grid[0, column].set_title(f"{label(a)}\nand {label(b)}", fontsize=7.5)
        for axes, text in zip(grid[:, 0], ROWS.values(), strict=True):
            axes.set_ylabel(text)
        for axes, coefficient in zip(grid[:, 0], ROWS, strict=True):
            shown = along.loc[_is_in(along, pairs) & (along["coefficient"] == coefficient), "mean"]
            slopes = [slope for _, _, slope in pairs if slope is not None] if coefficient == "log_slope" else []
            _fit(axes, [*shown, *slopes])
        lowest = grid[-1, 0]
        lowest.set_xscale("log")
        uncertainty = 1 - along["max_probability"]
        ticks = [tick for tick in (0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3) if _within(tick, uncertainty)]
        lowest.set_xticks(ticks)
        lowest.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        lowest.xaxis.set_minor_formatter(NullFormatter())
        lowest.invert_xaxis()
        drawn.supxlabel(
            "mean probability of all classes but the most probable (confidence grows to the right)", fontsize=7.5
        )
        handles, labels = grid[0, 0].get_legend_handles_labels()
        handles.append(Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (4, 2))))
        drawn.legend(handles, [*labels, "slope of theory"], loc="outside upper center", ncols=4)
    return drawn


def _is_in(along: pd.DataFrame, pairs: Sequence[tuple]) -> pd.Series:
    chosen = {pair[:2] for pair in pairs}
    return pd.Series([*zip(along["estimator_a"], along["estimator_b"], strict=True)], index=along.index).isin(chosen)


def _within(tick: float, values: pd.Series) -> bool:
    return values.min() / 1.3 <= tick <= values.max() * 1.3


def _fit(axes: Axes, values: list[float]) -> None:
    """Set limits around the means: an interval over two seeds would dominate the panel."""
    finite = np.array(values)[np.isfinite(values)]
    if len(finite):
        margin = 0.12 * max(np.ptp(finite), 0.05)
        axes.set_ylim(finite.min() - margin, finite.max() + margin)


def explanation_noise(noise: pd.DataFrame, reliability: pd.DataFrame) -> Figure:
    """Pearson correlations with and without sampling noise, and reliabilities: one matrix per weight tensor.

    Below the diagonal: ``observed``; above it: ``independent`` of noise; on it: each estimator's reliability. Frames
    mark values above 1 when rounded to two decimals. A question mark means: no halves of samples; halves that do not
    imply the reliability on all samples (:func:`weight_importance.analysis.noise.noise`); or a reliability that is not
    above zero in some network.

    Args:
        noise: the table ``explanation_noise`` of one study, of the tensors to show.
        reliability: the table ``explanation_reliability`` of the same.
    """
    by = ["tensor", "estimator_a", "estimator_b", "quantity"]
    pairs = intervals(noise[noise["coefficient"] == "pearson"], by, "value").set_index(by)["mean"]
    own = reliabilities(reliability)["mean"]
    names = in_order(reliability["estimator"])
    tensors = tensor_order(noise["tensor"])
    rows, _ = grid_shape(len(tensors), 2)
    scale, labels = colours(), [label(name) for name in names]
    with figure(rows * (0.24 * len(names) + 0.3) + 1.1) as drawn:
        for axes, tensor in panels(drawn, tensors, 2, sharex=True, sharey=True):
            square = _square(names, pairs[tensor], own[tensor])
            cells(axes, square, scale, np.ones(square.shape, dtype=bool))
            axes.set_facecolor(NO_VALUE)
            name_cells(axes, labels, labels)
            _frame(axes, square)
        bar = drawn.colorbar(
            scale, ax=drawn.axes, orientation="horizontal", shrink=0.4, aspect=40, ticks=[-1, -0.5, 0, 0.5, 1]
        )
        name_colours(
            bar,
            "below: observed; above: without noise; diagonal: reliability; yellow frame: above 1; ?: undefined",
        )
    return drawn


QUANTITIES: dict[str, tuple[str, str, str, FillStyleType]] = {
    "same": ("both on the same network", "o", PALETTE[0], "full"),
    "own": ("each on its own trajectory", "s", PALETTE[1], "none"),
    "across": ("the same estimator on both", "x", GREY, "full"),
}
"""Quantities correlated on trajectories, and their line styles."""


def explanation_trajectories(trajectories: pd.DataFrame) -> Figure:
    """Pearson correlations on the same network and on each estimator's own trajectory: one panel per tensor.

    Args:
        trajectories: the table ``explanation_trajectories`` of one study, of the tensors to show; only values after the
            last task are drawn.
    """
    by = ["tensor", "estimator_a", "estimator_b", "quantity"]
    trajectories = trajectories[trajectories["tasks_learnt"] == trajectories["tasks_learnt"].max()]
    means = intervals(trajectories[trajectories["coefficient"] == "pearson"], by, "value").set_index(by)["mean"]
    pairs = [*trajectories[["estimator_a", "estimator_b"]].drop_duplicates().itertuples(index=False, name=None)]
    tensors = tensor_order(trajectories["tensor"])
    rows, _ = grid_shape(len(tensors), MOST_COLUMNS)
    with figure(rows * (0.19 * len(pairs) + 0.35) + 0.6) as drawn:
        for axes, tensor in panels(drawn, tensors, sharex=True, sharey=True):
            for height, (a, b) in enumerate(pairs):
                row = means[(tensor, a, b)]
                axes.plot([row["same"], row["own"]], [height] * 2, color="#BBBBBB", linewidth=2, zorder=1)
                for quantity, (_, marker, colour, fill) in QUANTITIES.items():
                    axes.plot(row[quantity], height, marker, color=colour, fillstyle=fill, markersize=4.5)
            axes.axvline(0, color="black", linewidth=0.6)
            axes.set(ylim=(len(pairs) - 0.4, -0.6))
            axes.set_yticks(range(len(pairs)), [f"{label(a)}, {label(b)}" for a, b in pairs])
            axes.grid(axis="x")
        handles = [
            Line2D([], [], linestyle="", marker=marker, color=colour, fillstyle=fill)
            for _, marker, colour, fill in QUANTITIES.values()
        ]
        drawn.legend(handles, [text for text, *_ in QUANTITIES.values()], loc="outside upper center", ncols=3)
        drawn.supxlabel("Pearson correlation of importances summed over the tasks", fontsize=7.5)
    return drawn


def _square(names: list[str], pairs: pd.Series, own: pd.Series) -> np.ndarray:
    square = np.full((len(names), len(names)), np.nan)
    place = {name: number for number, name in enumerate(names)}
    for (a, b, quantity), value in pairs.items():
        low, high = sorted((place[a], place[b]))
        if quantity == "observed":
            square[high, low] = value
        elif quantity == "independent":
            square[low, high] = value
    for name, value in own.items():
        square[place[name], place[name]] = value
    return square


def _frame(axes: Axes, square: np.ndarray) -> None:
    """Frame the diagonal cells, and with a thick line the cells whose value exceeds 1."""
    for (row, column), beyond in np.ndenumerate(square.round(2) > 1):
        if beyond or row == column:
            edge = "#FFCC33" if beyond else GREY
            inner = (column + 0.06, row + 0.06)
            axes.add_patch(Rectangle(inner, 0.88, 0.88, fill=False, edgecolor=edge, linewidth=2.0 if beyond else 0.6))
