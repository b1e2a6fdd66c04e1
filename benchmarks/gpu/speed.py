"""Speed on the GPU: importances in samples per second, training in replica-steps per second.

Importances are compared with a loop over single samples, training with the plain loop: one network with
torch.optim.Adam(fused=True) on index slices of images in GPU memory. Rates are medians over repetitions, or over
windows of steps after a warm-up; the device is synchronised before each reading of the clock.
"""

import copy
import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gpu.setting import (
    Optimisation,
    Table,
    begin,
    parser,
    repeated,
    synchronise,
    training_samples,
    untrained_estimators,
)
from speed.ways import ESTIMATORS, LOOP
from weight_importance.data.samples import Samples, to_inputs
from weight_importance.estimators import registry
from weight_importance.estimators.path import PathRecorder
from weight_importance.learning import loop
from weight_importance.learning.batches import TaskData, batch_indices
from weight_importance.learning.engine.batch_gradients import Gathered
from weight_importance.learning.engine.flat import Layout
from weight_importance.learning.engine.gradients import way_to_compute
from weight_importance.learning.networks import NETWORKS
from weight_importance.learning.penalty import Consolidation
from weight_importance.learning.replicas import Replicas, initialise

COLUMNS = (
    "part", "network", "what", "who", "size", "count", "median", "low", "high", "unit", "ratio", "set_up_seconds",
    "peak_memory_mib", "device",
)  # fmt: skip
PROJECT, PLAIN, LAUNCHED = "this project", "plain loop", "this project, without CUDA graphs"
UNITS = {"training": "replica-steps/s", "importance": "samples/s"}
REPLICAS = {"mlp": (1, 4, 16, 64, 200, 256), "cnn": (1, 4, 16, 64)}
EXTRAS = {"plain": (), "penalty": ("penalty",), "records": ("records",), "penalty and records": ("penalty", "records")}
QUICK = Optimisation(batch_size=10)


@dataclass(frozen=True)
class Measurement:
    """Rates of one method.

    Attributes:
        part: a key of :data:`UNITS`.
        network: its name.
        what: the measured operation.
        who: the method.
        size: samples or replicas.
        rates: of the repetitions or windows.
        set_up: seconds before the first window.
    """

    part: str
    network: str
    what: str
    who: str
    size: int
    rates: Sequence[float]
    set_up: float = math.nan


