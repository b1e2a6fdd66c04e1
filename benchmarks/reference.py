"""Reference importances: one sample at a time, in float64, by plain automatic differentiation of the scalar itself.

Written from the papers' formulas and independent of the package: no cotangents, no closed forms, no batching.
"""

import copy

import torch
from torch import Tensor, nn


def scalars(name: str, logits: Tensor, label: Tensor, drawn: Tensor | None) -> list[tuple[Tensor, float]]:
    """The scalars whose gradients count for one sample, with their weights."""
    log_p = torch.log_softmax(logits, 0)
    match name:
        case "fisher_batched" | "snip":
            return [(log_p[label], 1.0)]
        case "fisher_predicted":
            return [(log_p[max(range(len(logits)), key=lambda k: logits[k].item())], 1.0)]
        case "masx":
            return [(torch.softmax(logits, 0).max().square(), 1.0)]
        case "mas_logits_norm":
            return [(logits.square().sum().sqrt(), 1.0)]
        case "ewc_dr":
            return [(torch.log_softmax(-logits, 0)[label], 1.0)]
        case "fisher_empirical":
            return [(log_p[label], 1.0)]
        case "fisher_sampled":
            return [(log_p[drawn], 1.0)]
        case "fisher_exact" | "root_fisher" | "absolute_fisher":
            return [(log_p[k], log_p[k].exp().item()) for k in range(len(logits))]
        case "mas":
            return [(torch.softmax(logits, 0).square().sum(), 1.0)]
        case "mas_batched":
            return [(logits.square().mean(), 1.0)]
        case "mas_logits":
            return [(logits.square().sum(), 1.0)]
    raise AssertionError(name)


POWERS = {
    "fisher_empirical": 2,
    "fisher_exact": 2,
    "fisher_sampled": 2,
    "absolute_fisher": 1,
    "mas": 1,
    "mas_batched": 1,
    "mas_logits": 1,
    "root_fisher": 2,
    "fisher_predicted": 2,
    "fisher_batched": 2,
    "mas_logits_norm": 1,
    "masx": 1,
    "ewc_dr": 2,
    "snip": 1,
}

BATCHES = {"fisher_batched": 100, "mas_batched": 128, "snip": None}
"""Samples whose gradients are averaged before the power; ``None``: all."""

FINISHES = {"root_fisher": lambda value, theta: value.sqrt(), "snip": lambda value, theta: value * theta.abs()}


def naive(name: str, network: nn.Module, inputs: Tensor, labels: Tensor, drawn: Tensor | None = None) -> dict:
    """parameter name → importance in float64."""
    network = copy.deepcopy(network).double().eval()
    parameters = dict(network.named_parameters())
    if name == "ggn":
        return _gauss_newton(network, inputs)
    totals = {key: torch.zeros_like(parameter) for key, parameter in parameters.items()}
    size = BATCHES.get(name, 1) or len(inputs)
    batches = [range(first, min(first + size, len(inputs))) for first in range(0, len(inputs), size)]
    for batch in batches:
        mean = {key: 0.0 for key in parameters}
        for n in batch:
            logits = network(inputs[n : n + 1].double())[0]
            for scalar, weight in scalars(name, logits, labels[n], None if drawn is None else drawn[n]):
                gradients = torch.autograd.grad(
                    scalar, list(parameters.values()), retain_graph=True, materialize_grads=True
                )
                for key, gradient in zip(parameters, gradients, strict=True):
                    if size == 1:
                        totals[key] += weight * gradient.abs() ** POWERS[name]
                    else:
                        mean[key] += gradient / len(batch)
        if size != 1:
            for key, gradient in mean.items():
                totals[key] += gradient.abs() ** POWERS[name]
    finish = FINISHES.get(name, lambda value, theta: value)
    return {key: finish(total / len(batches), parameters[key]).detach() for key, total in totals.items()}


def _gauss_newton(network: nn.Module, inputs: Tensor) -> dict:
    """The diagonal of JᵀHJ, H by differentiating the cross-entropy twice at the logits, J logit by logit."""
    parameters = dict(network.named_parameters())
    totals = {key: torch.zeros_like(parameter) for key, parameter in parameters.items()}
    for n in range(len(inputs)):
        logits = network(inputs[n : n + 1].double())[0]
        hessian = torch.autograd.functional.hessian(lambda z: -torch.log_softmax(z, 0)[0], logits.detach())
        rows = [
            torch.autograd.grad(logit, list(parameters.values()), retain_graph=True, materialize_grads=True)
            for logit in logits
        ]
        for index, key in enumerate(parameters):
            jacobian = torch.stack([row[index] for row in rows])
            totals[key] += (jacobian * torch.tensordot(hessian, jacobian, 1)).sum(0)
    return {key: (total / len(inputs)).detach() for key, total in totals.items()}


ROUNDING = 1e-15
"""Of a float64 tensor's largest value."""


def hessian(network: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The full Hessian of the mean cross-entropy in float64, row after row.

    Returns:
        the Hessian ``(P, P)``, and parameter name → the indices of its entries there, in its shape.
    """
    network = copy.deepcopy(network).double().eval()
    parameters = list(network.parameters())
    losses = [-torch.log_softmax(network(inputs[n : n + 1].double())[0], 0)[labels[n]] for n in range(len(inputs))]
    first = torch.autograd.grad(sum(losses) / len(losses), parameters, create_graph=True)
    entries = torch.cat([gradient.flatten() for gradient in first])
    rows = [torch.autograd.grad(entry, parameters, retain_graph=True, materialize_grads=True) for entry in entries]
    matrix = torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).detach()
    indices = torch.arange(len(entries)).split([parameter.numel() for parameter in parameters])
    return matrix, {
        name: index.view(parameter.shape)
        for (name, parameter), index in zip(network.named_parameters(), indices, strict=True)
    }


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Errors relative to the largest expected value of the tensor, in float64 to the expected value of each entry.

    In float64, the tolerance includes rounding relative to the tensor's largest value. A failure prints the entry, both
    values and their ratio.
    """
    if actual.keys() != expected.keys():
        raise AssertionError(f"names differ: {sorted(actual)}, expected {sorted(expected)}")
    for name, truth in expected.items():
        value, truth = actual[name].double(), truth.double()
        if value.shape != truth.shape:
            raise AssertionError(f"{name}: shape {tuple(value.shape)}, expected {tuple(truth.shape)}")
        error, scale = (value - truth).abs(), truth.abs().max()
        allowed = tolerance * scale
        if actual[name].dtype == torch.float64:
            allowed = tolerance * truth.abs() + ROUNDING * scale
        if not (error <= allowed).all():
            excess = error - allowed
            index = tuple(int(i) for i in torch.unravel_index(excess.argmax(), error.shape)) if error.ndim else ()
            raise AssertionError(
                f"{name}{list(index)}: got {value[index].item():.17g}, expected {truth[index].item():.17g}, "
                f"ratio {value[index].item() / truth[index].item():.17g}, largest error {error.max() / scale:.3g}"
            )
