"""Baselines of an importance: no penalty, plain L2 with one λ or one per layer, and joint training as upper bound.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from weight_importance.findings.selection import Contrast, Curve, contrast, holm, joined, recovered
from weight_importance.settings import L2, UNPENALISED
from weight_importance.settings.ablation_names import is_ablation, parse

NONE, JOINT = UNPENALISED
"""Training without a penalty: sequentially on the tasks, and jointly on all tasks so far."""

PER_LAYER = "l2_per_layer"
"""Plain L2 with one strength per layer: the best of a common strength and all ratios tried."""

BASELINES = (NONE, L2, PER_LAYER)
"""Baselines of estimators, from the weakest to the strongest."""

LEVEL = 0.05

PARTS = ("mean", "low", "high")


def estimators_of(names: Iterable[str]) -> list[str]:
    """Select the estimators among names of conditions, in the same order."""
    return [name for name in names if not is_ablation(name) and name not in (*UNPENALISED, L2)]


def is_of_l2(name: str) -> bool:
    """Return whether a condition is plain L2, with one strength or one per layer."""
    return name == L2 or (is_ablation(name) and parse(name).estimators == (L2,))


def with_baselines(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Curves of a study's conditions, with all strength ratios of L2 merged into :data:`PER_LAYER`."""
    of_l2 = [curve for name, curve in curves.items() if is_of_l2(name)]
    others = {name: curve for name, curve in curves.items() if name == L2 or not is_of_l2(name)}
    return others | ({PER_LAYER: joined(of_l2)} if len(of_l2) > 1 else {})


def gains(curves: Mapping[str, Curve]) -> dict[str, dict[str, Contrast]]:
    """Test accuracy of each estimator minus each baseline, both at their selected strengths, by baseline and estimator.

    Args:
        curves: result of :func:`with_baselines`.
    """
    names = estimators_of(name for name in curves if name != PER_LAYER)
    available = [baseline for baseline in BASELINES if baseline in curves]
    return {baseline: {name: contrast(curves[name], curves[baseline]) for name in names} for baseline in available}


def above(of_baseline: Mapping[str, Contrast]) -> list[str]:
    """Estimators significantly above a baseline, by Holm-adjusted tests over all estimators."""
    adjusted = holm({name: change.p for name, change in of_baseline.items()})
    return [name for name, change in of_baseline.items() if adjusted[name] < LEVEL and change.mean > 0]


def recoveries(curves: Mapping[str, Curve]) -> pd.DataFrame:
    """Fraction of the gap between each baseline and joint training that each estimator closes, with Fieller's interval.

    Args:
        curves: result of :func:`with_baselines`.

    Returns:
        columns baseline, estimator, mean, low, high, n; no rows without joint training.
    """
    rows = []
    for baseline in BASELINES if JOINT in curves else ():
        for name in estimators_of(name for name in curves if name != PER_LAYER) if baseline in curves else ():
            share = recovered(curves[name], curves[JOINT], curves[baseline])
            rows.append({"baseline": baseline, "estimator": name} | vars(share))
    return pd.DataFrame(rows, columns=["baseline", "estimator", *PARTS, "n"])
