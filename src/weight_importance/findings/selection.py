"""Comparisons of conditions at their selected strengths λ; intervals account for the selection.

Works on tidy tables in memory; knows nothing of files, training or drawing.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import factorial

from weight_importance.findings.statistics import Interval, fieller, final_accuracy, interval

Key = TypeVar("Key")

MOST_RESAMPLES = 2000
"""Largest number of resamples of the networks: all distinct ones if there are no more, otherwise a random sample."""


@dataclass(frozen=True)
class Curve:
    """Accuracies of a condition after the last task, at every strength tried.

    Attributes:
        settings: condition and λ of each row; λ ascends within a condition.
        seeds: seeds of the networks, the columns.
        criterion: accuracy that selects λ, ``(settings, networks)``; ``nan`` where the training diverged.
        test: test accuracy, of the same shape.
    """

    settings: Sequence[tuple[str, float]]
    seeds: tuple[int, ...]
    criterion: np.ndarray
    test: np.ndarray

    def selected(self, counts: np.ndarray) -> np.ndarray:
        """Row with the best mean criterion in each resample; ties go to the first row; diverged rows are excluded.

        Args:
            counts: number of times each network is drawn, ``(resamples, networks)``.
        """
        means = counts @ self.criterion.T / counts.sum(1, keepdims=True)
        return np.where(np.isnan(means), -np.inf, means).argmax(1)

    def at_selected(self, counts: np.ndarray) -> np.ndarray:
        """Mean test accuracy of each resample at the strength selected in it, ``(resamples,)``."""
        means = counts @ self.test.T / counts.sum(1, keepdims=True)
        return means[np.arange(len(counts)), self.selected(counts)]

    @property
    def best(self) -> tuple[str, float]:
        """Selected condition and λ."""
        return self.settings[self.selected(np.ones((1, len(self.seeds))))[0]]

    @property
    def by_seed(self) -> pd.Series:
        """Test accuracies at the selected λ, by seed."""
        row = self.selected(np.ones((1, len(self.seeds))))[0]
        return pd.Series(self.test[row], index=list(self.seeds))


def curves(retention: pd.DataFrame, criterion: str = "validation") -> dict[str, Curve]:
    """Curves of a study's conditions; a condition is omitted if every λ diverged.

    Args:
        retention: the table ``retention`` of one study.
        criterion: split that selects λ.
    """
    keys = ["estimator", "lambda", "seed"]
    parts = [final_accuracy(retention, split).set_index(keys)["accuracy"] for split in (criterion, "test")]
    by_condition = {}
    for name in parts[0].index.unique("estimator"):
        chosen, test = (values.loc[[name]].unstack("seed").sort_index() for values in parts)
        if chosen.notna().all(axis=1).any():
            by_condition[name] = Curve([*chosen.index], tuple(chosen.columns), chosen.to_numpy(), test.to_numpy())
    return by_condition


def joined(parts: Iterable[Curve]) -> Curve:
    """Merge conditions into one that selects among all their strengths."""
    parts = list(parts)
    return Curve(
        [setting for curve in parts for setting in curve.settings],
        parts[0].seeds,
        np.concatenate([curve.criterion for curve in parts]),
        np.concatenate([curve.test for curve in parts]),
    )


@cache
def resamples(networks: int) -> tuple[np.ndarray, np.ndarray]:
    """Resamples of the networks with replacement, as counts ``(resamples, networks)``, and the probability of each.

    If all resamples fit, they are enumerated with their multinomial probabilities.
    """
    if math.comb(2 * networks - 1, networks) > MOST_RESAMPLES:
        random = np.random.default_rng(0)
        counts = random.multinomial(networks, np.full(networks, 1 / networks), MOST_RESAMPLES)
        return counts, np.full(MOST_RESAMPLES, 1 / MOST_RESAMPLES)
    drawn = combinations_with_replacement(range(networks), networks)
    counts = np.array([np.bincount(draw, minlength=networks) for draw in drawn])
    return counts, factorial(networks) / factorial(counts).prod(1) / networks**networks


@dataclass(frozen=True)
class Contrast(Interval):
    """Difference with its interval, the p value of no difference, and the standard error."""

    p: float
    error: float

    def equivalence(self, margin: float) -> float:
        """P value of two one-sided tests that the difference is smaller than a margin."""
        if math.isnan(self.error):
            return math.nan
        if self.error == 0:
            return 0.0 if abs(self.mean) < margin else 1.0
        return float(stats.t.sf((margin - abs(self.mean)) / self.error, self.n - 1))


def contrast(a: Curve, b: Curve) -> Contrast:
    """Difference a - b of test accuracies, each at its selected λ, over the same networks.

    Networks are resampled with replacement, and both strengths are selected again in every resample. The standard error
    is the standard deviation of the difference over all resamples times sqrt(n / (n - 1)); 95 % interval and test are
    Student's with n - 1 degrees of freedom. With a single λ, this is the paired t interval.

    Raises:
        ValueError: the networks differ.
    """
    counts, weights = _shared(a, b)
    mean = (a.by_seed - b.by_seed).mean()
    n = len(a.seeds)
    if n < 2:
        return Contrast(mean, math.nan, math.nan, n, math.nan, math.nan)
    error = math.sqrt(_covariance(weights, a.at_selected(counts) - b.at_selected(counts)) * n / (n - 1))
    half = stats.t.ppf(0.975, n - 1) * error
    p = 2 * stats.t.sf(abs(mean) / error, n - 1) if error > 0 else float(mean == 0)
    return Contrast(float(mean), float(mean - half), float(mean + half), n, float(p), error)


def recovered(a: Curve, b: Curve, zero: Curve) -> Interval:
    """Ratio (a - zero) / (b - zero) of differences at selected strengths, with Fieller's interval (1954).

    Covariances are computed over resamples, as in :func:`contrast`.
    """
    counts, weights = _shared(a, b, zero)
    n = len(a.seeds)
    y, x = (one.by_seed.mean() - zero.by_seed.mean() for one in (a, b))
    drawn = [one.at_selected(counts) - zero.at_selected(counts) for one in (a, b)]
    pairs = ((0, 0), (0, 1), (1, 1))
    yy, yx, xx = (_covariance(weights, drawn[i], drawn[j]) / max(n - 1, 1) * n for i, j in pairs)
    return fieller(y, x, yy, yx, xx, n)


def _shared(*conditions: Curve) -> tuple[np.ndarray, np.ndarray]:
    if len({one.seeds for one in conditions}) > 1:
        raise ValueError(f"the conditions have different networks: {[one.seeds for one in conditions]}")
    return resamples(len(conditions[0].seeds))


def _covariance(weights: np.ndarray, first: np.ndarray, second: np.ndarray | None = None) -> float:
    second = first if second is None else second
    return float(weights @ ((first - weights @ first) * (second - weights @ second)))


def holm(p: Mapping[Key, float]) -> dict[Key, float]:
    """Holm-adjusted p values (Holm 1979) of a family of tests; ``nan`` is kept and does not count.

    Args:
        p: p values by any key.
    """
    tested = sorted((value, place) for place, value in enumerate(p.values()) if not math.isnan(value))
    adjusted, largest = [math.nan] * len(p), 0.0
    for rank, (value, place) in enumerate(tested):
        largest = max(largest, min(1.0, value * (len(tested) - rank)))
        adjusted[place] = largest
    return dict(zip(p, adjusted, strict=True))


def peaks(conditions: Mapping[str, Curve]) -> pd.DataFrame:
    """Best λ interpolated between the strengths tried, and the accuracy lost to the grid.

    For each network, a parabola over log λ passes through the best strength and its neighbours; at an end of the grid,
    the best strength itself is used. The cost is the parabola's maximum minus the network's accuracy at the strength
    selected for all networks, on the criterion's images.

    Args:
        conditions: result of :func:`curves`; curves with fewer than three strengths are omitted.

    Returns:
        columns estimator; ``lambda``, ``low``, ``high`` of the maximum (geometric mean over networks with its 95 % t
        interval); ``mean_cost``, ``low_cost``, ``high_cost``; and ``n``.
    """
    rows = []
    for name, curve in conditions.items():
        if len(curve.settings) < 3:
            continue
        logs = np.log([strength for _, strength in curve.settings])
        tops = np.array([_top(logs, accuracy) for accuracy in curve.criterion.T])
        chosen = curve.criterion[curve.selected(np.ones((1, len(curve.seeds))))[0]]
        place, cost = interval(tops[:, 0]), interval(tops[:, 1] - chosen)
        row = {"estimator": name, "lambda": math.exp(place.mean), "low": math.exp(place.low)}
        row |= {"high": math.exp(place.high), "n": place.n}
        rows.append(row | {f"{part}_cost": getattr(cost, part) for part in ("mean", "low", "high")})
    return pd.DataFrame(rows, columns=["estimator", "lambda", "low", "high", "mean_cost", "low_cost", "high_cost", "n"])


def _top(logs: np.ndarray, accuracy: np.ndarray) -> tuple[float, float]:
    """Position and height of the maximum of the parabola through the best point and its neighbours."""
    best = int(np.nanargmax(accuracy))
    near = slice(best - 1, best + 2)
    if best in (0, len(logs) - 1) or np.isnan(accuracy[near]).any():
        return logs[best], accuracy[best]
    x, y = logs[near] - logs[best], accuracy[near]
    square, linear, _ = np.polyfit(x, y - y[1], 2)
    if square >= 0:  # three equal accuracies
        return logs[best], accuracy[best]
    return logs[best] - linear / (2 * square), y[1] - linear**2 / (4 * square)
