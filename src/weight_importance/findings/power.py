"""Power: the probability that a new run of n networks supports a statement, given the reference's mean and variance.

Works on numbers in memory; knows nothing of tables, files or drawing.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

TARGET_POWER = 0.9
"""Target power of the paper's claims."""

MOST_NETWORKS = 200
"""Upper limit of the search for the necessary number of networks."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


def power_of_difference(mean: float, sd: float, n: int, level: float = 0.05) -> float:
    """Probability that a two-sided t test over n values finds a mean above zero.

    Args:
        mean, sd: mean and standard deviation of the values.
        n: number of values.
        level: significance level.
    """
    if n < 2 or not math.isfinite(mean + sd):
        return math.nan
    if sd == 0:
        return float(mean > 0)
    return float(stats.nct.sf(stats.t.ppf(1 - level / 2, n - 1), n - 1, mean / sd * math.sqrt(n)))


def power_of_equivalence(mean: float, sd: float, n: int, margin: float, level: float = 0.05) -> float:
    """Probability that two one-sided t tests over n values find a mean within a margin of zero.

    Given the sample standard deviation, both tests reject if the sample mean is far enough inside the margin; this
    probability is averaged over the distribution of the standard deviation.

    Args:
        mean, sd: mean and standard deviation of the values.
        n: number of values.
        margin: equivalence margin, above zero.
        level: significance level of each test.
    """
    if n < 2 or not math.isfinite(mean + sd):
        return math.nan
    if sd == 0:
        return float(abs(mean) < margin)
    error = sd / math.sqrt(n)
    quantiles = (_NODES + 1) / 2
    errors = error * np.sqrt(stats.chi2.ppf(quantiles, n - 1) / (n - 1))
    room = margin - stats.t.ppf(1 - level, n - 1) * errors
    inside = stats.norm.cdf((room - mean) / error) - stats.norm.cdf((-room - mean) / error)
    return float(_WEIGHTS / 2 @ np.where(room > 0, inside, 0.0))


def power_above(mean: float, sd: float, n: int, threshold: float) -> float:
    """Probability that the mean of n normal values is above a threshold."""
    if not math.isfinite(mean + sd):
        return math.nan
    return float(stats.norm.sf(threshold, mean, sd / math.sqrt(n))) if sd > 0 else float(mean > threshold)


def of_all(powers: Sequence[float]) -> float:
    """Lower bound on the probability that all statements are supported (Bonferroni's inequality)."""
    return float(np.maximum(0.0, 1 - sum(1 - power for power in powers))) if powers else math.nan


def of_some(powers: Sequence[float]) -> float:
    """Lower bound on the probability that some statements are supported, but not all."""
    return max(powers) - min(powers) if powers else math.nan


def necessary(power: Callable[[int], float], target: float = TARGET_POWER) -> int | None:
    """Smallest number of networks with the target power; ``None`` if :data:`MOST_NETWORKS` are too few."""
    return next((n for n in range(2, MOST_NETWORKS + 1) if power(n) >= target), None)
