"""Training of the fully connected network, replica-steps per second: loops over one network, stacks of replicas.

Both also with a quadratic penalty and with the record of the optimiser's path that SI needs.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
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
from speed.timing import Contestant, Effort, Summary, rates, summary
from weight_importance.data.image_file import Dataset
from weight_importance.data.samples import Samples, to_inputs
from weight_importance.estimators.path import DISPLACEMENT, PathRecorder
from weight_importance.learning.batches import batch_indices
from weight_importance.learning.engine.optimiser import QuadraticPenalty
from weight_importance.learning.loop import train
from weight_importance.learning.networks import NETWORKS
from weight_importance.learning.replicas import Replicas, initialise
from weight_importance.runtime.device import prepare

NETWORK = "mlp"
LOADER = "DataLoader, Adam"
LOADER_FUSED = "DataLoader, fused Adam"
PLAIN = "plain loop"
SPREAD = "plain loop, one network per thread"
OURS = "this project"
EXTRAS = {"none": (False, False), "penalty": (True, False), "recorder": (False, True), "both": (True, True)}
"""Name → whether training has the penalty, and the record for path estimators."""

TOLERANCE = 1e-3
"""Largest difference from the weights and the record of the plain loop, relative to the largest change and value."""


def loader_loop(network: nn.Module, inputs: Tensor, labels: Tensor, fused: bool) -> None:
    """One epoch of the usual training loop."""
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=BATCH_SIZE, shuffle=True, drop_last=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=fused)
    network.train()
    for images, truth in loader:
        optimiser.zero_grad()
        cross_entropy(network(images), truth).backward()
        optimiser.step()


def unit_penalty(parameters: Mapping[str, Tensor]) -> QuadraticPenalty:
    """The penalty with λ = 1 and importances of one around the present weights; its cost does not depend on them."""
    stiffness = {name: torch.full_like(parameter, 2, requires_grad=False) for name, parameter in parameters.items()}
    return QuadraticPenalty(stiffness, {name: parameter.detach().clone() for name, parameter in parameters.items()})


def plain_loop(
    network: nn.Module, data: Samples, seed: int, penalty: QuadraticPenalty | None = None, recorder: bool = False
) -> dict[str, dict[str, Tensor]]:
    """One epoch over index slices with fused Adam and the batches of this project's training.

    The penalty and the record are computed for all parameters at once by ``torch._foreach`` operations.

    Args:
        network: is trained.
        data: all samples.
        seed: of the order of the batches.
        penalty: its gradient is added to that of the loss.
        recorder: whether to record what SI needs: −Σ g·Δθ, with the gradient of the loss alone, and the displacement.

    Returns:
        The record, as :meth:`PathRecorder.recorded` returns it; empty without a recorder.
    """
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    network.train()
    parameters: list[Tensor] = list(network.parameters())
    stiffness, anchor = ([*penalty.stiffness.values()], [*penalty.anchor.values()]) if penalty else ([], [])
    if recorder:
        integral = [torch.zeros_like(parameter, requires_grad=False) for parameter in parameters]
        start, before = ([parameter.detach().clone() for parameter in parameters] for _ in range(2))
    for indices in batch_indices([seed], 0, [len(data)], BATCH_SIZE, range(1)):
        part = indices[0].to(data.labels.device)
        optimiser.zero_grad()
        cross_entropy(network(to_inputs(data.images[part])), data.labels[part]).backward()
        gradients = [parameter.grad for parameter in parameters]
        with torch.no_grad():
            if penalty:
                distances = torch._foreach_sub(parameters, anchor)
                if recorder:  # the record needs the gradient of the loss alone
                    penalised = torch._foreach_addcmul(gradients, stiffness, distances)
                    for parameter, gradient in zip(parameters, penalised, strict=True):
                        parameter.grad = gradient
                else:
                    torch._foreach_addcmul_(gradients, stiffness, distances)
            if recorder:
                torch._foreach_copy_(before, parameters)
            optimiser.step()
            if recorder:
                torch._foreach_sub_(before, parameters)  # −Δθ
                torch._foreach_addcmul_(integral, gradients, before)
    if not recorder:
        return {}
    names = [name for name, _ in network.named_parameters()]
    with torch.no_grad():
        displacement = torch._foreach_sub(parameters, start)
    return {
        "path_integral": dict(zip(names, integral, strict=True)),
        DISPLACEMENT: dict(zip(names, displacement, strict=True)),
    }


def our_epoch(
    replicas: Replicas, data: Samples, penalty: QuadraticPenalty | None = None, recorder: PathRecorder | None = None
) -> None:
    """One epoch of the stack."""
    train(replicas, [data] * len(replicas), 0, epochs=1, optimisation=OPTIMISATION, penalty=penalty, recorder=recorder)


def our_stack(images: int, extra: tuple[bool, bool], device: str, seeds: Sequence[int]) -> Callable[[], None]:
    """A function that trains a new stack for one epoch, in this process or in another.

    Args:
        images: in the epoch.
        extra: whether there is a penalty, and a recorder.
        device: to train on; a CPU is set to one thread.
        seeds: of the replicas.
    """
    start, data = _begin(images, device, seeds)
    has_penalty, has_recorder = extra
    penalty = unit_penalty(start.parameters) if has_penalty else None

    def run() -> None:
        our_epoch(start.take(range(len(seeds))), data, penalty, PathRecorder() if has_recorder else None)

    return run


def plain_loops(images: int, extra: tuple[bool, bool], device: str, seeds: Sequence[int]) -> Callable[[], None]:
    """A function that trains networks by the plain loop, one after another; arguments as of :func:`our_stack`."""
    start, data = _begin(images, device, seeds)
    has_penalty, has_recorder = extra
    networks = [copy.deepcopy(start.network(index)) for index in range(len(seeds))]
    penalties = [unit_penalty(dict(network.named_parameters())) if has_penalty else None for network in networks]

    def run() -> None:
        for seed, network, penalty in zip(seeds, networks, penalties, strict=True):
            plain_loop(copy.deepcopy(network), data, seed, penalty, has_recorder)

    return run


def _begin(images: int, device: str, seeds: Sequence[int]) -> tuple[Replicas, Samples]:
    """Prepare this process to train on a device, a CPU with one thread: initial replicas, and samples."""
    place = torch.device(device)
    if place.type == "cpu":
        with redirect_stdout(StringIO()):
            prepare(1)
    return initialise(NETWORKS[NETWORK], seeds, place), training_samples(mnist(), images, place)


def measure(
    dataset: Dataset,
    images: int,
    replicas: Sequence[int],
    product: Product,
    device: torch.device,
    threads: int,
    effort: Effort,
) -> list[Row]:
    """Time loops over one network and stacks of several sizes, and the largest stack and the plain loop with extras.

    On a CPU, replicas are spread over one process per thread, as in the workflow, and compared with plain loops spread
    in the same way; the other loops have all threads.

    Args:
        dataset: images of MNIST.
        images: in an epoch.
        replicas: sizes of the stacks; penalty and recorder are measured with the last one.
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
    team = Team(threads) if device.type == "cpu" else None
    reference, networks = (SPREAD, threads) if team else (PLAIN, 1)

    def fresh(run: Callable[[nn.Module], object]) -> Callable[[], object]:
        return lambda: run(copy.deepcopy(network))

    def spread(function: Callable[..., Callable[[], object]], what: str, count: int) -> Callable[[], object]:
        make = partial(function, images, EXTRAS[what], str(device))
        return team.job(make, count) if team else make(range(count))

    entries: list[tuple[str, str, int, Callable[[], object]]] = [
        ("none", LOADER, 1, fresh(lambda one: loader_loop(one, inputs, labels, fused=False))),
        ("none", LOADER_FUSED, 1, fresh(lambda one: loader_loop(one, inputs, labels, fused=True))),
    ]
    if team:
        entries.append(("none", PLAIN, 1, fresh(lambda one: plain_loop(one, data, 0))))
    for what in EXTRAS:
        entries.append((what, reference, networks, spread(plain_loops, what, networks)))
        sizes = replicas if what == "none" else replicas[-1:]
        entries += [(what, OURS, size, spread(our_stack, what, size)) for size in sizes]
    contestants = [Contestant(f"{what}, {who}, {size}", run, steps * size) for what, who, size, run in entries]
    floor, *measured = rates([Contestant("floor", product, product.flops), *contestants], effort).values()
    limit = floor.median / flops
    plain = {what: rate.median for (what, who, *_), rate in zip(entries, measured, strict=True) if who == reference}
    errors = {what: error_after_one_epoch(dataset, device, *extra) for what, extra in EXTRAS.items()}

    def row(what: str, who: str, size: float, rate: Summary) -> Row:
        error = errors[what] if who == OURS else math.nan
        return Row(
            "training", NETWORK, what, who, rate, "replica-steps/s", size=size, batch=BATCH_SIZE,
            error=error,
            correct="unchecked" if math.isnan(error) else "yes" if error <= TOLERANCE else "no",
            ratio=rate.median / plain[what],
            floor_share=rate.median / limit,
        )  # fmt: skip

    return [
        row("none", "floor", math.nan, summary([limit])),
        *(row(*entry[:3], rate) for entry, rate in zip(entries, measured, strict=True)),
    ]


