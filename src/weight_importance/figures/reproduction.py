"""Figures of our results over the published ones: published in grey, ours in each estimator's colour."""

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from weight_importance.figures.style import (
    CHOSEN,
    DIVERGED,
    GREY,
    figure,
    grid_shape,
    in_order,
    label,
    look,
    mark_diverged,
    sentence,
)
from weight_importance.findings.reproduction import last_common_task, published_best

PERCENT = 100.0
NONE = (0, (2, 2))


def reproduction_lambda(ours: pd.DataFrame, theirs: pd.DataFrame) -> Figure:
    """Mean test accuracy over all tasks against λ, one panel per published estimator.

    Args:
        ours: result of :func:`weight_importance.findings.reproduction.retention_means` for the run that replaces it.
        theirs: result of :func:`weight_importance.findings.published.retention` for the study; λ = 0 is a horizontal
            line, next to ours without a penalty.
    """
    if theirs.empty:
        return sentence("No retention results are published for this study.")
    tasks = last_common_task(ours, theirs) or theirs["tasks_learnt"].max()
    best = published_best(theirs)
    estimators = in_order(best)
    ours = ours[ours["tasks_learnt"] == tasks]
    none, ours = ours[ours["estimator"] == "none"], ours[ours["estimator"].isin(estimators)]
    theirs = theirs[theirs["tasks_learnt"] == tasks]
    with figure(2.6 * grid_shape(len(estimators), 2)[0]) as drawn:
        for axes, name in _panels(
            drawn, estimators, 2, "penalty strength λ", f"average test accuracy,\n{tasks} tasks (%)"
        ):
            here = ours[(ours["estimator"] == name) & (ours["lambda"] > 0)]
            there = theirs[theirs["estimator"] == name].sort_values("lambda")
            level, curve = there[there["lambda"] == 0], there[there["lambda"] > 0]
            _published(axes, curve["lambda"], curve)
            for rows, colour in ((level, GREY), (none if len(level) else none.head(0), look(name)["color"])):
                _level(axes, rows.dropna(subset="mean"), colour)
            marked = curve[curve["lambda"] == best[name]]
            axes.plot(marked["lambda"], marked["mean"] * PERCENT, **CHOSEN)
            _points(axes, name, here["lambda"], here)
            mark_diverged(axes, here.loc[here["mean"].isna(), "lambda"])
            _log_axis(axes, [*curve["lambda"], *here["lambda"]])
            axes.set_title(label(name))
        levels = theirs["lambda"].eq(0).any()
        ours_too = levels and none["mean"].notna().any()
        extra = {"published best λ": Line2D([], [], **CHOSEN)}
        extra |= {"published, λ = 0": Line2D([], [], color=GREY, linestyle=NONE, linewidth=0.9)} if levels else {}
        extra |= {"here, no penalty": Line2D([], [], color="black", linestyle=NONE, linewidth=0.9)} if ours_too else {}
        extra |= {"λ that diverged here": Line2D([], [], **DIVERGED)} if ours["mean"].isna().any() else {}
        _legend(drawn, ours, extra)
    return drawn


def reproduction_tasks(ours: pd.DataFrame, theirs: pd.DataFrame) -> Figure:
    """Mean test accuracy over the tasks learnt so far at the published best λ, one panel per published estimator.

    Args:
        ours, theirs: as for :func:`reproduction_lambda`.
    """
    if theirs.empty:
        return sentence("No retention results are published for this study.")
    best = published_best(theirs)
    estimators = in_order(best)
    ours, theirs = (frame[frame["lambda"] == frame["estimator"].map(best)] for frame in (ours, theirs))
    with figure(2.4 * grid_shape(len(estimators), 2)[0]) as drawn:
        for axes, name in _panels(
            drawn, estimators, 2, "tasks learnt", "average test accuracy,\ntasks learnt so far (%)"
        ):
            here, there = (frame[frame["estimator"] == name].sort_values("tasks_learnt") for frame in (ours, theirs))
            _published(axes, there["tasks_learnt"], there)
            _points(axes, name, here["tasks_learnt"], here)
            mark_diverged(axes, here.loc[here["mean"].isna(), "tasks_learnt"])
            if here.empty:
                _remark(axes, "λ not run here")
            axes.set_title(f"{label(name)}, λ = {best[name]:g}")
            axes.set_xticks(sorted(theirs["tasks_learnt"].unique()))
            axes.grid(axis="y")
        diverged = ours["mean"].isna().any()
        _legend(drawn, ours, {"diverged here": Line2D([], [], **DIVERGED)} if diverged else {})
    return drawn


