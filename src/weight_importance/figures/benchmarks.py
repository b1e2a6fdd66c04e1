"""Figure of split or permuted MNIST: our average accuracies and the published ones, by scenario."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from weight_importance.figures.style import GREY, PALETTE, PERCENT, Look, bounds, figure, sentence
from weight_importance.findings.publications import METHODS, SCENARIOS

OURS: Look = {"color": PALETTE[0], "marker": "o", "linestyle": ""}
THEIRS: Look = {"color": GREY, "marker": "s", "linestyle": ""}


def benchmarks(compared: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Average test accuracy after the last task by method, one panel per scenario of the comparison.

    Args:
        compared: result of :func:`weight_importance.findings.benchmarks.compared`.
        published: result of :func:`weight_importance.findings.publications.published`.
    """
    published = published[published["publication"].isin(compared["publication"])]
    published = published[published["tasks_learnt"].isna() | published["tasks_learnt"].isin(compared["tasks_learnt"])]
    names = [name for name in METHODS if name in {*published["method"]}][::-1]
    scenarios = [name for name in SCENARIOS if name in {*compared["scenario"]}]
    if not scenarios:
        return sentence("No method of this run was published.")
    with figure(2.6) as drawn:
        panels = drawn.subplots(1, len(scenarios), sharey=True, squeeze=False)[0]
        for axes, scenario in zip(panels, scenarios, strict=True):
            published_rows = published[published["scenario"] == scenario]
            both = compared[compared["scenario"] == scenario]
            values = {part: both[f"{part}_ours"] for part in ("mean", "low", "high", "n")}
            observed_rows = both[["method"]].assign(**values)
            for rows, shift, look in ((published_rows, 0.15, THEIRS), (observed_rows, -0.15, OURS)):
                low, high = bounds(rows)
                half = ((high - low) / 2).fillna(0.0)
                places = [names.index(name) + shift for name in rows["method"]]
                axes.errorbar(
                    rows["mean"].astype(float) * PERCENT, places, xerr=half, **look,
                    markersize=3.5, elinewidth=1, capsize=2,
                )  # fmt: skip
            axes.set(title=f"{scenario}-incremental", xlabel="average accuracy,\nall tasks (%)")
            means = [*published_rows["mean"], *observed_rows["mean"].dropna()]
            axes.set_xlim(PERCENT * min(means) - 4, 101 if max(means) > 0.9 else PERCENT * max(means) + 4)
            axes.set_yticks(range(len(names)), [METHODS[name] for name in names])
            axes.grid(axis="x")
        handles = {"published": Line2D([], [], **THEIRS), "this run": Line2D([], [], **OURS)}
        drawn.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2)
    return drawn
