"""Wanda: a weight's magnitude times the norm of what it multiplies.

Sun et al. (2024), eq. 1, for linear layers: |w_ij|·‖x_j‖₂ over all tokens of all samples. Here the norm is the root
of the mean over samples of the sum over positions, which differs by a constant factor and does not grow with the
samples. As in ``total_signal`` and on our own account: a convolution's weight multiplies the padded image's entries,
a normalisation's scale the normalised input, and a bias ones, at each position.
"""

import torch
from torch import Tensor, nn

from weight_importance.errors import UserError
from weight_importance.estimators.closed_forms import (
    FORMS,
    closed_form_layers,
    input_factors,
    refuse_other_parameters,
    single_calls,
)
from weight_importance.estimators.kinds import StateEstimator
from weight_importance.estimators.layers import PROBE, recorded_bytes, samples_per_pass, watch


def importance(network: nn.Module, inputs: Tensor, chunk: int | None) -> dict[str, Tensor]:
    """|θ| times the root mean square of what θ multiplies.

    Args:
        network: layers whose types are in :data:`weight_importance.estimators.closed_forms.FORMS`, each called once.
        inputs: ``(N, ...)``.
        chunk: samples per forward pass.

    Raises:
        UserError: a parameter belongs to something else than such a layer.
    """
    if len(inputs) == 0:
        raise UserError("an importance needs at least one sample; the inputs are empty")
    probe = inputs[:PROBE]
    layers = closed_form_layers(network, probe)
    refuse_other_parameters("wanda", network, layers)
    chunk = chunk or samples_per_pass(recorded_bytes(network, probe))
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    squares = {name: torch.zeros_like(parameter, dtype=torch.float64) for name, parameter in parameters.items()}
    for samples in inputs.split(chunk):
        _, calls = watch(network, samples)
        for call in single_calls(layers, calls):
            prefix = f"{call.name}." if call.name else ""
            square = sum(factor.double().square().sum((0, 3)) for factor in input_factors(call))
            weight = squares[f"{prefix}weight"]
            weight += square[:, None].expand(-1, weight.numel() // square.numel(), -1).reshape(weight.shape)
            if call.module.bias is not None:
                output = FORMS[type(call.module)].output_factor(call.module, call.output)
                squares[f"{prefix}bias"] += len(samples) * output.shape[3]
    return {
        name: (parameters[name].abs() * (square / len(inputs)).sqrt()).to(parameters[name].dtype)
        for name, square in squares.items()
    }


ESTIMATOR = StateEstimator(
    label="Wanda",
    formula=r"\lvert w_{ij}\rvert\,\sqrt{\mathbb{E}_x[x_j^2]}",
    source="sun2024simple",
    importance=importance,
)