def reproduction_pruning(ours: pd.DataFrame, theirs: pd.DataFrame) -> Figure:
    """Test accuracy against the share of each weight matrix removed, one panel per published criterion.

    Args:
        ours: result of :func:`weight_importance.findings.pruning.pruning_means` for the run that replaces it.
        theirs: result of :func:`weight_importance.findings.published.pruning` for the study.
    """
    if theirs.empty:
        return sentence("No pruning results are published for this study.")
    criteria = in_order(theirs["criterion"])
    ours = ours[ours["criterion"].isin(criteria) & ours["scope"].isin(theirs["scope"])]
    with figure(1.7 * grid_shape(len(criteria), 3)[0] + 0.3) as drawn:
        for axes, name in _panels(drawn, criteria, 3, "weights removed (%)", "test accuracy (%)"):
            here, there = (frame[frame["criterion"] == name].sort_values("fraction") for frame in (ours, theirs))
            _published(axes, there["fraction"] * PERCENT, there)
            _points(axes, name, here["fraction"] * PERCENT, here)
            if here["mean"].notna().sum() == 0:
                _remark(axes, "not run here")
            axes.set(title=label(name), ylim=(0, 103), xticks=range(0, 101, 20))
            axes.grid(axis="y")
        _legend(drawn, ours)
    return drawn


def _panels(drawn: Figure, names: list[str], columns: int, across: str, up: str) -> Iterator[tuple[Axes, str]]:
    """One panel per name, labelled on the left and at the bottom of each column."""
    rows, columns = grid_shape(len(names), columns)
    grid = list(drawn.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for place, (axes, name) in enumerate(zip_longest(grid, names)):
        if name is None:
            axes.set_axis_off()
            continue
        axes.set_xlabel(across if place + columns >= len(names) else "")
        axes.set_ylabel(up if place % columns == 0 else "")
        yield axes, name


def _published(axes: Axes, x: pd.Series, rows: pd.DataFrame) -> None:
    low, high = (rows[end] * PERCENT for end in ("low", "high"))
    axes.fill_between(x, low, high, color=GREY, alpha=0.3, linewidth=0)
    axes.plot(x, rows["mean"] * PERCENT, color=GREY, linewidth=0.9)


def _points(axes: Axes, name: str, x: pd.Series, rows: pd.DataFrame) -> None:
    """Means with 95 % bars; no bar without an interval, and nothing without a mean."""
    drawn = look(name)
    half = ((rows["high"] - rows["low"]) / 2 * PERCENT).fillna(0.0)
    axes.errorbar(
        x, rows["mean"] * PERCENT, half.where(rows["mean"].notna()), color=drawn["color"], marker=drawn["marker"],
        linestyle="", markersize=4, elinewidth=1, capsize=2, zorder=4, label=label(name),
    )  # fmt: skip


def _level(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    """Training without a penalty as a horizontal line with its interval: a logarithmic axis has no zero."""
    for row in rows.to_dict("records"):
        low, mean, high = (row[name] * PERCENT for name in ("low", "mean", "high"))
        if low < high:
            axes.axhspan(low, high, color=colour, alpha=0.3, linewidth=0)
        axes.axhline(mean, color=colour, linestyle=NONE, linewidth=0.9)


def _remark(axes: Axes, text: str) -> None:
    # accuracy falls to the right, so this corner is empty
    axes.text(0.05, 0.08, text, transform=axes.transAxes, color=GREY, style="italic")


def _log_axis(axes: Axes, strengths: list[float]) -> None:
    decades = np.log10(max(strengths) / min(strengths))
    axes.set_xscale("log")
    margin = max(1.25, 10 ** (0.06 * decades))
    axes.set_xlim(min(strengths) / margin, max(strengths) * margin)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.2 else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.grid(axis="y")


def _legend(drawn: Figure, ours: pd.DataFrame, extra: dict[str, Line2D] | None = None) -> None:
    counts = sorted(ours["n"].unique()) if "n" in ours else []
    seeds = f" ({counts[0]:g} seeds)" if len(counts) == 1 and counts[0] > 1 else ""
    single = counts == [1]
    handles = {
        "published, mean and 95 % band": (
            Patch(color=GREY, alpha=0.3, linewidth=0), Line2D([], [], color=GREY, linewidth=0.9),
        ),
        "here, one seed" if single else f"here, mean and 95 % bar{seeds}": Line2D(
            [], [], linestyle="", marker="o", color="black", markersize=4
        ),
    } | (extra or {})  # fmt: skip
    # matplotlib's types lack handles of several artists
    drawn.legend([*handles.values()], [*handles], loc="outside lower center", ncols=3)  # type: ignore[call-overload]
