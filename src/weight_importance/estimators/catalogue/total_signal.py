"""Total absolute signal: how much signal passes through a connection.

Kutalev (2020) defines it for linear layers on (N, in): for a weight w_ij, |w_ij| times the mean of |x_j| over the
samples; for a bias, the mean of the absolute output of its neuron, which is what the next layer receives (its
activation), in the last layer the softmax.

For other layers the definition is our extension, and results are not a replication: the sum over the positions at which
a parameter is used.

- a weight: |w| E_x Σ_positions |what it multiplies|. For a convolution that is |w_oiuv| E_x Σ_l |x_i| at l + (u, v), in
  the padded image; for the scale of a normalisation, |w| E_x Σ |normalised input|; for a linear layer on sequences, the
  sum over the sequence.
- a bias: E_x Σ_positions |output of its unit| (a neuron, a channel, an entry). A unit's output is what the next layer
  with parameters receives, after activation, pooling or flattening, as long as it depends on that unit and no other of
  the layer; else it is the layer's own output. For the last layer the network's softmax takes that place.
"""

import torch
from torch import Tensor

from weight_importance.estimators.engine.by_layer import Reading, successions
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import Call, pulled_back
from weight_importance.estimators.engine.products import input_factors, output_factor
from weight_importance.estimators.engine.samples import Samples
from weight_importance.estimators.kinds import StateEstimator


def reading(forward: Forward, probe: Samples, layers: list[str]) -> Reading:
    """The absolute signal through every weight and out of every unit, summed over positions."""
    passing = _layers_whose_units_pass(forward, probe, layers)

    def of_weight(call: Call) -> Tensor:
        parts = (factor.abs().sum((0, 3), dtype=torch.float64) for factor in input_factors(call))
        signal = sum(parts, torch.zeros(()))
        magnitude = call.module.weight.detach().abs().reshape(len(signal), -1, signal.shape[1])
        return magnitude * signal[:, None]

    def of_bias(call: Call, after: Tensor) -> Tensor:
        output = after if call.name in passing else call.output
        return _units(call, output).abs().sum((0, 2), dtype=torch.float64)

    return Reading(of_weight, of_bias)


def _units(call: Call, values: Tensor) -> Tensor:
    """``(N, ...)``, the output of the call or what became of it, by unit: ``(N, units, positions)``."""
    return output_factor(call, values).flatten(1, 2)


def _layers_whose_units_pass(forward: Forward, probe: Samples, layers: list[str]) -> set[str]:
    """Layers whose units are what the next one receives: each received unit depends on its own unit alone."""
    with torch.enable_grad():
        pairs = zip(*successions(forward, probe, layers), strict=True)
        return {call.name for call, after in pairs if _pass_unit_by_unit(call, after)}


def _pass_unit_by_unit(call: Call, received: Tensor) -> bool:
    units = _units(call, call.output).shape[1]
    if not received.requires_grad or len(received) != len(call.output) or received[0].numel() % units:
        return False
    by_unit = _units(call, received)
    number = torch.arange(units, device=by_unit.device)
    random = torch.empty_like(by_unit).normal_(generator=torch.Generator(by_unit.device).manual_seed(0))
    # two units differ in some bit of their numbers: what leaks from one to the other shows when that bit divides them
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
