"""Common style of all figures: size, type, colours for colour-blind readers, and deterministic files."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import Literal, Required, TypedDict
from zlib import crc32

import matplotlib as mpl
import numpy as np
import pandas as pd
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.typing import LineStyleType, RcKeyType
from PIL import Image as Picture

from weight_importance import ESTIMATORS
from weight_importance.files.storage import atomic_path

WIDTH = 6.5
"""Inches: text width of the paper, so that figures print at the size they are drawn."""

PERCENT = 100.0

LEAST_SEEDS = 3
"""Smallest number of seeds over which an interval of accuracies is drawn: over two, it often exceeds 0 to 100 %."""

MOST_COLUMNS = 4
"""Largest number of panels side by side with legible text."""

ABLATIONS = {"none": "no penalty", "joint": "joint training", "random": "random"}
"""Names in tables that are not estimators."""

# Paul Tol's "muted" scheme, ordered so that neighbours also differ in lightness
PALETTE = ("#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#999933", "#44AA99", "#AA4499", "#DDAA33")
PLACES = (
    "absolute_fisher", "fisher_empirical", "fisher_exact", "fisher_sampled", "magnitude", "mas", "mas_logits", "si",
    "total_signal",
    "ewc_dr", "fisher_batched", "fisher_predicted", "ggn", "hessian_diagonal", "l2", "mas_batched",
    "mas_logits_norm", "masx",
    "obd", "onaf", "root_fisher", "rwalk", "si_bias", "si_penalised", "si_unbiased", "si_undivided", "snip",
    "sos", "squisher", "wanda",
)  # fmt: skip
"""Estimators with a reserved look: every group of nine uses the nine colours, with different dashes."""
DASHES: tuple[LineStyleType, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
FURTHER: LineStyleType = (0, (8, 1.5, 1, 1.5))
"""Dashes of all other estimators."""
MARKERS = "osD^vP*X"
GREY = "#555555"


class Look(TypedDict, total=False):
    """Look of a line and its markers, as arguments of matplotlib's ``plot`` and ``Line2D``."""

    color: Required[str]
    linestyle: LineStyleType
    linewidth: float
    marker: str
    markersize: float
    markeredgewidth: float
    markerfacecolor: str


DIVERGED: Look = {"linestyle": "", "marker": "x", "color": "#AA3311", "markersize": 6, "markeredgewidth": 1.4}
CHOSEN: Look = {
    "linestyle": "", "marker": "o", "color": "black", "markersize": 8, "markerfacecolor": "none",
    "markeredgewidth": 0.9,
}  # fmt: skip

SETTINGS: dict[RcKeyType, object] = {
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
def figure(height: float, layout: Literal["constrained"] | None = "constrained") -> Iterator[Figure]:
    """A figure of the paper's width; the shared style applies inside the block."""
    with mpl.rc_context(SETTINGS):
        yield Figure(figsize=(WIDTH, height), layout=layout)


def save(drawn: Figure, path: str | Path) -> None:
    """Write a figure as PDF; the same figure gives the same bytes."""
    with mpl.rc_context(SETTINGS), atomic_path(path) as temporary:
        drawn.savefig(temporary, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})


def show(drawn: Figure, alternative: str) -> Image:
    """Image of a figure for a notebook, at twice its print size.

    It has 256 colours, for a third of the bytes: Snakemake's report embeds pages as data URLs, and Chromium opens none
    above 2 MB.

    Args:
        drawn: the figure.
        alternative: alternative text, for readers who cannot see it.
    """
    picture, small = BytesIO(), BytesIO()
    with mpl.rc_context(SETTINGS):
        drawn.savefig(picture, format="png", dpi=200)
    pixels = Picture.open(picture).convert("RGB")
    # the method keeps rare colours, such as those of a colour bar; one step of k-means brings it close to frequent ones
    palette = pixels.quantize(256, Picture.Quantize.MAXCOVERAGE, kmeans=1, dither=Picture.Dither.NONE)
    palette.save(small, "png", optimize=True)
    return Image(small.getvalue(), width=WIDTH * 135, alt=alternative)


def label(name: str) -> str:
    """Display name of an estimator or an ablation in figures and tables."""
    return ABLATIONS.get(name) or ESTIMATORS[name].label


def in_order(names: Iterable[str]) -> list[str]:
    """Estimators in the order of the estimator list, then the ablations."""
    known = [*ESTIMATORS, *ABLATIONS]
    return sorted(set(names), key=known.index)


