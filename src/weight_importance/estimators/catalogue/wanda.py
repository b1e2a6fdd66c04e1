"""Wanda: a weight's magnitude times the norm of what it multiplies.

Sun et al. (2024), eq. 1, for linear layers: |w_ij|·‖x_j‖₂ over all tokens of all samples. Here the norm is the root
of the mean over samples of the sum over positions, which differs by a constant factor and does not grow with the
samples. As in ``total_signal`` and on our own account: a convolution's weight multiplies the padded image's entries,
a normalisation's scale the normalised input, and a bias ones, at each position.
"""

import torch
from torch import Tensor, nn

from weight_importance.estimators.engine.by_layer import layers_of, mean_over_samples
from weight_importance.estimators.engine.closed_forms import FORMS, input_factors
from weight_importance.estimators.engine.layers import Call
from weight_importance.estimators.kinds import StateEstimator


def importance(network: nn.Module, inputs: Tensor, chunk: int | None) -> dict[str, Tensor]:
    """|θ| times the root mean square of what θ multiplies.

    Args:
        network: layers of types in :data:`~weight_importance.estimators.engine.closed_forms.FORMS`, each called once.
        inputs: ``(N, ...)``.
        chunk: samples per forward pass.

    Raises:
        UserError: a parameter belongs to something else than such a layer.
    """
    layers = layers_of("wanda", network, inputs)
    squares = mean_over_samples(network, inputs, layers, chunk, _squares, _ones)
    return {
        name: (parameter.detach().abs() * squares[name].sqrt()).to(parameter.dtype)
        for name, parameter in network.named_parameters()
    }


def _squares(call: Call) -> Tensor:
    """The sum of squares of what each weight multiplies, ``(G, O, I)``: the same for all outputs O of a group."""
    square = sum(factor.double().square().sum((0, 3)) for factor in input_factors(call))
    outputs = call.module.weight.numel() // square.numel()
    return square[:, None].expand(-1, outputs, -1).contiguous()


def _ones(call: Call, after: Tensor) -> Tensor:
    """A bias multiplies one, for every sample at every position."""
    output = FORMS[type(call.module)].output_factor(call.module, call.output)
    return torch.full_like(call.module.bias, len(output) * output.shape[3], dtype=torch.float64)


ESTIMATOR = StateEstimator(
    label="Wanda",
    formula=r"\lvert w_{ij}\rvert\,\sqrt{\mathbb{E}_x[x_j^2]}",
    source="sun2024simple",
    importance=importance,
)
