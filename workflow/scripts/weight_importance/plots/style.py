"""What all figures share: size, type, colours that colour-blind readers can tell apart, and deterministic files."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weight_importance import ESTIMATORS
from weight_importance.storage import atomic_path

WIDTH = 6.5
"""Inches: the width of the paper's text, so that figures are printed at the size they are drawn."""

CONTROLS = {"none": "no penalty", "random": "random"}
"""Names in tables that are no estimators."""

# Paul Tol's "muted" scheme, in an order whose neighbours differ in lightness too
PALETTE = ("#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#999933", "#44AA99", "#AA4499", "#DDAA33")
DASHES: tuple = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
MARKERS = "osD^vP*X"
GREY = "#555555"

SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "grid.linewidth": 0.4,
    "grid.color": "#DDDDDD",
    "axes.axisbelow": True,
    "figure.dpi": 150,
    "pdf.fonttype": 42,
    "svg.hashsalt": "importance-atlas",
}


@contextmanager
def figure(height: float, layout: str | None = "constrained") -> Iterator[Figure]:
    """A figure of the paper's width in the shared style, which holds for all that is drawn inside the block."""
    with mpl.rc_context(SETTINGS):
        yield Figure(figsize=(WIDTH, height), layout=layout)


def save(drawn: Figure, path: str | Path) -> None:
    """Write a figure as PDF; the same figure gives the same bytes."""
    with mpl.rc_context(SETTINGS), atomic_path(path) as temporary:
        drawn.savefig(temporary, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})


def show(drawn: Figure, alternative: str) -> Image:
    """A figure for a notebook to display, at twice its size in print.

    Args:
        drawn: the figure.
        alternative: what it shows, for readers who cannot see it.
    """
    picture = BytesIO()
    with mpl.rc_context(SETTINGS):
        drawn.savefig(picture, format="png", dpi=200)
    return Image(picture.getvalue(), width=WIDTH * 135, alt=alternative)


def label(name: str) -> str:
    """How figures and tables name an estimator or a control."""
    return CONTROLS.get(name) or ESTIMATORS[name].label


def in_order(names: Iterable[str]) -> list[str]:
    """Estimators in the order of the estimator list, then the controls."""
    known = [*ESTIMATORS, *CONTROLS]
    return sorted(set(names), key=known.index)


def look(name: str) -> dict[str, object]:
    """Colour, dashes and marker of an estimator, fixed by its position in the estimator list.

    Nine colours; every further nine have other dashes, and markers go round in steps of their own.
    """
    if name in CONTROLS:
        return {"color": GREY, "linestyle": (0, (2, 2)), "marker": "x"}
    position = list(ESTIMATORS).index(name)
    return {
        "color": PALETTE[position % len(PALETTE)],
        "linestyle": DASHES[position // len(PALETTE) % len(DASHES)],
        "marker": MARKERS[position % len(MARKERS)],
    }


def band(axes: Axes, name: str, x: Sequence[float], rows, *, scale: float = 1.0) -> None:
    """A line of means with its interval as a band; ``rows`` has ``mean``, ``low`` and ``high`` along ``x``."""
    drawn = look(name)
    axes.fill_between(x, rows["low"] * scale, rows["high"] * scale, color=drawn["color"], alpha=0.2, linewidth=0)
    axes.plot(x, rows["mean"] * scale, label=label(name), **drawn)


def grid_shape(panels: int, columns: int) -> tuple[int, int]:
    """Rows and columns for so many panels, at most ``columns`` side by side, as even as can be."""
    rows = int(np.ceil(panels / columns))
    return rows, int(np.ceil(panels / rows))
