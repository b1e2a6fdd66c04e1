"""The diagonal of the Hessian of the mean cross-entropy, by Hutchinson's estimator with its standard error.

For a random vector v of independent signs, E[v ∘ Hv] is the diagonal of H (Bekas, Kokiopoulou and Saad 2007, eq. 1,
with the signs of Hutchinson 1990): each entry is unbiased with variance Σ_{j≠i} H_ij² per probe. The mean over m
probes has that over m; the standard error is estimated from the probes' spread. All parameters share a probe, so
entries of rows with large off-diagonal elements are noisy, whatever their own size.

A network whose logits are piecewise linear in every single weight (linear and convolutional layers, leaky ReLU,
maximum pooling, normalisation in evaluation mode) has ∂²z/∂θ² = 0 almost everywhere: its exact diagonal is that of
the generalised Gauss-Newton matrix, and so the exact Fisher information, which costs less and has no error.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from weight_importance.errors import UserError
from weight_importance.estimators.layers import PROBE, evaluation_mode, recorded_bytes, samples_per_pass

SMALL = 2_000
"""Parameters up to which the exact diagonal is computed."""

SECOND_ORDER = 4
"""How many times what a pass records its second derivatives hold: both passes, forward and backward of each."""


@dataclass(frozen=True)
class Diagonal:
    """Parameter name → the estimate, and its standard error over the probes (``nan`` with a single one)."""

    mean: dict[str, Tensor]
    error: dict[str, Tensor]


def hessian_diagonal(
    network: nn.Module, inputs: Tensor, labels: Tensor, generator: Generator, probes: int, chunk: int | None = None
) -> Diagonal:
    """The diagonal of the Hessian of the mean cross-entropy over the samples at the given labels.

    Entries may be negative. Memory grows with probes × parameters.

    Args:
        network: any module from ``(N, ...)`` to logits ``(N, K)`` that can be differentiated twice; evaluated in
            evaluation mode.
        inputs: ``(N, ...)``.
        labels: ``(N,)`` integers.
        generator: of the signs; moved on behind them.
        probes: random vectors, at least one.
        chunk: samples per pass, by default as many as a bound on memory allows.

    Raises:
        UserError: there is no sample.
    """
    signs = [
        {name: _signs(parameter, generator) for name, parameter in network.named_parameters()} for _ in range(probes)
    ]
    mean, error = {}, {}
    for name, products in _products(network, inputs, labels, signs, chunk).items():
        kind = signs[0][name].dtype
        mean[name] = products.mean(0).to(kind)
        error[name] = (products.std(0) / math.sqrt(probes)).to(kind)
    return Diagonal(mean, error)


def exact_hessian_diagonal(
    network: nn.Module, inputs: Tensor, labels: Tensor, chunk: int | None = None
) -> dict[str, Tensor]:
    """The diagonal without an error, for small networks: a Hessian-vector product for every single weight.

    Time and memory grow with the square of the number of parameters.

    Args:
        network, inputs, labels, chunk: as for :func:`hessian_diagonal`.

    Raises:
        UserError: there is no sample, or there are more than :data:`SMALL` parameters.
    """
    parameters = dict(network.named_parameters())
    count = sum(parameter.numel() for parameter in parameters.values())
    if count > SMALL:
        raise UserError(
            f"the network has {count:,} parameters; the exact Hessian diagonal is for {SMALL:,} at most. Use "
            "hessian_diagonal with its random probes, or 'ggn' where the network is piecewise linear."
        )
    units = []
    for name, parameter in parameters.items():
        for place in range(parameter.numel()):
            unit = {other: torch.zeros_like(value) for other, value in parameters.items()}
            unit[name].view(-1)[place] = 1
            units.append(unit)
    products = _products(network, inputs, labels, units, chunk)
    return {name: value.sum(0).to(parameters[name].dtype) for name, value in products.items()}


def _products(
    network: nn.Module, inputs: Tensor, labels: Tensor, vectors: Sequence[Mapping[str, Tensor]], chunk: int | None
) -> dict[str, Tensor]:
    """Parameter name → v ∘ Hv for every vector v, ``(V, *shape)`` in float64."""
    if len(inputs) == 0:
        raise UserError("an importance needs at least one sample; the inputs are empty")
    leaves = {name: parameter.detach().requires_grad_() for name, parameter in network.named_parameters()}
    products = {
        name: torch.zeros(len(vectors), *leaf.shape, dtype=torch.float64, device=leaf.device)
        for name, leaf in leaves.items()
    }
    with evaluation_mode(network), torch.enable_grad():
        chunk = chunk or samples_per_pass(SECOND_ORDER * recorded_bytes(network, inputs[:PROBE]), inputs.device)
        for start in range(0, len(inputs), chunk):
            part = slice(start, start + chunk)
            loss = cross_entropy(
                functional_call(network, leaves, (inputs[part],)), labels[part].long(), reduction="sum"
            )
            first = torch.autograd.grad(loss, list(leaves.values()), create_graph=True, materialize_grads=True)
            for place, vector in enumerate(vectors):
                slopes = [
                    (gradient, vector[name])
                    for name, gradient in zip(leaves, first, strict=True)
                    if gradient.requires_grad
                ]
                outputs, along = zip(*slopes, strict=True)
                last = place + 1 == len(vectors)
                second = torch.autograd.grad(
                    outputs, list(leaves.values()), along, retain_graph=not last, materialize_grads=True
                )
                for name, product in zip(leaves, second, strict=True):
                    products[name][place] += vector[name] * product
    return {name: value / len(inputs) for name, value in products.items()}


def _signs(like: Tensor, generator: Generator) -> Tensor:
    drawn = torch.randint(2, like.shape, generator=generator, device=generator.device)
    return (2 * drawn - 1).to(like)
