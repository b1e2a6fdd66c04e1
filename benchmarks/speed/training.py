"""Training of the fully connected network, replica-steps per second: loops over one network, stacks of replicas."""

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from io import StringIO

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from speed.floor import Product, training_flops
from speed.processes import Team
from speed.setting import BATCH_SIZE, LEARNING_RATE, OPTIMISATION, training_samples
from speed.setting import images as mnist
from speed.table import Row
from speed.timing import Contestant, Effort, rates, summary
from weight_importance.data.image_file import Dataset
from weight_importance.data.samples import Samples, to_inputs
from weight_importance.estimators.path import PathRecorder
from weight_importance.learning.batches import batch_indices
from weight_importance.learning.loop import train
from weight_importance.learning.networks import NETWORKS
from weight_importance.learning.penalty import Consolidation
from weight_importance.learning.replicas import Replicas, initialise
from weight_importance.runtime.device import prepare

NETWORK = "mlp"
PLAIN = "DataLoader, Adam"
FUSED = "DataLoader, fused Adam"
SLICED = "index slicing, fused Adam"
SPREAD = "index slicing, one network a thread"
OURS = "this project"
EXTRAS = {"none": (False, False), "penalty": (True, False), "recorder": (False, True), "both": (True, True)}
"""Name → whether training has the penalty, and a recorder for path estimators."""

TOLERANCE = 1e-3
"""Largest difference from the weights of ``torch.optim.Adam`` after an epoch, relative to the largest change."""


def plain_loop(network: nn.Module, inputs: Tensor, labels: Tensor, fused: bool) -> None:
    """One epoch of the usual training loop."""
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=BATCH_SIZE, shuffle=True, drop_last=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=fused)
    network.train()
    for images, truth in loader:
        optimiser.zero_grad()
        cross_entropy(network(images), truth).backward()
        optimiser.step()


def sliced_loop(network: nn.Module, data: Samples, seed: int) -> None:
    """One epoch over index slices, with the batches of this project's training."""
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    network.train()
    for indices in batch_indices([seed], 0, [len(data)], BATCH_SIZE, range(1)):
        part = indices[0].to(data.labels.device)
        optimiser.zero_grad()
        cross_entropy(network(to_inputs(data.images[part])), data.labels[part]).backward()
        optimiser.step()


def our_epoch(replicas: Replicas, data: Samples, penalty: bool = False, recorder: bool = False) -> None:
    """One epoch of the stack; the penalty's importances are all one, because its cost does not depend on them."""
    consolidation = None
    if penalty:
        strengths = torch.full((len(replicas),), 1e-3, device=data.labels.device)
        consolidation = Consolidation(strengths, clamp_negative=True)
        ones = {name: torch.ones_like(parameter) for name, parameter in replicas.parameters.items()}
        consolidation.task_learnt(replicas.parameters, ones)
    train(
        replicas,
        [data] * len(replicas),
        0,
        epochs=1,
        optimisation=OPTIMISATION,
        penalty=consolidation and consolidation.penalty(),
        recorder=PathRecorder() if recorder else None,
    )


def our_stack(images: int, extra: tuple[bool, bool], device: str, seeds: Sequence[int]) -> Callable[[], None]:
    """A function that trains a new stack for one epoch, in this process or in another.

    Args:
        images: in the epoch.
        extra: whether there is a penalty, and a recorder.
        device: to train on; a CPU is set to one thread.
        seeds: of the replicas.
    """
    place = torch.device(device)
    if place.type == "cpu":
        with redirect_stdout(StringIO()):
            prepare(1)
    data = training_samples(mnist(), images, place)
    start = initialise(NETWORKS[NETWORK], seeds, place)
    return lambda: our_epoch(start.take(range(len(seeds))), data, *extra)


def sliced_loops(images: int, seeds: Sequence[int]) -> Callable[[], None]:
    """An epoch of the best loop over one network, for one seed after another, on one thread of the CPU."""
    place = torch.device("cpu")
    with redirect_stdout(StringIO()):
        prepare(1)
    data = training_samples(mnist(), images, place)
    networks = [copy.deepcopy(initialise(NETWORKS[NETWORK], [seed], place).network(0)) for seed in seeds]

    def run() -> None:
        for seed, network in zip(seeds, networks, strict=True):
            sliced_loop(copy.deepcopy(network), data, seed)

    return run


