"""Wanda: the magnitude of a weight times the norm of its inputs.

Sun et al. (2024), eq. 1, for linear layers: |w_ij|·‖x_j‖₂ over all tokens of all samples. Here the norm is the root
of the mean over samples of the sum over positions: it differs by a constant factor and does not grow with the number of
samples. Pruning ranks weights within each output unit only (sec. 3), removing the same fraction of every row. Our
extension to other layers, as in ``total_signal``: the input is the padded image for a convolution's weight, the
normalised input for a normalisation's scale, and one at each position for a bias; rows are output channels.
"""

import torch
from torch import Tensor

from weight_importance.estimators.engine.by_layer import Reading
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import Call
from weight_importance.estimators.engine.products import output_factor, summed_inputs
from weight_importance.estimators.engine.samples import Samples
from weight_importance.estimators.kinds import StateEstimator


def reading(forward: Forward, probe: Samples, layers: list[str]) -> Reading:
    """Read the squared input of every parameter, summed over positions."""
    return Reading(_squares, _ones)


def finish(mean_square: Tensor, parameter: Tensor) -> Tensor:
    """|θ| times the root mean square of its input."""
    return parameter.abs() * mean_square.sqrt()


def _squares(call: Call) -> Tensor:
    """Sum the squared inputs of each weight: the same for all outputs of a group."""
    square = summed_inputs(call, lambda inputs: inputs.double().square())
    return square.repeat_interleave(call.module.weight.numel() // square.numel(), 0)


def _ones(call: Call, after: Tensor) -> Tensor:
    """Sum the squared inputs of a bias: one per sample and position."""
    output = output_factor(call, call.output)
    return torch.full_like(call.module.bias, len(output) * output.shape[3], dtype=torch.float64)


ESTIMATOR = StateEstimator(
    label="Wanda",
    formula=r"\lvert w_{ij}\rvert\,\sqrt{\mathbb{E}_x[x_j^2]}",
    source="sun2024simple",
    finish=finish,
    reading=reading,
    compared_within_outputs=True,
)
