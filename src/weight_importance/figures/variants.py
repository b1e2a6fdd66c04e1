"""Figure of a study and its variants: does a variant widen the usable range of penalty strengths?"""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from weight_importance.figures.style import (
    DIVERGED,
    GREY,
    PERCENT,
    Look,
    bounds,
    error_axis,
    figure,
    grid_shape,
    in_order,
    label,
    look,
    mark_diverged,
    sentence,
    strength_axis,
)
from weight_importance.findings.variants import TOLERANCE, curves, short_name, usable_range
from weight_importance.findings.variants import variants as variants_of
from weight_importance.settings import Study

DASHES = (0, (4, 1.5))
DARK = "#222222"


def variants(study: str, settings: Mapping[str, Study], retention: pd.DataFrame) -> Figure:
    """Mean test accuracy over all tasks against the plain-equivalent λ: one panel per variant and estimator.

    The study has the estimator's colour, the variant is dark and dashed, each over all its runs; horizontal lines show
    training without a penalty. The strip below shows both usable ranges over the strengths and seeds in common.

    Args:
        study, settings, retention: as for :func:`weight_importance.findings.variants.compared`.
    """
    accuracies = curves(study, settings, retention)
    ranges = usable_range(study, settings, retention)
    panels = [
        (variant, name)
        for variant in variants_of(study, settings)
        for name in in_order(accuracies.loc[accuracies["study"] == variant, "estimator"])
        if name != "none"
    ]
    if not panels:
        return sentence("This study has no variants in this configuration.")
    rows, columns = grid_shape(len(panels), 3)
    with figure(2.6 * rows + 0.35) as drawn:
        grid = drawn.subplots(2 * rows, columns, squeeze=False, sharey="row", height_ratios=[4.5, 1] * rows)
        # a panel and the strip of its usable ranges below it
        above, below = list(grid[::2].flat), list(grid[1::2].flat)
        for place, (axes, strip, (variant, name)) in enumerate(zip(above, below, panels, strict=False)):
            axes.set_title(f"{short_name(variant, study)}: {label(name)}")
            both = accuracies[accuracies["study"].isin([study, variant])]
            of_name = both[both["estimator"] == name]
            usable = ranges[(ranges["variant"] == variant) & (ranges["estimator"] == name)]
            for row, (member, side) in enumerate(((study, "counterpart"), (variant, "variant"))):
                style = _style(name, variant=member == variant)
                none = both[(both["study"] == member) & (both["estimator"] == "none")]
                _curve(axes, of_name[of_name["study"] == member], none, style)
                _range(strip, usable, side, style, row)
            for part in (axes, strip):
                strength_axis(part, of_name["plain_lambda"])
            axes.tick_params(labelbottom=False)
            strip.set(ylim=(1.6, -0.6), xlabel="λ as in the plain penalty")
            strip.set_yticks([0, 1], ["study", "variant"])
            if place % columns == 0:
                axes.set_ylabel("average test accuracy,\nall tasks (%)")
        for axes in [*above[len(panels) :], *below[len(panels) :]]:
            axes.set_axis_off()
        for axes in above[::columns]:
            error_axis(axes, accuracies)
        unpenalised = accuracies.loc[accuracies["estimator"] == "none", "study"]
        _legend(drawn, study, diverged=accuracies["mean"].isna().any(), none=unpenalised)
    return drawn


def _style(name: str, *, variant: bool) -> Look:
    if variant:
        return {"color": DARK, "linestyle": DASHES, "marker": "s", "markerfacecolor": "white"}
    return {"color": look(name)["color"], "linestyle": "-", "marker": "o"}


def _curve(axes: Axes, rows: pd.DataFrame, none: pd.DataFrame, style: Look) -> None:
    rows = rows.sort_values("plain_lambda")
    finite = rows[rows["mean"].notna()]
    low, high = bounds(finite)
    axes.fill_between(finite["plain_lambda"], low, high, color=style["color"], alpha=0.15, linewidth=0)
    axes.plot(finite["plain_lambda"], finite["mean"] * PERCENT, **style)
    if len(finite) == 1 and low.notna().all():
        half = (high - low) / 2
        axes.errorbar(
            finite["plain_lambda"], finite["mean"] * PERCENT, half, color=style["color"], capsize=2, linewidth=0.9
        )
    mark_diverged(axes, rows.loc[rows["mean"].isna(), "plain_lambda"])
    if len(none):
        dashes = (0, (1, 2)) if style["linestyle"] == "-" else DASHES
        axes.axhline(none["mean"].item() * PERCENT, color=GREY, linestyle=dashes, linewidth=0.8, zorder=1)


def _range(axes: Axes, usable: pd.DataFrame, side: str, style: Look, height: float) -> None:
    """A bar from the lowest to the highest usable strength, with an arrow where the range may extend further."""
    for row in usable.dropna(subset=f"low_{side}").to_dict("records"):
        ends = [row[f"low_{side}"], row[f"high_{side}"]]
        axes.plot(ends, [height] * 2, color=style["color"], linewidth=2.2, solid_capstyle="butt")
        for end, is_open, arrow in zip(ends, (row[f"open_low_{side}"], row[f"open_high_{side}"]), "<>", strict=True):
            axes.plot(end, height, marker=arrow if is_open else "|", markersize=5, color=style["color"], mew=1.5)


def _legend(drawn: Figure, study: str, *, diverged: bool, none: pd.Series) -> None:
    handles = {
        "the study itself": Line2D([], [], **_style("fisher_empirical", variant=False)),
        "its variant": Line2D([], [], **_style("fisher_empirical", variant=True)),
        f"λ within {PERCENT * TOLERANCE:g} point of the best (strengths of both)": Line2D(
            [], [], color="black", linewidth=2.2
        ),
        "range may extend further": Line2D([], [], linestyle="", marker=">", markersize=5, color="black"),
    }
    if none.eq(study).any():
        handles["no penalty"] = Line2D([], [], color=GREY, linestyle=(0, (1, 2)), linewidth=0.8)
    if none.ne(study).any():
        handles["no penalty, variant"] = Line2D([], [], color=GREY, linestyle=DASHES, linewidth=0.8)
    if diverged:
        handles["λ that diverged"] = Line2D([], [], **DIVERGED)
    drawn.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4 if len(handles) > 6 else 3)
