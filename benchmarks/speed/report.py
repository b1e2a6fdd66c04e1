"""A page of Markdown tables and three figures from the table of all measurements."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from speed import training
from speed.peers import PEERS
from speed.profile import WHOLE
from speed.ways import COMPILED, ESTIMATORS, FUNC, LOOP, OURS
from weight_importance.figures.style import GREY, MARKERS, PALETTE, SETTINGS, figure, label
from weight_importance.runtime.device import ACCEPTED

WAYS = (LOOP, FUNC, COMPILED, *PEERS, OURS)
TITLES = {"mlp": "fully connected", "cnn": "convolutional"}
COLOURS = {way.who: colour for way, colour in zip(reversed(WAYS), PALETTE, strict=False)}
PLAIN_NUMBER = FuncFormatter(lambda value, _: f"{value:,.10g}")
EXTRAS = {"none": "", "penalty": ", penalty", "recorder": ", record", "both": ", penalty and record"}


def write(folder: Path, measured: pd.DataFrame) -> None:
    """Write ``speed.md``, and the figures ``importances``, ``training`` and ``scaling`` as PDF and PNG."""
    (folder / "speed.md").write_text(page(measured), encoding="utf-8")
    for name, drawn in (
        ("importances", importances(measured)),
        ("training", trainings(measured)),
        ("scaling", scaling(measured)),
    ):
        with mpl.rc_context(SETTINGS):
            drawn.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
            drawn.savefig(folder / f"{name}.png", dpi=200, metadata={"Software": None})


def page(measured: pd.DataFrame) -> str:
    """The Markdown page: machine and versions, tables, and how to read them."""
    about = measured.iloc[0]
    rounds = int(measured.loc[measured["part"] == "importance", "rounds"].max())
    threads = f", {about['threads']} thread{'s' if about['threads'] > 1 else ''}" if about["device"] == "cpu" else ""
    parts = [
        f"Measured on {about['processor']} ({about['device']}{threads}), {about['date']}, with {about['versions']}. "
        f"Medians of {rounds} interleaved rounds; `benchmark.csv` has their range.",
        "**Importances, samples per second**",
        _importance_table(measured),
        "Every method is checked in this run against per-sample gradients in float64; a wrong result is struck out, "
        "with its error relative to the largest value. An empty cell: the method does not compute it, or failed. The "
        "floor is the time of one forward pass, one backward pass per cotangent and the moment product "
        f"at the fastest single-precision matrix product, {_rate(_best(measured)['median'] / 1e9)} GFLOP/s.",
        "**All estimators that need no training**, as multiples of the time of the exact Fisher alone",
        _together_table(measured),
        "**Training of the fully connected network, replica-steps per second** (Adam, batches of "
        f"{training.BATCH_SIZE})",
        _training_table(measured),
        "The plain loop trains one network by fused Adam on index slices of the images. Its penalty and its record of "
        "the optimiser's path, which SI needs, are `torch._foreach` operations. The ratio is to the plain loop with "
        f"the same penalty and record. {_spread(about['device'])}".rstrip(),
        *_profile(measured),
        "**Matrix products, GFLOP/s**",
        _floor_table(measured),
        'In default precision and under `torch.set_float32_matmul_precision("medium")`, with the error of each; the '
        "latter is used, by all methods, only on machines where it has full single precision.",
    ]
    notes = [note for note in measured["note"] if note]
    parts += ["\n".join(f"- {note}" for note in notes)] if notes else []
    return "\n\n".join(parts) + "\n"


def _importance_table(measured: pd.DataFrame) -> str:
    rows = measured[measured["part"] == "importance"]
    ways = [way.who for way in WAYS if way.who in set(rows["who"])]
    lines = [_line(["network", "importance", *ways, "× fastest correct other", "share of the floor"])]
    lines.append(_line(["---", "---", *["---:"] * (len(ways) + 2)]))
    for (network, estimator), group in rows.groupby(["network", "what"], sort=False):
        by_who = group.set_index("who")
        own = by_who.loc[OURS.who]
        others = by_who[(by_who["correct"] == "yes") & (by_who.index != OURS.who)]
        lines.append(
            _line(
                [
                    TITLES[network], label(estimator), *(_cell(by_who, who) for who in ways),
                    f"{own['median'] / others['median'].max():.2g}", f"{own['floor_share']:.0%}",
                ]
            )
        )  # fmt: skip
    return "\n".join(lines)


def _together_table(measured: pd.DataFrame) -> str:
    rows = measured[measured["part"] == "together"]
    lines = [_line(["network", "samples", "what", "estimators", "time"]), _line(["---", "---:", "---", "---:", "---:"])]
    for _, row in rows.iterrows():
        count = row["what"].split()[0]
        lines.append(
            _line([TITLES[row["network"]], f"{row['size']:,.0f}", row["who"], count, f"{1 / row['ratio']:.2g}"])
        )
    return "\n".join(lines)


def _cell(by_who: pd.DataFrame, who: str) -> str:
    if who not in by_who.index or by_who.loc[who, "correct"] == "failed":
        return ""
    row = by_who.loc[who]
    if row["correct"] == "no":
        return f"~~{_rate(row['median'])}~~ (error {row['error']:.2g})"
    return f"**{_rate(row['median'])}**" if who == OURS.who else _rate(row["median"])


def _spread(device: str) -> str:
    if device == "cuda":
        return ""
    return (
        "Plain loops with one network per thread and this project's replicas run in one process per thread, as in the "
        "workflow; the other loops use all threads."
    )


def _training_table(measured: pd.DataFrame) -> str:
    rows = measured[(measured["part"] == "training") & (measured["who"] != "floor")]
    reference = training.SPREAD if training.SPREAD in set(rows["who"]) else training.PLAIN
    lines = [_line(["", "replicas", "replica-steps/s", f"× {reference}", "extra time of a step", "share of the floor"])]
    lines.append(_line(["---", "---:", "---:", "---:", "---:", "---:"]))
    alone = rows[rows["what"] == "none"].set_index(["who", "size"])["median"]
    for _, row in rows.iterrows():
        extra = "" if row["what"] == "none" else f"{alone[row['who'], row['size']] / row['median'] - 1:+.0%}"
        cells = [f"{row['ratio']:.2f}", extra, f"{row['floor_share']:.0%}"]
        lines.append(_line([row["who"] + EXTRAS[row["what"]], f"{row['size']:.0f}", _rate(row["median"]), *cells]))
    return "\n".join(lines)


def _profile(measured: pd.DataFrame) -> list[str]:
    rows = measured[measured["part"] == "profile"]
    if rows.empty:
        return []
    total = rows.loc[rows["what"] == WHOLE, "median"].iloc[0]
    lines = [_line(["operations", "µs per replica-step", "share"]), _line(["---", "---:", "---:"])]
    lines += [_line([row["what"], _rate(row["median"]), f"{row['median'] / total:.0%}"]) for _, row in rows.iterrows()]
    title = f"**A step of training under a penalty, with the path recorded** ({rows['size'].iloc[0]:.0f} replicas, one"
    return [f"{title} thread; operations by torch's profiler, which takes time itself)", "\n".join(lines)]


def _floor_table(measured: pd.DataFrame) -> str:
    rows = measured[measured["part"] == "floor"]
    lines = [_line(["product", "default", "error", "medium", "error"]), _line(["---", *["---:"] * 4])]
    for name, group in rows.groupby("what", sort=False):
        by_setting = group.set_index("who")
        cells = [
            cell
            for setting in ("highest", "medium")
            for cell in (_rate(by_setting.loc[setting, "median"] / 1e9), f"{by_setting.loc[setting, 'error']:.1e}")
        ]
        lines.append(_line([name, *cells]))
    return "\n".join(lines)


def _best(measured: pd.DataFrame) -> pd.Series:
    rows = measured[measured["part"] == "floor"]
    exact = rows[rows["who"] == "highest"].set_index("what")["error"]
    rows = rows[rows["error"] <= ACCEPTED * rows["what"].map(exact)]
    return rows.loc[rows["median"].idxmax()]


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def importances(measured: pd.DataFrame) -> Figure:
    """Samples per second of every way, with the floor: a row per network, a column per estimator, crosses if wrong."""
    rows = measured[measured["part"] == "importance"]
    networks = list(dict.fromkeys(rows["network"]))
    ways = [way.who for way in WAYS if way.who in set(rows["who"])]
    with figure(0.45 + len(networks) * (0.5 + 0.17 * len(ways))) as drawn:
        grid = drawn.subplots(len(networks), len(ESTIMATORS), squeeze=False, sharey=True, sharex="row")
        for panels, network in zip(grid, networks, strict=True):
            of_network = rows[rows["network"] == network]
            for axes, estimator in zip(panels, ESTIMATORS, strict=True):
                _ranges(axes, of_network[of_network["what"] == estimator].set_index("who"), ways)
                _logarithmic(axes, "x", of_network["median"])
                axes.set_title(f"{TITLES[network]}\n{label(estimator)}")
            panels[0].set_yticks(range(len(ways)), ways)
            panels[0].set_ylim(-0.6, len(ways) - 0.4)
        drawn.supxlabel("samples per second", fontsize=7.5)
    return drawn


def _ranges(axes: Axes, group: pd.DataFrame, ways: Sequence[str]) -> None:
    floor = group.loc["floor", "median"]
    axes.axvline(floor, color="black", linewidth=0.8, linestyle=(0, (4, 2)))
    axes.annotate(
        "floor", (floor, 0), (-2, 2), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
        ha="right", fontsize=6.5,
    )  # fmt: skip
    for height, who in enumerate(ways):
        if who not in group.index or group.loc[who, "correct"] == "failed":
            continue
        row = group.loc[who]
        right = row["correct"] == "yes"
        colour = COLOURS[who] if right else GREY
        axes.plot([row["low"], row["high"]], [height] * 2, color=colour, linewidth=3, alpha=0.35, solid_capstyle="butt")
        axes.plot(row["median"], height, "o" if right else "x", color=colour)
        if not right:
            axes.annotate(
                "wrong", (row["median"], height), (5, 0), textcoords="offset points", va="center", color=GREY,
                bbox={"facecolor": "white", "lw": 0, "pad": 0.5},
            )  # fmt: skip
    axes.grid(axis="x")


def _logarithmic(axes: Axes, which: str, values: pd.Series) -> None:
    """A logarithmic axis with plain numbers, at 1, 2 and 5 of each decade if the values span few."""
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    few = values.max() < 30 * values.min()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axis.set_major_formatter(PLAIN_NUMBER)
    axis.set_minor_formatter(NullFormatter())


def trainings(measured: pd.DataFrame) -> Figure:
    """Replica-steps per second against the number of replicas, with the loops over one network as lines."""
    rows = measured[(measured["part"] == "training") & (measured["what"] == "none")]
    with figure(2.3) as drawn:
        axes = drawn.subplots()
        lines = rows[rows["who"] != training.OURS]
        patterns = ((0, (4, 2)), "-", (0, (5, 1.5)), (0, (1, 1)), (0, (3, 1, 1, 1)))
        for (_, row), dashes in zip(lines.iterrows(), patterns, strict=False):
            colour = "black" if row["who"] == "floor" else GREY
            axes.axhline(row["median"], color=colour, linewidth=0.9, linestyle=dashes, label=row["who"])
        own = rows[rows["who"] == training.OURS]
        axes.fill_between(own["size"], own["low"], own["high"], color=COLOURS[OURS.who], alpha=0.2, linewidth=0)
        axes.plot(own["size"], own["median"], "o-", color=COLOURS[OURS.who], label=training.OURS)
        axes.set_xscale("log", base=2)
        axes.set_xticks(own["size"], [f"{size:.0f}" for size in own["size"]])
        axes.minorticks_off()
        axes.set(xlabel="replicas trained at once", ylabel="replica-steps per second", ylim=(0, None))
        axes.yaxis.set_major_formatter(PLAIN_NUMBER)
        axes.grid(axis="y")
        drawn.legend(loc="outside right upper")
    return drawn


PANELS = {
    "time against samples": ("samples", "seconds"),
    "time against replicas": ("replicas", "seconds"),
    "time against tasks": ("tasks learnt", "seconds"),
    "memory against samples": ("samples", "MiB"),
}


def scaling(measured: pd.DataFrame) -> Figure:
    """Time and memory against samples, replicas and tasks; a dashed line has the slope of proportional growth."""
    rows = measured[measured["part"] == "scaling"]
    with figure(4.2) as drawn:
        for axes, (what, (x, y)) in zip(drawn.subplots(2, 2).flat, PANELS.items(), strict=True):
            group = rows[rows["what"] == what]
            for index, ((network, who), line) in enumerate(group.groupby(["network", "who"], sort=False)):
                colour = PALETTE[index]
                axes.fill_between(line["size"], line["low"], line["high"], color=colour, alpha=0.2, linewidth=0)
                name = label(who) if who in ESTIMATORS else who
                axes.plot(
                    line["size"], line["median"], MARKERS[index], linestyle="-", color=colour,
                    label=f"{TITLES[network]}, {name}",
                )  # fmt: skip
                if y == "seconds":
                    last = line.iloc[-1]
                    axes.plot(
                        line["size"], last["median"] * line["size"] / last["size"], color=GREY, linewidth=0.7,
                        linestyle=(0, (4, 2)), zorder=0.5,
                    )  # fmt: skip
            _logarithmic(axes, "x", group["size"])
            if y == "seconds":
                _logarithmic(axes, "y", group["median"])
                lines = group.groupby(["network", "who"]).ngroups
                axes.set_ylim(bottom=axes.get_ylim()[0] / 4 ** (lines - 1))  # room for the legend
            else:
                axes.set_ylim(0, 1.3 * group["high"].max())
            axes.set(xlabel=x, ylabel=y, title=what)
            axes.legend(loc="lower right")
            axes.grid()
    return drawn
