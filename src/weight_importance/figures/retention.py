"""Figures on average accuracy after later tasks."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from weight_importance.figures.style import (
    CHOSEN,
    DIVERGED,
    GREY,
    LEAST_SEEDS,
    PERCENT,
    band,
    bounds,
    error_axis,
    figure,
    grid_shape,
    in_order,
    in_view,
    label,
    look,
    mark_diverged,
    strength_axis,
)
from weight_importance.findings.retention import at_selected_lambda, average_accuracy, final_means
from weight_importance.findings.statistics import intervals


def retention_lambda(retention: pd.DataFrame, selected: pd.DataFrame) -> Figure:
    """Mean test accuracy over all tasks after the last one, against λ: one panel per estimator.

    Args:
        retention: the table ``retention`` of one study.
        selected: the table ``selected_lambda`` of the same study.
    """
    final = final_means(retention, "test")
    estimators = [name for name in in_order(final["estimator"]) if name != "none"]
    none = final[final["estimator"] == "none"]
    rows, columns = grid_shape(len(estimators) + 1, 4)
    with figure(1.45 * rows) as drawn:
        grid = drawn.subplots(rows, columns, squeeze=False, sharey=True)
        for axes, name in zip(grid.flat, estimators, strict=False):
            curve = final[final["estimator"] == name].sort_values("lambda")
            chosen = selected.loc[selected["estimator"] == name, "lambda"]
            _strengths(axes, name, curve, chosen)
            if len(none):
                low, high = (end.item() for end in bounds(none))
                if low < high:
                    axes.axhspan(low, high, color=GREY, alpha=0.25, lw=0)
                axes.axhline(none["mean"].item() * PERCENT, color=GREY, linestyle=(0, (2, 2)), linewidth=0.8)
            axes.set_title(label(name), pad=3)
        error_axis(grid.flat[0], final)
        for axes in grid.flat[len(estimators) :]:
            axes.set_axis_off()
        handles = _legend(diverged=final["mean"].isna().any(), bands=(final["n"] >= LEAST_SEEDS).any())
        key = grid.flat[len(estimators)].legend(**handles, loc="center left", borderaxespad=0, handlelength=1.6)
        key.set_in_layout(False)
        drawn.supxlabel("penalty strength λ", fontsize=7.5)
        drawn.supylabel("average test accuracy,\nall tasks (%)", fontsize=7.5, multialignment="center")
    return drawn


def _strengths(axes: Axes, name: str, rows: pd.DataFrame, chosen: pd.Series) -> None:
    finite, diverged = rows[rows["mean"].notna()], rows[rows["mean"].isna()]
    strength_axis(axes, rows["lambda"])
    band(axes, name, finite["lambda"], finite)
    if len(finite) == 1:
        low, high = bounds(finite)
        colour = look(name)["color"]
        axes.errorbar(
            finite["lambda"], finite["mean"] * PERCENT, (high - low) / 2, color=colour, capsize=2, linewidth=0.9
        )
    best = finite[finite["lambda"].isin(chosen)]
    axes.plot(best["lambda"], best["mean"] * PERCENT, **CHOSEN)
    mark_diverged(axes, diverged["lambda"])


def _legend(*, diverged: bool, bands: bool) -> dict[str, list]:
    mean = Patch(color="black", alpha=0.3, lw=0), Line2D([], [], color="black")
    none = Patch(color=GREY, alpha=0.25, lw=0), Line2D([], [], color=GREY, ls=(0, (2, 2)), lw=0.8)
    handles = {
        "mean, 95 % band" if bands else "mean": mean if bands else mean[1],
        "λ selected on\nvalidation data": Line2D([], [], **CHOSEN),
        "no penalty, 95 %" if bands else "no penalty": none if bands else none[1],
    }
    if diverged:
        handles["λ that diverged"] = Line2D([], [], **DIVERGED)
    return {"handles": list(handles.values()), "labels": list(handles)}


def retention_tasks(retention: pd.DataFrame, selected: pd.DataFrame) -> Figure:
    """Mean test accuracy over the tasks learnt so far against the number of tasks, each estimator at its selected λ.

    Args:
        retention: the table ``retention`` of one study.
        selected: the table ``selected_lambda`` of the same study.
    """
    average = at_selected_lambda(average_accuracy(retention), selected)
    average = intervals(average[average["split"] == "test"], ["estimator", "tasks_learnt"], "accuracy")
    names = in_order(average["estimator"])
    with figure(2.6) as drawn:
        left, right = drawn.subplots(1, 2)
        for name in names:
            rows = average[average["estimator"] == name].sort_values("tasks_learnt")
            band(left, name, rows["tasks_learnt"], rows)
            if name != "none":
                band(right, name, rows["tasks_learnt"], rows)
        penalised = average[average["estimator"] != "none"]
        for axes, rows, title in (
            (left, average, "with and without penalty"),
            (right, penalised, "penalised only, enlarged"),
        ):
            axes.set(xlabel="tasks learnt", title=title)
            shown = in_view(rows)
            if np.isfinite(shown).any():
                room = 0.05 * (np.nanmax(shown) - np.nanmin(shown)) + 0.1
                axes.set_ylim(np.nanmin(shown) - room, np.nanmax(shown) + room)
            axes.set_xticks(sorted(average["tasks_learnt"].unique()))
            axes.grid(axis="y")
        left.set_ylabel("average test accuracy,\ntasks learnt so far (%)")
        drawn.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return drawn
