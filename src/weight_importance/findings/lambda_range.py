"""Average accuracy over the full range of λ, by estimator, and the shifts between these curves.

If the importances of two estimators differ by a factor, their curves differ by a shift along the logarithmic λ axis.
The ratio of summed importances predicts the shift; the distance between the curves before and after it measures the
part of their difference that the ratio explains. Works on tidy tables and tensors; knows nothing of drawing or LaTeX.
"""

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import pandas as pd
from torch import Tensor

from weight_importance.findings.statistics import final_accuracy, interval
from weight_importance.settings import Study

REFERENCE = "fisher_exact"
"""Estimator of the curve to which the others are shifted."""

SHIFTS = np.arange(-12, 12.001, 0.01)
"""Candidate shifts, in decades."""

SHIFT_COLUMNS = (
    "curve", "seeds", "best_lambda", "best", "half_rise",
    "ratio", "low_ratio", "high_ratio", "fitted_ratio", "distance", "distance_shifted", "distance_fitted",
)  # fmt: skip


def curve(study: str, settings: Mapping[str, Study], estimator: str) -> str:
    """Name of an estimator's curve; includes the number of samples if a study averages over a subset."""
    samples = settings[study].importance.samples
    return estimator if samples is None or estimator == "none" else f"{estimator} ({samples} samples)"


def curves(settings: Mapping[str, Study], retention: pd.DataFrame) -> pd.DataFrame:
    """Average test accuracy after the last task, at the λ with the largest number of networks of each curve.

    Args:
        settings: settings of a study and its companions, by name.
        retention: their table ``retention``.

    Returns:
        columns ``curve``, ``lambda``, ``seed``, ``accuracy``.
    """
    final = final_accuracy(retention, "test")
    names = [curve(study, settings, name) for study, name in zip(final["study"], final["estimator"], strict=True)]
    table = final.assign(curve=names)[["curve", "lambda", "seed", "accuracy"]]
    networks = table.groupby(["curve", "lambda"])["seed"].transform("nunique")
    return table[networks == networks.groupby(table["curve"]).transform("max")]


def totals(importances: Mapping[str, Mapping[str, Tensor]], seeds: Sequence[int]) -> pd.DataFrame:
    """Importances summed over all parameters; negative values count as zero, as in the penalty.

    Args:
        importances: curve → parameter → ``(R, *shape)``.
        seeds: seeds of the R networks.

    Returns:
        columns ``curve``, ``seed``, ``total``.
    """
    parts = []
    for name, values in importances.items():
        total = reduce(Tensor.add, (value.double().clamp_min(0).flatten(1).sum(1) for value in values.values()))
        parts.append(pd.DataFrame({"curve": name, "seed": list(seeds), "total": total.tolist()}))
    return pd.concat(parts, ignore_index=True)


def distance(own: pd.Series, reference: pd.Series, shift: float) -> float:
    """Root mean square distance between two curves, one of them shifted.

    Args:
        own: accuracies indexed by log10 λ, ascending.
        reference: the same; interpolated linearly, and constant beyond its ends.
        shift: in decades: importances larger by a factor reach the same accuracy at a λ smaller by this factor.
    """
    expected = np.interp(own.index + shift, reference.index, reference)
    return float(np.sqrt(np.mean((own.to_numpy() - expected) ** 2)))


def half_rise(accuracies: pd.Series, none: float) -> float:
    """First λ at which a curve reaches half of its maximum gain over no penalty.

    Args:
        accuracies: indexed by log10 λ, ascending.
        none: accuracy without a penalty.
    """
    half = (none + accuracies.max()) / 2
    place = int(np.argmax(accuracies.to_numpy() >= half))
    if place == 0:
        return float(10 ** accuracies.index[0])
    (x0, y0), (x1, y1) = (*accuracies.items(),)[place - 1 : place + 1]
    return float(10 ** (x0 + (half - y0) / (y1 - y0) * (x1 - x0)))


def shifts(table: pd.DataFrame, summed: pd.DataFrame) -> pd.DataFrame:
    """Compare each curve with :data:`REFERENCE`, before and after the shift predicted by the ratio of sums.

    Args:
        table: result of :func:`curves`; two curves are compared on the networks that both have.
        summed: result of :func:`totals`.

    Returns:
        columns :data:`SHIFT_COLUMNS`: the best λ and its accuracy; the λ of :func:`half_rise`; the ratio of summed
        importances to the reference (geometric mean over networks with its 95 % interval); the factor that brings the
        curves closest; the :func:`distance` without a shift, with the ratio's shift, and with the closest shift.
    """
    accuracy = table.assign(x=np.log10(table["lambda"].where(table["lambda"] > 0))).dropna()
    accuracy = accuracy.set_index(["curve", "seed", "x"])["accuracy"].sort_index()
    unpenalised = table[table["curve"] == "none"].set_index("seed")["accuracy"]
    total = summed.set_index(["curve", "seed"])["total"]
    lines = []
    for name in accuracy.index.unique("curve"):
        seeds = accuracy.loc[name].index.unique("seed").intersection(accuracy.loc[REFERENCE].index.unique("seed"))
        own, reference = (accuracy.loc[curve].loc[seeds].groupby("x").mean() for curve in (name, REFERENCE))
        ratio = interval(np.log10((total.loc[name] / total.loc[REFERENCE])[seeds].to_numpy()))
        fitted = _closest(own, reference)
        values = (
            name, len(seeds), 10 ** own.idxmax(), own.max(), half_rise(own, unpenalised.reindex(seeds).mean()),
            *(10**value for value in (ratio.mean, ratio.low, ratio.high, fitted)),
            *(distance(own, reference, shift) for shift in (0.0, ratio.mean, fitted)),
        )  # fmt: skip
        lines.append(dict(zip(SHIFT_COLUMNS, values, strict=True)))
    return pd.DataFrame(lines, columns=list(SHIFT_COLUMNS))


def _closest(own: pd.Series, reference: pd.Series) -> float:
    """Element of :data:`SHIFTS` with the smallest :func:`distance`; the smallest element in a tie."""
    return min(SHIFTS, key=lambda shift: (round(distance(own, reference, shift), 12), abs(shift)))