def measure(
    dataset: Dataset,
    images: int,
    replicas: Sequence[int],
    product: Product,
    device: torch.device,
    threads: int,
    effort: Effort,
) -> list[Row]:
    """Time the loops next to stacks of several sizes, then the largest stack with penalty and recorder.

    On a CPU, replicas are spread over one process per thread, as in the workflow; the loops have all threads.

    Args:
        dataset: images of MNIST.
        images: in an epoch.
        replicas: sizes of the stacks; the cost of penalty and recorder is measured with the last one.
        product: the fastest matrix product, timed along as the floor.
        device: to train on.
        threads: of the CPU.
        effort: rounds and time.
    """
    data = training_samples(dataset, images, device)
    inputs, labels = to_inputs(data.images), data.labels
    steps = images // BATCH_SIZE
    network = initialise(NETWORKS[NETWORK], [0], device).network(0)
    flops = training_flops(copy.deepcopy(network), inputs[:1]) * BATCH_SIZE

    def fresh(run: Callable[[nn.Module], None]) -> Callable[[], None]:
        return lambda: run(copy.deepcopy(network))

    team = Team(threads) if device.type == "cpu" else None

    def stacks(count: int, extra: tuple[bool, bool] = (False, False)) -> Callable[[], None]:
        make = partial(our_stack, images, extra, str(device))
        return team.job(make, count) if team else make(range(count))

    floor = Contestant("floor", product, product.flops)
    loops = [
        Contestant(PLAIN, fresh(lambda one: plain_loop(one, inputs, labels, fused=False)), steps),
        Contestant(FUSED, fresh(lambda one: plain_loop(one, inputs, labels, fused=True)), steps),
        Contestant(SLICED, fresh(lambda one: sliced_loop(one, data, 0)), steps),
    ]
    if team:
        loops.append(Contestant(SPREAD, team.job(partial(sliced_loops, images), threads), steps * threads))
    sizes = {f"{OURS}/{count}": count for count in replicas}
    measured_rates = rates(
        [floor, *loops, *(Contestant(who, stacks(count), steps * count) for who, count in sizes.items())], effort
    )
    most = replicas[-1]
    extras = rates(
        [floor, *(Contestant(name, stacks(most, extra), steps * most) for name, extra in EXTRAS.items())], effort
    )
    error = error_after_one_epoch(dataset, device)
    about_ours = {"error": error, "correct": "yes" if error <= TOLERANCE else "no"}

    def row(what: str, who: str, measured, size: float, limit: float, **about) -> Row:
        rates_of = {"ratio": measured.median / measured_rates[PLAIN].median, "floor_share": measured.median / limit}
        unit = "replica-steps/s"
        return Row("training", NETWORK, what, who, measured, unit, size=size, batch=BATCH_SIZE, **rates_of, **about)

    limit = measured_rates["floor"].median / flops
    rows = [row("none", "floor", summary([limit]), math.nan, limit)]
    rows += [row("none", each.who, measured_rates[each.who], each.units / steps, limit) for each in loops]
    rows += [row("none", OURS, measured_rates[who], count, limit, **about_ours) for who, count in sizes.items()]
    limit = extras["floor"].median / flops
    rows += [row(f"with {name}", OURS, extras[name], most, limit) for name in EXTRAS]
    return rows


def error_after_one_epoch(dataset: Dataset, device: torch.device) -> float:
    """Compare training of a stack with ``torch.optim.Adam`` on single networks, over the same ten batches.

    Returns the largest difference of a weight over the largest change of a weight.
    """
    data = training_samples(dataset, 10 * BATCH_SIZE, device)
    seeds = [0, 1]
    start = initialise(NETWORKS[NETWORK], seeds, device)
    replicas = start.take(range(len(seeds)))
    our_epoch(replicas, data)
    worst = 0.0
    for index, seed in enumerate(seeds):
        single = copy.deepcopy(start.network(index))
        before = {name: parameter.detach().clone() for name, parameter in single.named_parameters()}
        sliced_loop(single, data, seed)
        change = max((parameter - before[name]).abs().max().item() for name, parameter in single.named_parameters())
        for name, parameter in single.named_parameters():
            worst = max(worst, (replicas.parameters[name][index] - parameter).abs().max().item() / change)
    return worst
