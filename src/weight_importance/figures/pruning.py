"""Figure of pruning by importance."""

import pandas as pd
from matplotlib.figure import Figure

from weight_importance.figures.labels import SCOPE_LABELS
from weight_importance.figures.style import band, figure, in_order
from weight_importance.findings.pruning import pruning_means


def pruning(table: pd.DataFrame) -> Figure:
    """Test accuracy against the fraction of weights removed, per criterion: one panel per scope.

    Args:
        table: the table ``pruning`` of one study.
    """
    means = pruning_means(table)
    with figure(2.6) as drawn:
        panels = drawn.subplots(1, 2, sharey=True)
        for axes, (scope, title) in zip(panels, SCOPE_LABELS.items(), strict=True):
            scope_means = means[means["scope"] == scope]
            for name in in_order(scope_means["criterion"]):
                rows = scope_means[scope_means["criterion"] == name].sort_values("fraction")
                band(axes, name, rows["fraction"] * 100, rows)
            axes.set(xlabel="weights removed (%)", title=title)
            axes.grid(axis="y")
        low, high = panels[0].get_ylim()
        panels[0].set(ylabel="test accuracy (%)", ylim=(max(low, -2), min(high, 102)))  # intervals may extend beyond
        drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return drawn
