"""Moments of the gradient of a batch's mean, where :mod:`weight_importance.estimators.moments` takes those of a sample.

A batch's pull-back is s_b = mean over its samples of Σ_c w_c (∂z/∂θ)ᵀ c, and the result the mean over batches of
|s_b|^power. Averaging before the power loses what differs between samples: with power 2 and batches of B independent
samples the expectation is (variance of one sample's gradient) / B + (mean gradient)², instead of variance + mean².
The samples are taken in the order given; a last, smaller batch counts as much as any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from weight_importance.errors import UserError
from weight_importance.estimators.kinds import Cotangents
from weight_importance.estimators.layers import PROBE, evaluation_mode, recorded_bytes, samples_per_pass
from weight_importance.estimators.moments import refuse_batch_statistics


@dataclass(frozen=True)
class BatchMoment:
    """What to average: |mean over a batch of Σ_c w_c s_c|^power."""

    cotangents: Cotangents
    power: int
    batch: int


def batch_moments(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    wanted: Mapping[str, BatchMoment],
    generator: Generator | None = None,
    chunk: int | None = None,
) -> dict[str, dict[str, Tensor]]:
    """Mean over batches of |mean over the batch's samples of Σ_c w_c s_c|^power, for every parameter.

    Args:
        network: any module from ``(N, ...)`` to logits ``(N, K)``; evaluated in evaluation mode.
        inputs: ``(N, ...)``.
        labels: ``(N,)`` integers.
        wanted: by name.
        generator: randomness for cotangents that sample labels; it is not moved on.
        chunk: samples per pass; a batch that is larger takes several.

    Returns:
        name → parameter name → tensor of the parameter's shape and dtype.

    Raises:
        UserError: there is no sample, or samples influence each other beyond the mean.
    """
    if len(inputs) == 0:
        raise UserError("an importance needs at least one sample; the inputs are empty")
    refuse_batch_statistics(network)
    with evaluation_mode(network):
        most = chunk or samples_per_pass(recorded_bytes(network, inputs[:PROBE]), inputs.device)
        return {
            key: _mean_over_batches(network, inputs, labels, moment, generator and generator.clone_state(), most)
            for key, moment in wanted.items()
        }


def _mean_over_batches(
    network: nn.Module, inputs: Tensor, labels: Tensor, moment: BatchMoment, generator: Generator | None, most: int
) -> dict[str, Tensor]:
    leaves = {name: parameter.detach().requires_grad_() for name, parameter in network.named_parameters()}
    totals = {name: torch.zeros_like(leaf, dtype=torch.float64) for name, leaf in leaves.items()}
    starts = range(0, len(inputs), moment.batch)
    for start in starts:
        end = min(start + moment.batch, len(inputs))
        sums: dict[str, Tensor] = {}
        for first in range(start, end, most):
            part = slice(first, min(first + most, end))
            with torch.enable_grad():
                logits = functional_call(network, leaves, (inputs[part],))
            cotangents, weights = moment.cotangents(logits.detach().double(), labels[part], generator)
            cotangent = (cotangents * weights[..., None]).sum(0).to(logits.dtype)
            gradients = torch.autograd.grad(logits, list(leaves.values()), cotangent, materialize_grads=True)
            for name, gradient in zip(leaves, gradients, strict=True):
                # most batches take one pass
                sums[name] = sums[name].double() + gradient if name in sums else gradient
        for name, total in sums.items():
            totals[name] += (total / (end - start)).abs().pow(moment.power)
    return {name: (total / len(starts)).to(leaves[name].dtype) for name, total in totals.items()}
