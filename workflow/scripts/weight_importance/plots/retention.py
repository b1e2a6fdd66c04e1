"""Figures on how much earlier tasks are retained."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

from weight_importance.findings import at_selected_lambda, average_accuracy
from weight_importance.plots.style import GREY, band, figure, grid_shape, in_order, label, look
from weight_importance.statistics import final_accuracy, intervals

PERCENT = 100.0


def retention_lambda(retention: pd.DataFrame, selected: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Mean test accuracy over all tasks after the last one, against λ: one panel per estimator.

    Args:
        retention: the table ``retention`` of one study.
        selected: the table ``selected_lambda`` of the same study.
        published: :func:`weight_importance.published.retention`, after the last task; drawn where λ is the same.
    """
    final = intervals(final_accuracy(retention, "test"), ["study", "estimator", "lambda"], "accuracy")
    estimators = [name for name in in_order(final["estimator"]) if name != "none"]
    none = final[final["estimator"] == "none"]
    theirs = published.merge(final[["study", "estimator", "lambda"]], on=["study", "estimator", "lambda"])
    rows, columns = grid_shape(len(estimators) + 1, 4)
    with figure(1.45 * rows) as drawn:
        grid = drawn.subplots(rows, columns, squeeze=False, sharey=True)
        for axes, name in zip(grid.flat, estimators, strict=False):
            ours = final[final["estimator"] == name].sort_values("lambda")
            chosen = selected.loc[selected["estimator"] == name, "lambda"]
            _strengths(axes, name, ours, chosen, theirs[theirs["estimator"] == name])
            if len(none):
                axes.axhspan(none["low"].item() * PERCENT, none["high"].item() * PERCENT, color=GREY, alpha=0.25, lw=0)
                axes.axhline(none["mean"].item() * PERCENT, color=GREY, linestyle=(0, (2, 2)), linewidth=0.8)
            axes.set_title(label(name), pad=3)
        _error_scale(grid.flat[0], final[["low", "high", "mean"]].to_numpy() * PERCENT)
        for axes in grid.flat[len(estimators) :]:
            axes.set_axis_off()
        key = grid.flat[len(estimators)].legend(**_legend(), loc="center left", borderaxespad=0, handlelength=1.6)
        key.set_in_layout(False)
        drawn.supxlabel("strength λ of the penalty", fontsize=7.5)
        drawn.supylabel("mean test accuracy, all tasks (%)", fontsize=7.5)
    return drawn


def _strengths(axes: Axes, name: str, ours: pd.DataFrame, chosen: pd.Series, theirs: pd.DataFrame) -> None:
    drawn = look(name)
    axes.set_xscale("log")
    kept, diverged = ours[ours["mean"].notna()], ours[ours["mean"].isna()]
    band(axes, name, kept["lambda"], kept, scale=PERCENT)
    if len(kept) == 1:
        half = (kept["high"] - kept["low"]) / 2 * PERCENT
        axes.errorbar(kept["lambda"], kept["mean"] * PERCENT, half, color=drawn["color"], capsize=2, linewidth=0.9)
    best = kept[kept["lambda"].isin(chosen)]
    axes.plot(best["lambda"], best["mean"] * PERCENT, "o", markersize=8, markerfacecolor="none", color="black", mew=0.9)
    for strength in diverged["lambda"]:
        axes.plot(
            strength, 0.06, "x", color="#AA3311", markersize=6, mew=1.4,
            transform=axes.get_xaxis_transform(), clip_on=False,
        )  # fmt: skip
    axes.errorbar(
        theirs["lambda"], theirs["mean"] * PERCENT, (theirs["high"] - theirs["low"]) / 2 * PERCENT, fmt="D",
        color="black", markerfacecolor="white", markersize=3.5, mew=0.8, elinewidth=0.8, zorder=4,
    )  # fmt: skip
    strengths = ours["lambda"].to_numpy()
    margin = max(1.25, (strengths.max() / strengths.min()) ** 0.12)
    axes.set_xlim(strengths.min() / margin, strengths.max() * margin)
    axes.set_xticks(_spread(strengths))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.grid(axis="y")


def _error_scale(axes: Axes, shown: np.ndarray) -> None:
    """An accuracy axis that is logarithmic in the error, so that 95 and 96 % stay apart beside 60 %."""
    axes.set_yscale("function", functions=(_of_error, lambda value: 100.5 - np.exp(-value)))
    low, high = np.nanmin(shown), np.nanmax(shown)
    room = 0.12 * (_of_error(high) - _of_error(low)) + 0.02
    limits = 100.5 - np.exp(-np.array([_of_error(low) - room, _of_error(high) + room]))
    least = 0.1 * (_of_error(limits[1]) - _of_error(limits[0]))  # between two tick labels
    ticks: list[float] = []
    for tick in (99, 98, 97, 96, 95, 93, 90, 85, 80, 70, 60, 40, 20, 0):
        if limits[0] < tick < limits[1] and (not ticks or _of_error(ticks[-1]) - _of_error(tick) > least):
            ticks.append(tick)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylim(limits)


def _of_error(accuracy: float | np.ndarray) -> float | np.ndarray:
    return -np.log(np.maximum(100.5 - accuracy, 1e-3))


def _spread(strengths: np.ndarray, most: int = 4) -> np.ndarray:
    """At most so many of the λ, evenly chosen, first and last among them."""
    if len(strengths) <= most:
        return strengths
    return strengths[np.linspace(0, len(strengths) - 1, most).round().astype(int)]


def _legend() -> dict[str, list]:
    handles = {
        "mean, 95 % band": (Patch(color="#4477AA", alpha=0.3, lw=0), Line2D([], [], color="#4477AA")),
        "λ selected on\nvalidation data": Line2D([], [], ls="", marker="o", ms=8, mfc="none", color="black", mew=0.9),
        "λ that diverged": Line2D([], [], ls="", marker="x", color="#AA3311", ms=6, mew=1.4),
        "no penalty, 95 %": (Patch(color=GREY, alpha=0.25, lw=0), Line2D([], [], color=GREY, ls=(0, (2, 2)), lw=0.8)),
        "published, same λ": Line2D([], [], ls="", marker="D", color="black", mfc="white", ms=3.5, mew=0.8),
    }
    return {"handles": list(handles.values()), "labels": list(handles)}


def retention_tasks(retention: pd.DataFrame, selected: pd.DataFrame) -> Figure:
    """Mean test accuracy over the tasks learnt so far as tasks are added, each estimator at its selected λ.

    Args:
        retention: the table ``retention`` of one study.
        selected: the table ``selected_lambda`` of the same study.
    """
    average = at_selected_lambda(average_accuracy(retention), selected)
    average = intervals(average[average["split"] == "test"], ["estimator", "tasks_learnt"], "accuracy")
    names = in_order(average["estimator"])
    with figure(2.6) as drawn:
        whole, close = drawn.subplots(1, 2)
        for name in names:
            rows = average[average["estimator"] == name].sort_values("tasks_learnt")
            band(whole, name, rows["tasks_learnt"], rows, scale=PERCENT)
            if name != "none":
                band(close, name, rows["tasks_learnt"], rows, scale=PERCENT)
        for axes, title in ((whole, "with and without penalty"), (close, "penalised only, enlarged")):
            axes.set(xlabel="tasks learnt", title=title)
            axes.set_xticks(sorted(average["tasks_learnt"].unique()))
            axes.grid(axis="y")
        whole.set_ylabel("mean test accuracy,\ntasks learnt so far (%)")
        drawn.legend(*whole.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return drawn
