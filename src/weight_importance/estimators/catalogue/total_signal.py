"""Total absolute signal: how much signal passes through a connection.

Kutalev (2020) defines it for linear layers on (N, in). For a weight w_ij it is |w_ij| times the mean of |x_j| over the
samples; for a bias, the mean absolute activation of its neuron, the input of the next layer; in the last layer, the
softmax.

For other layers the definition is our extension, not a replication: a sum over the positions at which a parameter is
used.

- Weight: |w| E_x Σ_positions |input|. Convolution: |w_oiuv| E_x Σ_l |x_i| at l + (u, v), in the padded image. Scale of
  a normalisation: |w| E_x Σ |normalised input|. Linear layer on sequences: the sum over the sequence.
- Bias: E_x Σ_positions |output of its unit| (neuron, channel, entry). A unit's output is the input of the next layer
  with parameters, after activation, pooling or flattening, provided that it depends on no other unit of the layer;
  otherwise it is the layer's own output. The last layer uses the network's softmax.
"""

import torch
from torch import Tensor

from weight_importance.estimators.engine.by_layer import Reading, successions
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import Call, pulled_back, watch
from weight_importance.estimators.engine.products import output_factor, summed_inputs
from weight_importance.estimators.engine.samples import Samples
from weight_importance.estimators.kinds import StateEstimator


def reading(forward: Forward, probe: Samples, layers: list[str]) -> Reading:
    """Read the absolute signal through every weight and out of every unit, summed over positions."""
    passing = _layers_whose_units_pass(forward, probe, layers)

    def of_weight(call: Call) -> Tensor:
        signal = summed_inputs(call, torch.abs)
        magnitude = call.module.weight.detach().abs()
        return magnitude.reshape(len(signal), -1, *signal.shape[1:]) * signal[:, None]

    def of_bias(call: Call, after: Tensor) -> Tensor:
        output = after if call.name in passing else call.output
        return _units(call, output).abs().sum((0, 2), dtype=torch.float64)

    return Reading(of_weight, of_bias)


def _units(call: Call, values: Tensor) -> Tensor:
    """Reshape the call's output, or the next layer's input, to ``(N, units, positions)``."""
    return output_factor(call, values).flatten(1, 2)


def _layers_whose_units_pass(forward: Forward, probe: Samples, layers: list[str]) -> set[str]:
    """Find layers whose units reach the next layer separately: each depends on its own unit alone."""
    with torch.enable_grad():
        pairs = zip(*successions(watch(forward, probe), layers), strict=True)
        return {call.name for call, after in pairs if _pass_unit_by_unit(call, after)}


def _pass_unit_by_unit(call: Call, received: Tensor) -> bool:
    units = _units(call, call.output).shape[1]
    if not received.requires_grad or len(received) != len(call.output) or received[0].numel() % units:
        return False
    by_unit = _units(call, received)
    number = torch.arange(units, device=by_unit.device)
    random = torch.empty_like(by_unit).normal_(generator=torch.Generator(by_unit.device).manual_seed(0))
    # any two units differ in some bit of their indices: the split by that bit reveals a leak between them
    for bit in range(max(1, (units - 1).bit_length())):
        for side in (0, 1):
            chosen = (number >> bit) % 2 == side
            (gradient,) = pulled_back(by_unit, [call.output], random * chosen[:, None], keep=True)
            if gradient is None or _units(call, gradient)[:, ~chosen].any():
                return False
    return True


ESTIMATOR = StateEstimator(
    label="total signal",
    formula=r"\lvert w_{ij}\rvert\,\mathbb{E}_x\lvert x_j\rvert",
    source="kutalev2020natural",
    reading=reading,
    mean_of_samples=True,
)
