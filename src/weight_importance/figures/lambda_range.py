"""Figure of average accuracy over the full range of λ: one curve per estimator, as measured and rescaled."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weight_importance.figures.style import GREY, PERCENT, bounds, figure, label, look
from weight_importance.findings.lambda_range import REFERENCE
from weight_importance.findings.statistics import intervals

MARGIN = 3
"""Percentage points between the extreme means and the ends of the axis."""


def curve_label(curve: str) -> str:
    """Display name of a curve: the estimator, and the number of samples if there is one."""
    estimator, _, samples = curve.partition(" ")
    return f"{label(estimator)} {samples}".strip()


def lambda_range(curves: pd.DataFrame, shifts: pd.DataFrame) -> Figure:
    """Average test accuracy after the last task against λ, and against λ times the ratio of summed importances.

    Args:
        curves: result of :func:`weight_importance.findings.lambda_range.curves`.
        shifts: result of :func:`weight_importance.findings.lambda_range.shifts`.
    """
    means = intervals(curves, ["curve", "lambda"], "accuracy")
    ratios = shifts.set_index("curve")["ratio"]
    with figure(3.1) as drawn:
        measured, rescaled = drawn.subplots(1, 2, sharey=True)
        for name in ratios.index:
            rows = means[means["curve"] == name]
            _curve(measured, name, rows["lambda"], rows)
            _curve(rescaled, name, rows["lambda"] * ratios[name], rows)
        none = means.loc[means["curve"] == "none", "mean"]
        for axes in (measured, rescaled):
            axes.set_xscale("log")
            axes.grid(axis="y")
            for value in none:
                axes.axhline(value * PERCENT, color=GREY, linestyle=(0, (2, 2)), linewidth=0.8, label="no penalty")
        low, high = (PERCENT * limit for limit in (means["mean"].min(), means["mean"].max()))
        measured.set_ylim(low - MARGIN, high + MARGIN)
        measured.set(xlabel="penalty strength λ", ylabel="average test accuracy, all tasks (%)", title="as measured")
        rescaled.set(xlabel=f"λ × summed importance / that of {label(REFERENCE)}", title="rescaled")
        drawn.legend(*measured.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return drawn


def _curve(axes: Axes, name: str, strengths: pd.Series, rows: pd.DataFrame) -> None:
    estimator, _, samples = name.partition(" ")
    drawn = look(estimator) | ({"markerfacecolor": "none", "linestyle": ":"} if samples else {})
    axes.fill_between(strengths, *bounds(rows), color=drawn["color"], alpha=0.15, lw=0)
    axes.plot(strengths, rows["mean"] * PERCENT, label=curve_label(name), **drawn)
