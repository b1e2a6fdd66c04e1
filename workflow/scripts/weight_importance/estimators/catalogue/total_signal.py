"""Total absolute signal: how much signal passes through a connection (Kutalev 2020).

For a weight w_ij, |w_ij| times the mean of |x_j| over the samples; for a bias, the mean of the absolute output of its
neuron. A neuron's output is what the next layer receives (its activation), in the last layer the softmax.
"""

import torch
from torch import Tensor, nn

from weight_importance.errors import UserError
from weight_importance.estimators.kinds import StateEstimator
from weight_importance.estimators.layers import Call, watch


def importance(network: nn.Module, inputs: Tensor, chunk: int) -> dict[str, Tensor]:
    """The mean absolute signal through every weight and out of every neuron.

    Args:
        network: linear layers, each called once on a matrix ``(N, in)``.
        inputs: ``(N, ...)``.
        chunk: samples per forward pass.

    Raises:
        UserError: a parameter belongs to something else than such a layer.
    """
    parameters = dict(network.named_parameters())
    totals = {name: torch.zeros_like(parameter, dtype=torch.float64) for name, parameter in parameters.items()}
    for samples in inputs.split(chunk):
        logits, calls = watch(network, samples)
        _refuse_other_layers(calls, parameters, len(samples))
        for call, following in zip(calls, [*calls[1:], None], strict=True):
            prefix = f"{call.name}." if call.name else ""
            signal = call.input.abs().sum(0, dtype=torch.float64)
            totals[f"{prefix}weight"] += call.module.weight.detach().abs() * signal
            if call.module.bias is not None:
                totals[f"{prefix}bias"] += _neuron_output(call, following, logits).abs().sum(0, dtype=torch.float64)
    return {name: (total / len(inputs)).to(parameters[name].dtype) for name, total in totals.items()}


def _neuron_output(call: Call, following: Call | None, logits: Tensor) -> Tensor:
    if following is None:
        return logits.softmax(1)
    return following.input if following.input.shape == call.output.shape else call.output


def _refuse_other_layers(calls: list[Call], parameters: dict[str, Tensor], samples: int) -> None:
    """Everything outside the definition is refused by name rather than given a made-up value."""
    covered = []
    for call in calls:
        if type(call.module) is not nn.Linear or call.input is None or call.input.shape[:-1] != (samples,):
            raise UserError(
                f"total_signal is defined for linear layers on (N, in) inputs; '{call.name}' is a "
                f"{type(call.module).__name__}. Leave total_signal out of 'estimators' for this network."
            )
        covered += [f"{call.name}.{name}" if call.name else name for name, _ in call.module.named_parameters()]
    if sorted(covered) != sorted(parameters):
        missing = sorted(set(parameters) - set(covered)) or sorted(
            {name for name in covered if covered.count(name) > 1}
        )
        raise UserError(
            f"total_signal needs every layer to be called exactly once; this does not hold for {', '.join(missing)}."
        )


ESTIMATOR = StateEstimator(
    label="total signal",
    formula=r"\lvert w_{ij}\rvert\,\mathbb{E}_x\lvert x_j\rvert",
    source="kutalev2020natural",
    importance=importance,
)
