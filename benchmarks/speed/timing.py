"""Interleaved timing: every contestant of a group runs in every round, so that a slow minute affects all alike."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Contestant:
    """A timed operation.

    Attributes:
        who: its name, unique in its group.
        run: does the work once.
        units: amount of work: samples, replica-steps, floating-point operations.
    """

    who: str
    run: Callable[[], object]
    units: float = 1


@dataclass(frozen=True)
class Effort:
    """Duration of the measurement.

    Attributes:
        rounds: of every group.
        seconds: the least time of a contestant in each round; it runs as often as needed.
    """

    rounds: int
    seconds: float


@dataclass(frozen=True)
class Summary:
    """Median and range of one contestant's rounds."""

    rounds: int
    median: float
    low: float
    high: float


FAILED = Summary(0, math.nan, math.nan, math.nan)
"""The summary of a contestant that could not run."""


def summary(values: Sequence[float]) -> Summary:
    """Median and range of some rounds."""
    return Summary(len(values), statistics.median(values), min(values), max(values))


def seconds_of(run: Callable[[], object], repeats: int = 1) -> float:
    """Wall time of one run, the mean over some repeats, with the GPU synchronised."""
    _finish()
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    _finish()
    return (time.perf_counter() - start) / repeats


def race(contestants: Sequence[Contestant], effort: Effort) -> dict[str, list[float]]:
    """Seconds per run of every contestant by its name, one value per round.

    The order rotates from round to round. A first run of each is not counted: it warms up caches and determines the
    number of repeats.
    """
    repeats = {each.who: max(1, math.ceil(effort.seconds / _warm_seconds(each.run))) for each in contestants}
    taken: dict[str, list[float]] = {each.who: [] for each in contestants}
    for number in range(effort.rounds):
        first = number % len(contestants)
        for each in [*contestants[first:], *contestants[:first]]:
            taken[each.who].append(seconds_of(each.run, repeats[each.who]))
    return taken


def rates(contestants: Sequence[Contestant], effort: Effort) -> dict[str, Summary]:
    """Units per second of every contestant by its name; see :func:`race`."""
    units = {each.who: each.units for each in contestants}
    return {
        who: summary([units[who] / seconds for seconds in taken]) for who, taken in race(contestants, effort).items()
    }


def _warm_seconds(run: Callable[[], object]) -> float:
    seconds_of(run)
    return max(seconds_of(run), 1e-6)


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
