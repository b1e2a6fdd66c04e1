"""Importances in samples per second: each way is checked against the reference, tuned, and timed next to the others."""

import copy
import importlib.util
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from reference import naive
from speed.floor import Product, importance_flops
from speed.setting import Setting
from speed.table import Row
from speed.timing import FAILED, Contestant, Effort, rates, seconds_of, summary
from speed.ways import ESTIMATORS, LOOP, OURS, Compute, Way, per_class
from weight_importance import ESTIMATORS as ESTIMATORS_THERE_ARE
from weight_importance import estimate_all
from weight_importance.estimators.kinds import CurvatureEstimator, PathEstimator
from weight_importance.learning.replicas import convolutional

TOLERANCE = 1e-3
"""Largest error over largest value, in every tensor: far below the error of a wrong formula, far above rounding."""

UNIT = "samples/s"

HELD_BYTES = 2 * 2**30
"""Limit of the memory for the gradients that a way holds at once."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of samples.

    Attributes:
        checked: compared with the reference.
        most: in one run, as many as a study averages over.
        at_once: batch sizes to try, in increasing order, for ways whose batch size is free.
        together: in a run of every way except the loop over single samples.
    """

    checked: int
    most: int
    at_once: Sequence[int]
    together: int


@dataclass(frozen=True)
class Ready:
    """A way that has been checked and tuned."""

    way: Way
    compute: Compute
    batch: int | None
    error: float


def installed(ways: Sequence[Way]) -> list[Way]:
    """The ways whose package is installed; prints a line for each that is omitted."""
    available = []
    for way in ways:
        if way.package is None or importlib.util.find_spec(way.package):
            available.append(way)
        else:
            say(f"{way.who} is not installed and left out; `make benchmark` installs envs/benchmark.txt")
    return available


def measure(setting: Setting, ways: Sequence[Way], sizes: Sizes, product: Product, effort: Effort) -> list[Row]:
    """All estimators of one network by all ways.

    Args:
        setting: network and samples.
        ways: to compare, including this project's and the loop over single samples.
        sizes: numbers of samples.
        product: the fastest matrix product, timed along as the floor.
        effort: rounds and time.
    """
    rows: list[Row] = []
    for estimator in ESTIMATORS:
        say(f"importances: {setting.name}, {estimator}")
        truth = naive(estimator, setting.network, *_first(setting, sizes.checked))
        ready = []
        for way in ways:
            if estimator not in way.estimators:
                continue
            try:
                ready.append(_prepared(way, estimator, setting, sizes, truth))
            except Exception as error:  # other libraries may fail in any way; this project must not
                if way is OURS:
                    raise
                note = f"{way.who} fails on {setting.name}, {estimator}: {first_line(error)}"
                say(note)
                rows.append(
                    Row("importance", setting.name, estimator, way.who, FAILED, UNIT, correct="failed", note=note)
                )
        rows += _timed(estimator, setting, ready, sizes, product, effort)
    return rows


ALONE, TOGETHER, SINGLY = "exact Fisher alone", "all together", "all, one after another"
FLAT = "all but curvature together"


def together(setting: Setting, samples: int, effort: Effort) -> list[Row]:
    """Time all estimators that need no training, at once and one after another, next to the exact Fisher alone.

    Args:
        setting: network and samples.
        samples: in a run.
        effort: rounds and time.
    """
    say(f"all importances together: {setting.name}")
    names = [name for name, estimator in ESTIMATORS_THERE_ARE.items() if not isinstance(estimator, PathEstimator)]
    flat = [name for name in names if not isinstance(ESTIMATORS_THERE_ARE[name], CurvatureEstimator)]
    sample, labels = _first(setting, samples)

    def run(*names: str) -> None:
        estimate_all(names, setting.network, sample, labels, generator=torch.Generator(sample.device).manual_seed(0))

    def singly() -> None:
        for name in names:
            run(name)

    contestants = {
        ALONE: lambda: run("fisher_exact"),
        FLAT: lambda: run(*flat),
        TOGETHER: lambda: run(*names),
        SINGLY: singly,
    }
    counts = {ALONE: 1, FLAT: len(flat), TOGETHER: len(names), SINGLY: len(names)}
    measured_rates = rates([Contestant(who, work, samples) for who, work in contestants.items()], effort)
    return [
        Row(
            "together", setting.name, f"{counts[who]} estimators", who, measured, UNIT, size=samples,
            ratio=measured.median / measured_rates[ALONE].median,
        )
        for who, measured in measured_rates.items()
    ]  # fmt: skip