class Report:
    """Writes and prints measurements.

    Args:
        path: of the table, which is written from the start.
        device: that is measured.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        path.unlink(missing_ok=True)
        self._table, self.device = Table(path, COLUMNS), device
        self._name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"

    def add(self, measured: Measurement, compared: float = math.nan) -> float:
        """Report a measurement next to the median rate of the loop; returns the median rate."""
        on_gpu, unit, rates = self.device.type == "cuda", UNITS[measured.part], measured.rates
        median, low, high = statistics.median(rates), min(rates), max(rates)
        memory = torch.cuda.max_memory_allocated(self.device) / 2**20 if on_gpu else math.nan
        ratio = 1.0 if measured.who in (PLAIN, LOOP.who) else median / compared
        keys = (measured.part, measured.network, measured.what, measured.who, measured.size)
        numbers = (f"{value:.6g}" for value in (median, low, high))
        self._table.add(
            (*keys, len(rates), *numbers, unit, f"{ratio:.4g}", f"{measured.set_up:.3g}", f"{memory:.0f}", self._name)
        )
        part, network, what, who, size = keys
        print(
            f"{part:10} {network:4} {what:20} {who:34} {size:5} {median:12,.0f} {unit} ({low:,.0f} to {high:,.0f}), "
            f"{ratio:.1f} times the loop, set-up {measured.set_up:.1f} s, {memory:,.0f} MiB",
            flush=True,
        )
        if on_gpu:
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        return median


class Windows:
    """Replica-steps per second in windows of steps after a warm-up.

    Args:
        device: that trains.
        warm_up: number of steps before the first window; a multiple of the number that training reports at once.
        window: number of steps per rate; also such a multiple.
    """

    def __init__(self, device: torch.device, warm_up: int, window: int) -> None:
        self._device, self._warm_up, self._window = device, warm_up, window
        self._steps, self._last = 0, 0.0
        self._begin = time.perf_counter()
        self.set_up = 0.0
        self.rates: list[float] = []

    def steps(self, count: int, replicas: int) -> None:
        """``replicas`` replicas have made ``count`` more steps each."""
        self._steps += count
        after = self._steps - self._warm_up
        if after < 0 or after % self._window:
            return
        synchronise(self._device)
        now = time.perf_counter()
        if after:
            self.rates.append(replicas * self._window / (now - self._last))
        else:
            self.set_up = now - self._begin
        self._last = time.perf_counter()


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--only", nargs="+", default=[*UNITS], help="what to measure")
    arguments.add_argument("--networks", nargs="+", default=[*REPLICAS], help="networks to measure")
    arguments.add_argument("--table", default="speed.csv", help="name of the table")
    options = arguments.parse_args()
    device = begin(options)
    report = Report(options.output / options.table, device)
    data = training_samples("mnist" if options.data and not options.quick else "mnist_subset").to(device)
    for network in options.networks:
        if "training" in options.only:
            measure_training(report, network, data, options.quick)
        if "importance" in options.only:
            measure_importances(report, network, data, options.quick)


def measure_training(report: Report, network: str, data: Samples, quick: bool) -> None:
    """Stacks of all sizes without extras, the second largest with extras, next to the plain loop."""
    warm_up, window, count = {"mlp": (6, 3, 10), "cnn": (1, 1, 6)}[network]
    sizes, optimisation = REPLICAS[network], Optimisation()
    if quick:
        warm_up, window, count, sizes, optimisation = 1, 1, 2, (1, 2), QUICK
    warm_up, window = warm_up * loop.BLOCK, window * loop.BLOCK
    data = repeated(data, (warm_up + window * count) * optimisation.batch_size)

    def windows() -> Windows:
        return Windows(report.device, warm_up, window)

    measured = windows()
    plain_loop(initialise(NETWORKS[network], [0], report.device).network(0), data, optimisation, measured)
    plain = report.add(Measurement("training", network, "plain", PLAIN, 1, measured.rates, measured.set_up))

    def project(who: str, what: str, size: int) -> None:
        measured = windows()
        train_stack(initialise(NETWORKS[network], range(size), report.device), data, optimisation, measured, what)
        report.add(Measurement("training", network, what, who, size, measured.rates, measured.set_up), plain)

    for size in sizes:
        project(PROJECT, "plain", size)
    for what in [*EXTRAS][1:]:
        project(PROJECT, what, sizes[-2])
    if report.device.type == "cuda" or quick:
        with patch.object(loop, "batch_gradients", launched):
            for size in (sizes[0], sizes[-2]):
                project(LAUNCHED, "plain", size)


def launched(
    replicas: Replicas, layout: Layout, data: TaskData, indices: Tensor, label_smoothing: float = 0.0
) -> Gathered:
    """The gradients of a step as on a CPU: the host launches each operation separately."""
    return Gathered(way_to_compute(replicas, layout, data.batch(0, indices[0])[0], label_smoothing), data)


def train_stack(replicas: Replicas, data: Samples, optimisation: Optimisation, measured: Windows, what: str) -> None:
    """One epoch of a stack, each replica with batches of its seed; ``what`` is a key of :data:`EXTRAS`."""
    penalty = None
    if "penalty" in EXTRAS[what]:
        strengths = torch.full((len(replicas),), 1e-3, device=replicas.device)
        consolidation = Consolidation(strengths, clamp_negative=True)
        ones = {name: torch.ones_like(parameter) for name, parameter in replicas.parameters.items()}
        consolidation.task_learnt(replicas.parameters, ones)
        penalty = consolidation.penalty()
    loop.train(
        replicas,
        [data] * len(replicas),
        0,
        epochs=1,
        optimisation=optimisation,
        penalty=penalty,
        recorder=PathRecorder() if "records" in EXTRAS[what] else None,
        options=loop.Options(progress=measured),
    )


def plain_loop(network: nn.Module, data: Samples, optimisation: Optimisation, measured: Windows) -> None:
    """One network, fused Adam, slices of an order in the memory of the device."""
    optimiser = torch.optim.Adam(network.parameters(), lr=optimisation.learning_rate, fused=True)
    network.train()
    size = optimisation.batch_size
    order = torch.cat([indices[0] for indices in batch_indices([0], 0, [len(data)], size, range(1))])
    for part in order.to(data.labels.device).split(size):
        optimiser.zero_grad()
        cross_entropy(network(to_inputs(data.images[part])), data.labels[part]).backward()
        optimiser.step()
        measured.steps(1, 1)


def measure_importances(report: Report, network: str, data: Samples, quick: bool) -> None:
    """Three importances, and all that need no training together, next to a loop over single samples."""
    samples, alone, repeats = (20, 4, 1) if quick else (5000, 100, {"mlp": 5, "cnn": 3}[network])
    replicas = initialise(NETWORKS[network], [0], report.device)
    loop.train(
        replicas, [data.at_most(20 if quick else 10_000)], 0, epochs=1, optimisation=QUICK if quick else Optimisation()
    )
    trained = copy.deepcopy(replicas.network(0)).eval()
    some = repeated(data, samples)
    inputs = to_inputs(some.images)
    together = {name: [name] for name in ESTIMATORS} | {"all": untrained_estimators()}
    for what, names in together.items():
        single = math.nan
        if what in ESTIMATORS:
            loop_over = LOOP.prepare(what, trained, 1)
            run = partial(loop_over, inputs[:alone], some.labels[:alone])
            rates = timed(run, alone, 3, report.device)
            single = report.add(Measurement("importance", network, what, LOOP.who, alone, rates))

        def project(names: Sequence[str] = names) -> None:
            registry.estimate_all(names, trained, inputs, some.labels, generator=torch.Generator().manual_seed(0))

        rates = timed(project, samples, repeats, report.device)
        report.add(Measurement("importance", network, what, PROJECT, samples, rates), single)


def timed(run: Callable[[], object], units: int, repeats: int, device: torch.device) -> list[float]:
    """Units per second of each repetition, after one that is not counted."""
    rates = []
    for number in range(repeats + 1):
        synchronise(device)
        start = time.perf_counter()
        run()
        synchronise(device)
        if number:
            rates.append(units / (time.perf_counter() - start))
    return rates


if __name__ == "__main__":
    main()