def look(name: str) -> Look:
    """Colour, dashes and marker of an estimator; L2 is black.

    They follow from the name alone, so that no figure depends on estimators that it does not show: from its place in
    :data:`PLACES`, or from a hash of the name.
    """
    if name in ABLATIONS:
        return {"color": GREY, "linestyle": (0, (2, 2)), "marker": "x"}
    if name == "l2":
        return {"color": "#000000", "linestyle": DASHES[3], "marker": "D"}
    is_placed = name in PLACES
    place = PLACES.index(name) if is_placed else crc32(name.encode())
    return {
        "color": PALETTE[place % len(PALETTE)],
        "linestyle": DASHES[place // len(PALETTE)] if is_placed else FURTHER,
        "marker": MARKERS[place % len(MARKERS)],
    }


def bounds(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The ends of the intervals to draw, in per cent; ``nan`` for fewer than :data:`LEAST_SEEDS` seeds.

    Args:
        rows: ``low``, ``high`` (between 0 and 1) and ``n``.
    """
    low, high = (rows[end].where(rows["n"] >= LEAST_SEEDS).astype(float) * PERCENT for end in ("low", "high"))
    return low, high


def band(axes: Axes, name: str, x: Sequence[float], rows: pd.DataFrame) -> None:
    """Draw means in per cent as a line with intervals (:func:`bounds`) as a band; ``rows`` also has ``mean``."""
    drawn = look(name)
    axes.fill_between(x, *bounds(rows), color=drawn["color"], alpha=0.2, linewidth=0)
    axes.plot(x, rows["mean"] * PERCENT, label=label(name), **drawn)


def strength_axis(axes: Axes, strengths: Sequence[float]) -> None:
    """Logarithmic axis of λ with ticks at strengths tried: at most four, evenly chosen, including first and last."""
    tried = np.unique(np.asarray(strengths, dtype=float))
    axes.set_xscale("log")
    margin = max(1.25, (tried[-1] / tried[0]) ** 0.12)
    axes.set_xlim(tried[0] / margin, tried[-1] * margin)
    shown = np.linspace(0, len(tried) - 1, min(4, len(tried))).round().astype(int)
    axes.set_xticks(tried[shown])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.grid(axis="y")


def in_view(rows: pd.DataFrame) -> np.ndarray:
    """Accuracies in per cent that must fit into a figure: the means, and the ends of the intervals that are drawn."""
    return np.concatenate([rows["mean"] * PERCENT, *bounds(rows)]).clip(0, 100)


def error_axis(axes: Axes, rows: pd.DataFrame, *, across: bool = False) -> None:
    """Scale an axis of accuracies in per cent logarithmically in the error, so that 95 and 96 % differ visibly.

    Args:
        axes: axes with the accuracies on y, or on x.
        rows: ``mean``, ``low``, ``high`` (between 0 and 1) and ``n`` of everything drawn; see :func:`in_view`.
        across: accuracies are on x.
    """
    shown = in_view(rows)
    if np.isnan(shown).all():
        return
    axis, set_limits = (axes.xaxis, axes.set_xlim) if across else (axes.yaxis, axes.set_ylim)
    (axes.set_xscale if across else axes.set_yscale)(
        "function", functions=(_of_error, lambda value: 100.5 - np.exp(-value))
    )
    low, high = np.nanmin(shown), np.nanmax(shown)
    room = 0.12 * (_of_error(high) - _of_error(low)) + 0.02
    limits = 100.5 - np.exp(-np.array([_of_error(low) - room, _of_error(high) + room]))
    least = 0.1 * (_of_error(limits[1]) - _of_error(limits[0]))  # between two tick labels
    ticks: list[float] = []
    for tick in (99, 98, 97, 96, 95, 93, 90, 85, 80, 70, 60, 40, 20, 0):
        if limits[0] < tick < limits[1] and (not ticks or _of_error(ticks[-1]) - _of_error(tick) > least):
            ticks.append(tick)
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    set_limits(limits)


def _of_error(accuracy: float | np.ndarray) -> float | np.ndarray:
    return -np.log(np.maximum(100.5 - accuracy, 1e-3))


def mark_diverged(axes: Axes, strengths: Iterable[float], height: float = 0.06) -> None:
    """Mark each strength without an accuracy, because training diverged, with a cross near the bottom."""
    for strength in strengths:
        axes.plot(strength, height, transform=axes.get_xaxis_transform(), clip_on=False, **DIVERGED)


def sentence(text: str) -> Figure:
    """Figure of one panel with the reason why there is nothing to draw."""
    with figure(0.8) as drawn:
        axes = drawn.subplots()
        axes.set_axis_off()
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    return drawn


def grid_shape(panels: int, columns: int) -> tuple[int, int]:
    """Rows and columns for a number of panels, at most ``columns`` side by side, as even as possible."""
    rows = int(np.ceil(panels / columns))
    return rows, int(np.ceil(panels / rows))


def panels(
    drawn: Figure, names: list[str], columns: int = MOST_COLUMNS, *, sharex: bool = False, sharey: bool = False
) -> Iterator[tuple[Axes, str]]:
    """One panel with a title per name, and tick labels below the lowest panel of every column.

    Args:
        drawn: an empty figure.
        names: panel titles.
        columns: largest number of panels side by side.
        sharex, sharey: as in :meth:`matplotlib.figure.Figure.subplots`.
    """
    rows, columns = grid_shape(len(names), columns)
    grid = drawn.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    for axes, name in zip_longest(grid.flat, names):
        if name is None:
            axes.set_axis_off()
            continue
        yield axes, name
        axes.set_title(name)
    for axes in grid.flat[max(0, len(names) - grid.shape[1]) : len(names)]:
        axes.tick_params(labelbottom=True)
