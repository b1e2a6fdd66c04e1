"""Ways to compute an importance with torch alone: this project, the loop over single samples, and torch.func."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap
from torch.nn.functional import log_softmax, softmax

from weight_importance import estimate

ESTIMATORS = ("fisher_empirical", "mas", "fisher_exact")

CLASSES = 10

Compute = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""``(inputs (N, ...), labels (N,)) -> parameter's name → mean importance over the samples``."""


@dataclass(frozen=True)
class Way:
    """One way to compute importances.

    Attributes:
        who: its name in tables.
        prepare: ``(estimator, network, batch size) -> Compute``; may change the network.
        estimators: those it can compute.
        package: what must be installed for it, as imported; ``None`` if nothing.
        batched: whether its batch size is free.
        held: ``(estimator, network has convolutions) -> gradients of the whole network held per sample``, which bounds
            the batch size.
        fixed: whether only the middle batch sizes are tried, because each size is compiled again.
    """

    who: str
    prepare: Callable[[str, nn.Module, int], Compute]
    estimators: tuple[str, ...] = ESTIMATORS
    package: str | None = None
    batched: bool = True
    held: Callable[[str, bool], int] = lambda estimator, convolutional: 0
    fixed: bool = False


def batches(inputs: Tensor, labels: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The samples, ``size`` at a time."""
    return zip(inputs.split(size), labels.split(size), strict=True)


def _scalar(estimator: str, logits: Tensor, label: Tensor) -> Tensor:
    """The scalar of one sample's logits ``(K,)`` whose gradient counts."""
    if estimator == "fisher_empirical":
        return log_softmax(logits, 0).gather(0, label[None])[0]
    return softmax(logits, 0).square().sum()


def power_(estimator: str, gradients: Tensor) -> Tensor:
    """|gradients| to the estimator's power, in place."""
    return gradients.abs_() if estimator == "mas" else gradients.square_()


def _ours(estimator: str, network: nn.Module, batch: int) -> Compute:
    return lambda inputs, labels: estimate(estimator, network, inputs, labels)


def _loop(estimator: str, network: nn.Module, batch: int) -> Compute:
    names, parameters = zip(*network.named_parameters(), strict=True)

    def compute(inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        totals = [torch.zeros_like(parameter) for parameter in parameters]
        for sample, label in zip(inputs, labels, strict=True):
            logits = network(sample[None])[0]
            if estimator == "fisher_exact":
                scalars = log_softmax(logits, 0)
                weights = scalars.detach().exp()
            else:
                scalars = _scalar(estimator, logits, label)[None]
                weights = torch.ones_like(scalars)
            for index, (scalar, weight) in enumerate(zip(scalars, weights, strict=True)):
                gradients = torch.autograd.grad(scalar, parameters, retain_graph=index + 1 < len(scalars))
                for total, gradient in zip(totals, gradients, strict=True):
                    total.addcmul_(power_(estimator, gradient), weight)
        return {name: total / len(inputs) for name, total in zip(names, totals, strict=True)}

    return compute


def _func(compiled: bool) -> Callable[[str, nn.Module, int], Compute]:
    def prepare(estimator: str, network: nn.Module, batch: int) -> Compute:
        parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}

        def log_p(parameters: dict[str, Tensor], sample: Tensor) -> tuple[Tensor, Tensor]:
            scalars = log_softmax(functional_call(network, parameters, (sample[None],))[0], 0)
            return scalars, scalars.exp()

        def scalar(parameters: dict[str, Tensor], sample: Tensor, label: Tensor) -> Tensor:
            return _scalar(estimator, functional_call(network, parameters, (sample[None],))[0], label)

        def sums(parameters: dict[str, Tensor], inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
            if estimator == "fisher_exact":
                jacobians, p = vmap(jacrev(log_p, has_aux=True), (None, 0))(parameters, inputs)
                return {name: torch.tensordot(p, jacobian.square(), 2) for name, jacobian in jacobians.items()}
            gradients = vmap(grad(scalar), (None, 0, 0))(parameters, inputs, labels)
            if estimator == "mas":
                return {name: gradient.abs().sum(0) for name, gradient in gradients.items()}
            return {name: gradient.square().sum(0) for name, gradient in gradients.items()}

        if compiled:
            # every network, estimator and size is compiled separately; the default allows eight
            torch._dynamo.config.recompile_limit = 64
        step = torch.compile(sums, dynamic=False) if compiled else sums

        def compute(inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
            totals = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
            with torch.no_grad():
                for part in batches(inputs, labels, batch):
                    for name, values in step(parameters, *part).items():
                        totals[name] += values
            return {name: total / len(inputs) for name, total in totals.items()}

        return compute

    return prepare


def per_class(estimator: str, convolutional: bool = True) -> int:
    """Gradients per sample: one per class for the exact Fisher, otherwise one."""
    return CLASSES if estimator == "fisher_exact" else 1


OURS = Way("this project", _ours, batched=False)
LOOP = Way("loop, one sample", _loop, batched=False)
FUNC = Way("vmap(grad)", _func(compiled=False), held=per_class)
COMPILED = Way("vmap(grad), compiled", _func(compiled=True), held=per_class, fixed=True)
