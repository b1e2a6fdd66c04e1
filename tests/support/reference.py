"""Importances the slow way: one sample at a time, in float64, by plain automatic differentiation of the scalar itself.

Written from the papers' formulas and independent of the package: no cotangents, no closed forms, no batching.
"""

import copy

import torch
from torch import Tensor, nn


def _scalars(name: str, logits: Tensor, label: Tensor, drawn: Tensor | None) -> list[tuple[Tensor, float]]:
    """The scalars whose gradients count for one sample, with their weights."""
    log_p = torch.log_softmax(logits, 0)
    match name:
        case "fisher_empirical":
            return [(log_p[label], 1.0)]
        case "fisher_sampled":
            return [(log_p[drawn], 1.0)]
        case "fisher_exact" | "absolute_fisher":
            return [(log_p[k], log_p[k].exp().item()) for k in range(len(logits))]
        case "mas":
            return [(torch.softmax(logits, 0).square().sum(), 1.0)]
        case "mas_logits":
            return [(logits.square().sum(), 1.0)]
    raise AssertionError(name)


POWERS = {
    "fisher_empirical": 2,
    "fisher_exact": 2,
    "fisher_sampled": 2,
    "absolute_fisher": 1,
    "mas": 1,
    "mas_logits": 1,
}


def naive(name: str, network: nn.Module, inputs: Tensor, labels: Tensor, drawn: Tensor | None = None) -> dict:
    """parameter name → importance in float64."""
    network = copy.deepcopy(network).double().eval()
    parameters = dict(network.named_parameters())
    totals = {key: torch.zeros_like(parameter) for key, parameter in parameters.items()}
    for n in range(len(inputs)):
        logits = network(inputs[n : n + 1].double())[0]
        for scalar, weight in _scalars(name, logits, labels[n], None if drawn is None else drawn[n]):
            gradients = torch.autograd.grad(
                scalar, list(parameters.values()), retain_graph=True, materialize_grads=True
            )
            for key, gradient in zip(parameters, gradients, strict=True):
                totals[key] += weight * gradient.abs() ** POWERS[name]
    return {key: (total / len(inputs)).detach() for key, total in totals.items()}


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Per tensor: the largest error over the largest expected value; a failure prints where, both values, the ratio."""
    assert actual.keys() == expected.keys()
    for name, truth in expected.items():
        value = actual[name].double()
        assert value.shape == truth.shape, name
        error = (value - truth.double()).abs()
        scale = truth.abs().max()
        if not error.max() <= tolerance * scale:
            index = tuple(int(i) for i in torch.unravel_index(error.argmax(), error.shape)) if error.ndim else ()
            raise AssertionError(
                f"{name}{list(index)}: got {value[index].item():.17g}, expected {truth[index].item():.17g}, "
                f"ratio {value[index].item() / truth[index].item():.17g}, relative error {error.max() / scale:.3g}"
            )
