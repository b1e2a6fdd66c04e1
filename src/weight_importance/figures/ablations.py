"""Figures of ablations: recovery of an importance, and the stability-plasticity trade-off along λ."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from weight_importance.figures.labels import ablation_label, in_ablation_order
from weight_importance.figures.style import (
    CHOSEN,
    DASHES,
    DIVERGED,
    GREY,
    MARKERS,
    PALETTE,
    PERCENT,
    Look,
    error_axis,
    figure,
    grid_shape,
    in_order,
    label,
)
from weight_importance.findings.ablations import MARGIN, ablations_of, frontier
from weight_importance.settings.ablation_names import parse

FILLED = ("equivalent", "better")


def ablations_recovery(recoveries: pd.DataFrame) -> Figure:
    """Recovery of each ablation with its interval: one panel per estimator.

    Args:
        recoveries: result of :func:`weight_importance.findings.ablations.recovery` for one study.
    """
    recoveries = recoveries[recoveries["ablation"] != recoveries["estimator"]]
    estimators = in_order(recoveries["estimator"])
    counts = [int((recoveries["estimator"] == name).sum()) for name in estimators]
    with figure(0.19 * sum(counts) + 0.32 * len(counts) + 0.75) as drawn:
        grid = drawn.subplots(len(estimators), 1, squeeze=False, sharex=True, height_ratios=counts)[:, 0]
        limits = _limits(recoveries)
        for axes, name in zip(grid, estimators, strict=True):
            rows = recoveries[recoveries["estimator"] == name].set_index("ablation")
            names = in_ablation_order(rows.index)
            for height, ablation in enumerate(names):
                _recovery(axes, rows.loc[ablation], height, limits)
            axes.set_title(f"ablations of {label(name)}", loc="left", pad=3)
            axes.set_yticks(range(len(names)), [ablation_label(ablation, name) for ablation in names])
            axes.set_ylim(len(names) - 0.5, -0.5)
            for level, dashes in ((0, (0, (2, 2))), (1, "-")):
                axes.axvline(level, color=GREY, linestyle=dashes, linewidth=0.8, zorder=0)
            axes.grid(axis="y")
        grid[-1].set(xlim=limits, xlabel="recovery (0: no penalty, dashed; 1: the estimator itself)")
        legend = _recovery_legend(recoveries)
        drawn.legend(**legend, loc="outside lower center", ncols=2 if len(legend["labels"]) == 4 else 3)
    return drawn


def _limits(recoveries: pd.DataFrame) -> tuple[float, float]:
    """Axis limits that include all means, 0 and 1; the frame cuts longer intervals."""
    shown = np.array([0.0, 1.0, *recoveries["mean_recovery"].dropna()])
    ends = recoveries[["low_recovery", "high_recovery"]].to_numpy().flatten()
    ends = ends[np.isfinite(ends)].clip(shown.min() - 0.3, shown.max() + 0.3)
    shown = np.concatenate([shown, ends])
    room = 0.06 * np.ptp(shown)
    return shown.min() - room, shown.max() + room


def _recovery(axes: Axes, row: Mapping, height: float, limits: tuple[float, float]) -> None:
    if np.isnan(row["mean_recovery"]):
        axes.plot(limits[0] + 0.02 * np.ptp(limits), height, **DIVERGED)
        return
    # an unbounded interval spans the whole axis
    low, high = (
        end if np.isfinite(end) else limit
        for end, limit in zip((row["low_recovery"], row["high_recovery"]), limits, strict=True)
    )
    colour = PALETTE[0] if row["outcome"] in FILLED else PALETTE[1]
    solid = np.isfinite(row["low_recovery"])
    axes.plot([low, high], [height] * 2, color=colour, linewidth=1.2, linestyle="-" if solid else (0, (1, 2)))
    face = colour if row["outcome"] != "undecided" else "white"
    axes.plot(row["mean_recovery"], height, marker="o", markersize=4.5, color=colour, markerfacecolor=face)


def _recovery_legend(recoveries: pd.DataFrame) -> dict[str, list]:
    points = PERCENT * MARGIN
    dot = partial(Line2D, [], [], marker="o", markersize=4.5, linewidth=1.2)
    handles = {
        f"equivalent within {points:g} points, or better": dot(color=PALETTE[0]),
        "worse": dot(color=PALETTE[1]),
        "undecided": dot(color=PALETTE[1], markerfacecolor="white"),
        "mean, 95 % interval": dot(color=GREY),
    }
    finite = recoveries["mean_recovery"].notna()
    if np.isinf(recoveries.loc[finite, "low_recovery"]).any():
        handles["interval without bounds"] = Line2D([], [], color=GREY, linestyle=(0, (1, 2)), linewidth=1.2)
    if not finite.all():
        handles["every λ diverged"] = Line2D([], [], **DIVERGED)
    return {"handles": list(handles.values()), "labels": list(handles)}


def ablations_frontier(retention: pd.DataFrame, selected: pd.DataFrame) -> Figure:
    """Mean test accuracy on old tasks against the newest task as λ grows: one panel per estimator.

    Args:
        retention: the table ``retention`` of one study.
        selected: the table ``selected_lambda`` of the same study.
    """
    table, ablations = frontier(retention), ablations_of(retention)
    estimators = in_order(ablations)
    looks = _looks([name for names in ablations.values() for name in names])
    rows, columns = grid_shape(len(estimators), 2)
    with figure(3.0 * rows + 0.2 * (len(looks) // 3 + 2)) as drawn:
        grid = drawn.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes, estimator in zip(grid.flat, estimators, strict=False):
            for name in [*in_ablation_order(ablations[estimator]), estimator]:
                chosen = selected.loc[selected["estimator"] == name, "lambda"]
                _line(axes, table[table["estimator"] == name], chosen, looks.get(name, OWN))
            none = table[table["estimator"] == "none"]
            axes.plot(none["mean_new"] * PERCENT, none["mean_old"] * PERCENT, **NONE)
            axes.set_title(f"{label(estimator)} and its ablations", pad=3)
            axes.set_xlabel("accuracy on the newest task (%)")
            axes.grid()
        for axes in grid.flat[len(estimators) :]:
            axes.set_axis_off()
        for axes in grid[:, 0]:
            axes.set_ylabel("average accuracy on\nall earlier tasks (%)")
        for group in ("old", "new"):
            means = pd.DataFrame(dict.fromkeys(("mean", "low", "high"), table[f"mean_{group}"])).assign(n=table["n"])
            error_axis(grid[0, 0], means, across=group == "new")
        drawn.legend(**_frontier_legend(looks), loc="outside lower center", ncols=3)
    return drawn


OWN: Look = {"color": "black", "linestyle": "-", "marker": "o", "linewidth": 1.8}
NONE: Look = {"color": GREY, "linestyle": "", "marker": "P", "markersize": 7}


def _looks(ablations: Sequence[str]) -> dict[str, Look]:
    """Colour, dashes and marker by transform, the same in every panel."""
    names = in_ablation_order(dict.fromkeys(ablations))
    kinds = list(dict.fromkeys(_kind(name) for name in names))
    return {
        name: {
            "color": PALETTE[place % len(PALETTE)],
            "linestyle": DASHES[1 + place // len(PALETTE)],
            "marker": MARKERS[1 + place % (len(MARKERS) - 1)],
        }
        for name in names
        for place in [kinds.index(_kind(name))]
    }


def _kind(ablation: str) -> str:
    """Legend name of an ablation: its transform, or both estimators."""
    parts = parse(ablation)
    if parts.transform != "values_in_ranks":
        return parts.label
    values, ranks = map(label, parts.estimators)
    return f"values of {values} in ranks of {ranks}"


def _line(axes: Axes, rows: pd.DataFrame, chosen: pd.Series, look: Look) -> None:
    curve = rows.dropna(subset=["mean_old", "mean_new"]).sort_values("lambda")
    new, old = curve["mean_new"] * PERCENT, curve["mean_old"] * PERCENT
    axes.plot(new, old, **look)
    selected = curve["lambda"].isin(chosen)
    axes.plot(new[selected], old[selected], **CHOSEN)


def _frontier_legend(looks: Mapping[str, Look]) -> dict[str, list]:
    handles = {"the estimator itself": Line2D([], [], **OWN)}
    handles |= {_kind(name): Line2D([], [], **look) for name, look in looks.items()}
    handles |= {"no penalty": Line2D([], [], **NONE), "λ selected on validation data": Line2D([], [], **CHOSEN)}
    return {"handles": list(handles.values()), "labels": list(handles)}
