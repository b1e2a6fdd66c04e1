"""Importances read off layer by layer: one walk over the samples, for networks of layers of closed form alone.

What is read is the estimator's; here is which layers there are, in what order the samples pass them, and the mean.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from weight_importance.errors import UserError
from weight_importance.estimators.closed_forms import closed_form_layers, refuse_other_parameters, single_calls
from weight_importance.estimators.layers import PROBE, Call, recorded_bytes, samples_per_pass, watch


def layers_of(estimator: str, network: nn.Module, inputs: Tensor) -> list[str]:
    """The names of the network's layers of closed form, in the order of execution, where it has no others.

    Args:
        estimator: named in the error.
        network: in evaluation mode.
        inputs: ``(N, ...)``.

    Raises:
        UserError: there is no sample, or a parameter belongs to something else than such a layer.
    """
    if len(inputs) == 0:
        raise UserError("an importance needs at least one sample; the inputs are empty")
    layers = closed_form_layers(network, inputs[:PROBE])
    refuse_other_parameters(estimator, network, layers)
    return layers


def successions(network: nn.Module, inputs: Tensor, layers: list[str]) -> tuple[list[Call], list[Tensor]]:
    """The one call of each of the layers, and what became of its output: the next one's input, at last the logits."""
    logits, calls = watch(network, inputs)
    calls = single_calls(layers, calls)
    return calls, [*(call.input for call in calls[1:]), logits]


def mean_over_samples(
    network: nn.Module,
    inputs: Tensor,
    layers: list[str],
    chunk: int | None,
    of_weight: Callable[[Call], Tensor],
    of_bias: Callable[[Call, Tensor], Tensor],
) -> dict[str, Tensor]:
    """The mean over samples of what is read off each layer for its weight and its bias, in float64.

    Args:
        network: in evaluation mode.
        inputs: ``(N, ...)``.
        layers: see :func:`layers_of`.
        chunk: samples per forward pass, by default as many as the memory bound allows.
        of_weight: ``call -> sum over the call's samples``, of as many elements as the weight.
        of_bias: ``(call, what became of its output) -> sum over samples``, of as many elements as the bias; asked for
            only where there is one. After the last layer the softmax has come.

    Returns:
        parameter name → mean, of the parameter's shape.
    """
    chunk = chunk or samples_per_pass(recorded_bytes(network, inputs[:PROBE]), inputs.device)
    totals = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in network.named_parameters()}
    for samples in inputs.split(chunk):
        calls, received = successions(network, samples, layers)
        received[-1] = received[-1].softmax(1)
        for call, after in zip(calls, received, strict=True):
            prefix = f"{call.name}." if call.name else ""
            weight = totals[f"{prefix}weight"]
            weight += of_weight(call).view_as(weight)
            if call.module.bias is not None:
                bias = totals[f"{prefix}bias"]
                bias += of_bias(call, after).view_as(bias)
    return {name: total / len(inputs) for name, total in totals.items()}
