"""Speed on the GPU: importances in samples per second, training in replica-steps per second.

Each is set next to the plain way: a loop over single samples; a loop over one network with torch.optim.Adam(fused=True)
on images that are on the GPU already. Rates are medians over repetitions, or over windows of steps after a warm-up;
the device is synchronised before every reading of the clock.
"""

import copy
import gc
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from weight_importance.batch_gradients import Gathered, _batch

from gpu.setting import BATCH_SIZE, LEARNING_RATE, Table, begin, dataset, parser, synchronise
from weight_importance.data.tasks import Split, to_inputs
from weight_importance.estimators import registry
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.path import PathRecorder
from weight_importance.learning import loop as library
from weight_importance.learning.engine.gradients import way_to_compute
from weight_importance.learning.loop import batch_indices, train
from weight_importance.learning.networks import NETWORKS
from weight_importance.learning.penalty import Consolidation
from weight_importance.learning.replicas import Replicas, initialise

COLUMNS = (
    "part", "network", "what", "who", "size", "count", "median", "low", "high", "unit", "ratio", "set_up_seconds",
    "peak_memory_mib", "device",
)  # fmt: skip
OURS, PLAIN, LAUNCHED = "this project", "plain loop", "this project, without CUDA graphs"
REPLICAS = {"mlp": (1, 4, 16, 64, 200, 256), "cnn": (1, 4, 16, 64)}
EXTRAS = {"plain": (), "penalty": ("penalty",), "records": ("records",), "penalty and records": ("penalty", "records")}


class Windows:
    """Replica-steps per second in windows of steps after a warm-up; told about every step by the training loop."""

    def __init__(self, device: torch.device, warm_up: int, window: int) -> None:
        self._device, self._warm_up, self._window = device, warm_up, window
        self._steps, self._last = 0, 0.0
        self._begin = time.perf_counter()
        self.set_up = 0.0
        self.rates: list[float] = []

    def step(self, replicas: int) -> None:
        self._steps += 1
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
    arguments.add_argument("--only", nargs="+", default=["training", "importance"], help="what to measure")
    arguments.add_argument("--networks", nargs="+", default=["mlp", "cnn"], help="whose")
    arguments.add_argument("--table", default="speed.csv", help="name of the table")
    options = arguments.parse_args()
    device = begin(options)
    path = options.output / options.table
    path.unlink(missing_ok=True)
    table = Table(path, COLUMNS)
    images = dataset("mnist" if options.data and not options.quick else "mnist_subset")
    data = Split(images.train_images, images.train_labels.long()).to(device)
    for network in options.networks:
        if "training" in options.only:
            measure_training(table, network, data, device, options.quick)
        if "importance" in options.only:
            measure_importances(table, network, data, device, options.quick)


def report(
    table: Table, part: str, network: str, what: str, who: str, size: int, rates: Sequence[float], unit: str,
    plain: float | None, device: torch.device, set_up: float = float("nan"),
) -> float:  # fmt: skip
    """Write and print a row; returns the median rate."""
    median = statistics.median(rates)
    memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else float("nan")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    ratio = median / plain if plain else 1.0 if who == PLAIN else float("nan")
    numbers = (f"{value:.6g}" for value in (median, min(rates), max(rates)))
    table.add(
        (part, network, what, who, size, len(rates), *numbers, unit, f"{ratio:.4g}", f"{set_up:.3g}", f"{memory:.0f}",
         name)
    )  # fmt: skip
    print(
        f"{part:10} {network:4} {what:20} {who:34} {size:5} {median:12,.0f} {unit} "
        f"({min(rates):,.0f} to {max(rates):,.0f}), {ratio:.1f} times the plain loop, set-up {set_up:.1f} s, "
        f"{memory:,.0f} MiB",
        flush=True,
    )
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    return median


def measure_training(table: Table, network: str, data: Split, device: torch.device, quick: bool) -> None:
    """All sizes of stacks without extras, the largest but one with extras, next to the plain loop."""
    warm_up, window, count = {"mlp": (100, 50, 10), "cnn": (20, 10, 6)}[network]
    sizes = REPLICAS[network]
    if quick:
        warm_up, window, count, sizes = 1, 1, 2, (1, 2)
    data = data.at_most((warm_up + window * count) * (10 if quick else BATCH_SIZE))
    batch = 10 if quick else BATCH_SIZE
    unit = "replica-steps/s"

    def windows() -> Windows:
        return Windows(device, warm_up, window)

    measured = windows()
    plain_loop(initialise(NETWORKS[network], [0], device).network(0), data, batch, measured)
    plain = report(table, "training", network, "plain", PLAIN, 1, measured.rates, unit, None, device, measured.set_up)

    def ours(who: str, what: str, size: int) -> None:
        measured = windows()
        stack(network, size, data, batch, measured, EXTRAS[what])
        report(table, "training", network, what, who, size, measured.rates, unit, plain, device, measured.set_up)

    for size in sizes:
        ours(OURS, "plain", size)
    for what in [*EXTRAS][1:]:
        ours(OURS, what, sizes[-2])
    if device.type == "cuda":
        captured = library.batch_gradients
        library.batch_gradients = launched
        try:
            for size in (sizes[0], sizes[-2]):
                ours(LAUNCHED, "plain", size)
        finally:
            library.batch_gradients = captured


