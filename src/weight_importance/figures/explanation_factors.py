"""Figures of the contribution of shared factors to correlations of importances."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from weight_importance.figures.style import (
    GREY,
    MOST_COLUMNS,
    PALETTE,
    figure,
    grid_shape,
    in_order,
    label,
    panels,
    sentence,
)
from weight_importance.findings.explanation_factors import KINDS
from weight_importance.findings.statistics import intervals
from weight_importance.findings.tensors import tensor_order

PARTS = {
    "by_input": ("factor per input", PALETTE[3]),
    "by_output": ("factor per output", PALETTE[1]),
    "by_product": ("product of both", PALETTE[0]),
    "by_rest": ("rest and cross terms", "#BBBBBB"),
}
"""Terms of a correlation, in stacking order."""

SIGNAL_PARTS = {
    "by_signal": ("shared input factor", PALETTE[3]),
    "by_input_weights": (r"$|w|$ by input", PALETTE[0]),
    "by_output_weights": (r"$|w|$ by output", PALETTE[1]),
    "by_single_weights": (r"$|w|$ by weight", "#BBBBBB"),
}
"""Terms of the total signal's correlation, in stacking order."""


def explanation_factors(factors: pd.DataFrame) -> Figure:
    """Correlation of each pair as a sum of factor contributions: one panel per weight tensor, means over seeds.

    Args:
        factors: the table ``explanation_factors`` of one study.
    """
    means = intervals(factors, ["tensor", "estimator_a", "estimator_b", "quantity"], "value")
    pairs = [*factors[["estimator_a", "estimator_b"]].drop_duplicates().itertuples(index=False, name=None)]
    tensors = tensor_order(means["tensor"])
    rows, _ = grid_shape(len(tensors), MOST_COLUMNS)
    table = means.set_index(["tensor", "estimator_a", "estimator_b", "quantity"])["mean"]
    with figure(rows * (0.15 * len(pairs) + 0.3) + 0.6) as drawn:
        for axes, tensor in panels(drawn, tensors, sharey=True):
            for height, pair in enumerate(pairs):
                _stack(axes, height, table[(tensor, *pair)], PARTS)
            axes.axvline(0, color="black", linewidth=0.6)
            axes.set(ylim=(len(pairs) - 0.4, -0.6))
            axes.set_yticks(range(len(pairs)), [f"{label(a)}, {label(b)}" for a, b in pairs], fontsize=7)
            axes.grid(axis="x")
        _name_parts(drawn, PARTS)
    return drawn


def explanation_signal(signs: pd.DataFrame) -> Figure:
    """Sources of the total signal's correlation with each gradient estimator: one panel per weight tensor, seed means.

    A dotted line separates moments of gradients (above) from path estimators (below).

    Args:
        signs: result of :func:`weight_importance.findings.explanation_factors.signal_signs`.
    """
    if signs.empty:
        return sentence("No estimator of this stage is a moment of gradients or a path estimator.")
    groups = [in_order(signs.loc[signs["kind"] == kind, "estimator"]) for kind in KINDS]
    names, tensors = [name for group in groups for name in group], tensor_order(signs["tensor"])
    rows, _ = grid_shape(len(tensors), MOST_COLUMNS)
    table = signs.set_index(["tensor", "estimator"])
    with figure(rows * (0.19 * len(names) + 0.35) + 0.6) as drawn:
        for axes, tensor in panels(drawn, tensors, sharex=True, sharey=True):
            for height, name in enumerate(names):
                _stack(axes, height, table.loc[(tensor, name)], SIGNAL_PARTS)
            axes.axvline(0, color="black", linewidth=0.6)
            if all(groups):
                axes.axhline(len(groups[0]) - 0.5, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
            axes.set(ylim=(len(names) - 0.4, -0.6))
            axes.set_yticks(range(len(names)), [label(name) for name in names])
            axes.grid(axis="x")
        _name_parts(drawn, SIGNAL_PARTS)
    return drawn


def _name_parts(drawn: Figure, parts: dict[str, tuple[str, str]]) -> None:
    handles: list[Artist] = [Patch(color=colour) for _, colour in parts.values()]
    handles.append(Line2D([], [], linestyle="", marker="D", markersize=3.5, color="black"))
    texts = [*(text for text, _ in parts.values()), "correlation, the sum"]
    drawn.legend(handles, texts, loc="outside upper center", ncols=5, columnspacing=1.5)
    drawn.supxlabel("contribution to the Pearson correlation", fontsize=7.5)


def _stack(axes: Axes, height: int, values: pd.Series, parts: dict[str, tuple[str, str]]) -> None:
    """Stack positive parts to the right of zero, negative parts to the left."""
    ends = {1: 0.0, -1: 0.0}
    for part, (_, colour) in parts.items():
        value = values[part]
        if np.isfinite(value):
            side = 1 if value > 0 else -1
            axes.barh(height, value, left=ends[side], height=0.72, color=colour)
            ends[side] += value
    axes.plot(values["observed"], height, "D", color="black", markersize=2.6)