def first_line(error: Exception) -> str:
    """The kind of an error, and the first line of its message."""
    return f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0]


def _first(setting: Setting, count: int) -> tuple[Tensor, Tensor]:
    return setting.inputs[:count], setting.labels[:count]


def _prepared(way: Way, estimator: str, setting: Setting, sizes: Sizes, truth: dict[str, Tensor]) -> Ready:
    """Try the batch sizes, keep the fastest, and compare its result with the reference."""
    tried = _fitting(way, estimator, setting, sizes) if way.batched else [sizes.checked]
    best: tuple[float, int, Compute] | None = None
    for batch in tried:
        compute = way.prepare(estimator, copy.deepcopy(setting.network), batch)
        samples = _first(setting, batch)
        compute(*samples)
        run = partial(compute, *samples)
        rate = batch / min(seconds_of(run), seconds_of(run))
        if best is None or rate > best[0]:
            best = rate, batch, compute
        elif rate < best[0] / 2:
            break  # larger batches only get slower
    _, batch, compute = best
    importance = compute(*_first(setting, sizes.checked))
    return Ready(way, compute, batch if way.batched else None, error_of(importance, truth))


def _fitting(way: Way, estimator: str, setting: Setting, sizes: Sizes) -> list[int]:
    """The batch sizes whose gradients fit into memory; at least the smallest."""
    parameters = sum(parameter.numel() for parameter in setting.network.parameters())
    held = 4 * parameters * way.held(estimator, convolutional(setting.network))
    # a way that recompiles for every size tries only the middle ones
    wanted = sizes.at_once[1:3] or sizes.at_once if way.fixed else sizes.at_once
    fitting = [batch for batch in wanted if batch * held <= HELD_BYTES and batch <= sizes.together]
    return fitting or [sizes.at_once[0]]


def error_of(importance: dict[str, Tensor], truth: dict[str, Tensor]) -> float:
    """The largest error over the largest value of the reference, maximum over all tensors; infinite for nan."""
    worst = 0.0
    for name, expected in truth.items():
        error = ((importance[name].double() - expected).abs().max() / expected.abs().max()).item()
        worst = max(worst, math.inf if math.isnan(error) else error)
    return worst


def _timed(
    estimator: str, setting: Setting, ready: list[Ready], sizes: Sizes, product: Product, effort: Effort
) -> list[Row]:
    counts = {each.way.who: _samples(each, setting, sizes, effort) for each in ready}
    contestants = [Contestant("floor", product, product.flops)]
    for each in ready:
        samples = _first(setting, counts[each.way.who])
        contestants.append(Contestant(each.way.who, partial(each.compute, *samples), counts[each.way.who]))
    measured_rates = rates(contestants, effort)
    floor = measured_rates["floor"].median / importance_flops(setting.network, setting.inputs[:1], per_class(estimator))
    plain = measured_rates[LOOP.who].median
    rows = [Row("importance", setting.name, estimator, "floor", summary([floor]), UNIT, ratio=floor / plain)]
    for each in ready:
        measured = measured_rates[each.way.who]
        rows.append(
            Row(
                "importance", setting.name, estimator, each.way.who, measured, UNIT,
                size=counts[each.way.who],
                batch=each.batch or math.nan,
                error=each.error,
                correct="yes" if each.error <= TOLERANCE else "no",
                ratio=measured.median / plain,
                floor_share=measured.median / floor,
            )
        )  # fmt: skip
    return rows


def _samples(ready: Ready, setting: Setting, sizes: Sizes, effort: Effort) -> int:
    """The same number for all, in whole batches; for the loop over single samples, as many as the time allows."""
    if ready.way is not LOOP:
        return max(1, sizes.together // (ready.batch or 1)) * (ready.batch or 1)
    samples = _first(setting, sizes.checked)
    rate = sizes.checked / seconds_of(lambda: ready.compute(*samples))
    return min(sizes.together, max(sizes.checked, int(rate * effort.seconds)))


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)