def launched(replicas: Replicas, layout, data: Split, copies: int, indices, label_smoothing: float = 0.0) -> Gathered:
    """The way to compute gradients of other devices: every operation is launched by itself."""
    return Gathered(way_to_compute(replicas, layout, *_batch(data, indices[0]), label_smoothing), data, copies)


def stack(network: str, size: int, data: Split, batch: int, measured: Windows, extras: Sequence[str]) -> None:
    """One epoch of a stack, every replica with batches of its own."""
    device = data.labels.device
    replicas = initialise(NETWORKS[network], range(size), device)
    penalty = None
    if "penalty" in extras:
        consolidation = Consolidation(torch.full((size,), 1e-3, device=device), clamp_negative=True)
        ones = {name: torch.ones_like(parameter) for name, parameter in replicas.parameters.items()}
        consolidation.task_learnt(replicas.parameters, ones)
        penalty = consolidation.penalty()
    recorder = PathRecorder() if "records" in extras else None
    train(
        replicas, range(size), data, 0, epochs=1, batch_size=batch, learning_rate=LEARNING_RATE, penalty=penalty,
        recorder=recorder, progress=measured,
    )  # fmt: skip


def plain_loop(network: nn.Module, data: Split, batch: int, measured: Windows) -> None:
    """One network, fused Adam, slices of an order that is on the device."""
    device = data.labels.device
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    network.train()
    order = torch.cat([indices[0] for indices in batch_indices([0], 0, len(data), batch, 1)]).to(device)
    for part in order.split(batch):
        optimiser.zero_grad()
        cross_entropy(network(to_inputs(data.images[part])), data.labels[part]).backward()
        optimiser.step()
        measured.step(1)


def measure_importances(table: Table, network: str, data: Split, device: torch.device, quick: bool) -> None:
    """Three importances and all that need no training together, next to a loop over single samples."""
    samples, alone, repeats = (20, 4, 1) if quick else (5000, 100, {"mlp": 5, "cnn": 3}[network])
    replicas = initialise(NETWORKS[network], [0], device)
    train(
        replicas, [0], data.at_most(20 if quick else 10_000), 0, epochs=1, batch_size=10 if quick else BATCH_SIZE,
        learning_rate=LEARNING_RATE,
    )  # fmt: skip
    trained = copy.deepcopy(replicas.network(0)).eval()
    some = data.last(samples)
    inputs = to_inputs(some.images)
    every = [name for name in registry.names() if not isinstance(registry.load(name), PathEstimator)]
    together = {name: [name] for name in ("fisher_empirical", "mas", "fisher_exact")} | {"all": every}
    loops = {"fisher_empirical": loop_fisher, "mas": loop_mas, "fisher_exact": loop_exact}
    unit = "samples/s"
    for what, names in together.items():
        plain = None
        if what in loops:
            rates = timed(lambda loop=loops[what]: loop(trained, inputs[:alone], some.labels[:alone]), alone, 3, device)
            plain = report(table, "importance", network, what, PLAIN, alone, rates, unit, None, device)

        def ours(names: Sequence[str] = names) -> None:
            registry.estimate_all(names, trained, inputs, some.labels, generator=torch.Generator().manual_seed(0))

        report(table, "importance", network, what, OURS, samples, timed(ours, samples, repeats, device), unit, plain,
               device)  # fmt: skip


def timed(run: Callable[[], object], units: int, repeats: int, device: torch.device) -> list[float]:
    """Units per second of every repetition, after one that is not counted."""
    rates = []
    for number in range(repeats + 1):
        synchronise(device)
        start = time.perf_counter()
        run()
        synchronise(device)
        if number:
            rates.append(units / (time.perf_counter() - start))
    return rates


def loop_fisher(network: nn.Module, inputs, labels) -> None:
    """Empirical Fisher information, one sample at a time."""
    parameters = list(network.parameters())
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    for place in range(len(inputs)):
        loss = cross_entropy(network(inputs[place : place + 1]), labels[place : place + 1])
        for total, gradient in zip(totals, torch.autograd.grad(loss, parameters), strict=True):
            total.addcmul_(gradient, gradient)


def loop_mas(network: nn.Module, inputs, labels) -> None:
    """MAS on the softmax, one sample at a time."""
    parameters = list(network.parameters())
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    for place in range(len(inputs)):
        norm = network(inputs[place : place + 1]).softmax(1).square().sum()
        for total, gradient in zip(totals, torch.autograd.grad(norm, parameters), strict=True):
            total.add_(gradient.abs())


def loop_exact(network: nn.Module, inputs, labels) -> None:
    """Exact Fisher information, one sample and one class at a time."""
    parameters = list(network.parameters())
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    for place in range(len(inputs)):
        logarithms = network(inputs[place : place + 1]).log_softmax(1)[0]
        probabilities = logarithms.detach().exp()
        for number, value in enumerate(logarithms):
            found = torch.autograd.grad(value, parameters, retain_graph=number + 1 < len(logarithms))
            for total, gradient in zip(totals, found, strict=True):
                total.addcmul_(gradient, gradient * probabilities[number])


if __name__ == "__main__":
    main()
