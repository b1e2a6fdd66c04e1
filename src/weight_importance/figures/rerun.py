"""Figure of a rerun compared with the reference: differences of the quantities behind the claims."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from weight_importance.figures.style import GREY, PALETTE, figure, sentence

COLOURS = {"agrees": PALETTE[2], "differs": PALETTE[1], "undecided": GREY}
SHOWN = 5
"""Largest difference in the figure, in margins; larger ones are drawn at its edge."""


def differences(table: pd.DataFrame) -> Figure:
    """Difference of each quantity in units of its margin, with its 95 % interval, one group per claim.

    Args:
        table: columns of :func:`weight_importance.findings.rerun.compared`, and ``part``.
    """
    rows = table.dropna(subset="mean_difference").reset_index(drop=True)
    if rows.empty:
        return sentence("No quantity of a claim is in both runs.")
    first = rows.index[rows["part"] != rows["part"].shift()]
    places = rows.index + 1.4 * (rows["part"] != rows["part"].shift()).cumsum()
    with figure(0.8 + 0.14 * places.max()) as drawn:
        axes = drawn.subplots()
        axes.axvspan(-1, 1, color="#EEEEEE")
        for place, row in zip(places, rows.to_dict("records"), strict=True):
            mean, low, high = (
                max(-SHOWN, min(SHOWN, row[f"{part}_difference"] / row["margin"])) for part in ("mean", "low", "high")
            )
            axes.plot([low, high], [place, place], color=COLOURS[row["outcome"]], linewidth=1)
            axes.plot(mean, place, "o", color=COLOURS[row["outcome"]])
        for start in first:
            left = blended_transform_factory(axes.transAxes, axes.transData)
            axes.text(0.01, places[start] - 1.1, rows["part"][start], transform=left, va="center", weight="bold")
        for outcome, colour in COLOURS.items():
            axes.plot([], [], "o-", color=colour, label=outcome)
        axes.set_yticks(places, rows["quantity"])
        axes.set(xlim=(-SHOWN - 0.3, SHOWN + 0.3), ylim=(places.max() + 1, -0.6))
        drawn.supxlabel("rerun less reference, in units of the margin (grey: within the margin)", fontsize=7.5)
        drawn.legend(loc="outside upper right", ncols=3)
    return drawn