def error_after_one_epoch(
    dataset: Dataset, device: torch.device, has_penalty: bool = False, has_recorder: bool = False
) -> float:
    """Compare a stack with the plain loop over single networks, both trained on the same ten batches.

    Returns:
        The largest difference of a weight over the largest change of a weight; with a recorder, the largest difference
        of a recorded number over the largest one of its kind, if this is more.
    """
    data = training_samples(dataset, 10 * BATCH_SIZE, device)
    seeds = [0, 1]
    start = initialise(NETWORKS[NETWORK], seeds, device)
    replicas = start.take(range(len(seeds)))
    recorder = PathRecorder() if has_recorder else None
    our_epoch(replicas, data, unit_penalty(start.parameters) if has_penalty else None, recorder)
    recorded = recorder.recorded() if recorder else {}
    errors = []
    for index, seed in enumerate(seeds):
        single = copy.deepcopy(start.network(index))
        weights = dict(single.named_parameters())
        before = {name: parameter.detach().clone() for name, parameter in weights.items()}
        record = plain_loop(single, data, seed, unit_penalty(weights) if has_penalty else None, has_recorder)
        errors.append(_largest(weights, replicas.parameters, index) / _largest(before, weights))
        for kind, expected in record.items():
            size = max(values.abs().max().item() for values in expected.values())
            errors.append(_largest(expected, recorded[kind], index) / size)
    return max(errors)


def _largest(values: Mapping[str, Tensor], others: Mapping[str, Tensor], index: int | None = None) -> float:
    """The largest difference of an element; ``index`` selects a replica of the others."""
    return max(
        (tensor - (others[name] if index is None else others[name][index])).abs().max().item()
        for name, tensor in values.items()
    )
