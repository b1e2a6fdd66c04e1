"""Figures of our results over the published ones: published in grey, ours in each estimator's colour."""

from collections.abc import Collection, Iterator
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
    LEAST_SEEDS,
    PERCENT,
    Look,
    bounds,
    figure,
    grid_shape,
    in_order,
    in_view,
    label,
    look,
    mark_diverged,
    sentence,
)
from weight_importance.findings.reproduction import last_common_task, published_best

PUBLISHED: Look = {"color": GREY, "linestyle": (0, (4, 2)), "linewidth": 0.9}
OWN: Look = {"color": "black", "linestyle": (0, (1, 1.5)), "linewidth": 0.9}
"""Looks of training without a penalty."""


def reproduction_lambda(observed: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Mean test accuracy over all tasks against λ, one panel per published estimator that this run has.

    Args:
        observed: means of this run, from :func:`weight_importance.findings.reproduction.retention_means`.
        published: the study's rows of :func:`weight_importance.findings.published.retention`; λ = 0 is a horizontal
            line, next to training without a penalty in this run.
    """
    if published.empty:
        return sentence("No retention results are published for this study.")
    tasks = last_common_task(observed, published) or published["tasks_learnt"].max()
    best = published_best(published)
    estimators = _run(best, observed)
    observed = observed[observed["tasks_learnt"] == tasks]
    none, observed = observed[observed["estimator"] == "none"], observed[observed["estimator"].isin(estimators)]
    published = published[(published["tasks_learnt"] == tasks) & published["estimator"].isin(estimators)]
    with figure(2.6 * grid_shape(len(estimators), 2)[0]) as drawn:
        for axes, name in _panels(
            drawn, estimators, 2, "penalty strength λ", f"average test accuracy,\n{tasks} tasks (%)"
        ):
            points = observed[(observed["estimator"] == name) & (observed["lambda"] > 0)]
            band = published[published["estimator"] == name].sort_values("lambda")
            level, curve = band[band["lambda"] == 0], band[band["lambda"] > 0]
            _published(axes, curve["lambda"], curve)
            for rows, style in ((level, PUBLISHED), (none if len(level) else none.head(0), OWN)):
                _level(axes, rows.dropna(subset="mean"), style)
            marked = curve[curve["lambda"] == best[name]]
            axes.plot(marked["lambda"], marked["mean"] * PERCENT, **CHOSEN)
            _points(axes, name, points["lambda"], points)
            mark_diverged(axes, points.loc[points["mean"].isna(), "lambda"])
            _log_axis(axes, [*curve["lambda"], *points["lambda"]])
            axes.set_title(label(name))
        _limit(axes, pd.concat([observed, none, published]))
        levels = published["lambda"].eq(0).any()
        ours_too = levels and none["mean"].notna().any()
        extra = {"published best λ": Line2D([], [], **CHOSEN)}
        extra |= {"published, λ = 0": Line2D([], [], **PUBLISHED)} if levels else {}
        extra |= {"this run, no penalty": Line2D([], [], **OWN)} if ours_too else {}
        extra |= {"λ that diverged here": Line2D([], [], **DIVERGED)} if observed["mean"].isna().any() else {}
        _legend(drawn, observed, extra)
    return drawn


def reproduction_tasks(observed: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Mean test accuracy over the tasks learnt so far at the published best λ, one panel per published estimator that
    this run has.

    Args:
        observed, published: as for :func:`reproduction_lambda`.
    """
    if published.empty:
        return sentence("No retention results are published for this study.")
    best = published_best(published)
    estimators = _run(best, observed)
    best = {name: best[name] for name in estimators}
    observed, published = (frame[frame["lambda"] == frame["estimator"].map(best)] for frame in (observed, published))
    with figure(2.4 * grid_shape(len(estimators), 2)[0]) as drawn:
        for axes, name in _panels(
            drawn, estimators, 2, "tasks learnt", "average test accuracy,\ntasks learnt so far (%)"
        ):
            points, band = (
                frame[frame["estimator"] == name].sort_values("tasks_learnt") for frame in (observed, published)
            )
            _published(axes, band["tasks_learnt"], band)
            _points(axes, name, points["tasks_learnt"], points)
            mark_diverged(axes, points.loc[points["mean"].isna(), "tasks_learnt"])
            if points.empty:
                _remark(axes, "λ not run here")
            axes.set_title(f"{label(name)}, λ = {best[name]:g}")
            axes.set_xticks(sorted(published["tasks_learnt"].unique()))
            axes.grid(axis="y")
        _limit(axes, pd.concat([observed, published]))
        diverged = observed["mean"].isna().any()
        _legend(drawn, observed, {"diverged here": Line2D([], [], **DIVERGED)} if diverged else {})
    return drawn


def reproduction_pruning(observed: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Test accuracy against the share of each weight matrix removed, one panel per published criterion.

    Args:
        observed: means of this run, from :func:`weight_importance.findings.pruning.pruning_means`.
        published: the study's rows of :func:`weight_importance.findings.published.pruning`.
    """
    if published.empty:
        return sentence("No pruning results are published for this study.")
    criteria = in_order(published["criterion"])
    observed = observed[observed["criterion"].isin(criteria) & observed["scope"].isin(published["scope"])]
    with figure(1.7 * grid_shape(len(criteria), 3)[0] + 0.3) as drawn:
        for axes, name in _panels(drawn, criteria, 3, "weights removed (%)", "test accuracy (%)"):
            points, band = (
                frame[frame["criterion"] == name].sort_values("fraction") for frame in (observed, published)
            )
            _published(axes, band["fraction"] * PERCENT, band)
            _points(axes, name, points["fraction"] * PERCENT, points)
            if points["mean"].notna().sum() == 0:
                _remark(axes, "not run here")
            axes.set(title=label(name), ylim=(0, 103), xticks=range(0, 101, 20))
            axes.grid(axis="y")
        _legend(drawn, observed)
    return drawn


def _run(published: Collection[str], observed: pd.DataFrame) -> list[str]:
    """Published estimators with a λ in this run; all of them if none has one."""
    run = set(observed.loc[observed["lambda"] > 0, "estimator"])
    return in_order([name for name in published if name in run] or published)


def _panels(drawn: Figure, names: list[str], columns: int, xlabel: str, ylabel: str) -> Iterator[tuple[Axes, str]]:
    """One panel per name, labelled on the left and at the bottom of each column."""
    rows, columns = grid_shape(len(names), columns)
    grid = list(drawn.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for place, (axes, name) in enumerate(zip_longest(grid, names)):
        if name is None:
            axes.set_axis_off()
            continue
        axes.set_xlabel(xlabel if place + columns >= len(names) else "")
        axes.set_ylabel(ylabel if place % columns == 0 else "")
        yield axes, name


def _limit(axes: Axes, rows: pd.DataFrame) -> None:
    """Limit the accuracies of panels with a common axis to those that :func:`in_view` selects."""
    shown = in_view(rows)
    room = 0.06 * (np.nanmax(shown) - np.nanmin(shown)) + 0.2
    axes.set_ylim(np.nanmin(shown) - room, np.nanmax(shown) + room)


def _published(axes: Axes, x: pd.Series, rows: pd.DataFrame) -> None:
    low, high = (rows[end] * PERCENT for end in ("low", "high"))
    axes.fill_between(x, low, high, color=GREY, alpha=0.3, linewidth=0)
    axes.plot(x, rows["mean"] * PERCENT, color=GREY, linewidth=0.9)


def _points(axes: Axes, name: str, x: pd.Series, rows: pd.DataFrame) -> None:
    """Draw means with intervals (:func:`bounds`) as error bars; rows without a mean are left out."""
    drawn = look(name)
    low, high = bounds(rows)
    half = ((high - low) / 2).fillna(0.0)
    axes.errorbar(
        x, rows["mean"] * PERCENT, half.where(rows["mean"].notna()), color=drawn["color"], marker=drawn["marker"],
        linestyle="", markersize=4, elinewidth=1, capsize=2, zorder=4, label=label(name),
    )  # fmt: skip


def _level(axes: Axes, rows: pd.DataFrame, style: Look) -> None:
    """Training without a penalty as a horizontal line with its interval: a logarithmic axis has no zero."""
    for mean, low, high in zip(rows["mean"] * PERCENT, *bounds(rows), strict=True):
        if low < high:
            axes.axhspan(low, high, color=style["color"], alpha=0.15, linewidth=0)
        axes.axhline(mean, **style)


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


def _legend(drawn: Figure, observed: pd.DataFrame, extra: dict[str, Line2D] | None = None) -> None:
    counts = sorted(observed["n"].unique())
    seeds = f" ({counts[0]:g} seeds)" if len(counts) == 1 and counts[0] > 1 else ""
    bars = any(count >= LEAST_SEEDS for count in counts)
    run = "one seed" if counts == [1] else f"mean{' and 95 % bar' * bars}{seeds}"
    handles = {
        "published, mean and 95 % band": (
            Patch(color=GREY, alpha=0.3, linewidth=0), Line2D([], [], color=GREY, linewidth=0.9),
        ),
        f"this run, {run}": Line2D([], [], linestyle="", marker="o", color="black", markersize=4),
    } | (extra or {})  # fmt: skip
    # matplotlib's types lack handles of several artists
    drawn.legend([*handles.values()], [*handles], loc="outside lower center", ncols=3)  # type: ignore[call-overload]
