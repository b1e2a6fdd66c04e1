"""Importances read off layer by layer, without gradients, for networks of layers of closed form alone.

The estimator defines what is read from a layer; this module finds the layers, their order, and sums over samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from weight_importance.estimators.engine.closed_forms import refuse_other_parameters, single_calls
from weight_importance.estimators.engine.forms import FORMS
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import Call, samples_per_pass, watch
from weight_importance.estimators.engine.probe import Plan
from weight_importance.estimators.engine.products import full_name
from weight_importance.estimators.engine.samples import Samples
from weight_importance.estimators.engine.sums import COUNT, Sums
from weight_importance.runtime.errors import UserError


@dataclass(frozen=True)
class Reading:
    """Values that an estimator reads from each layer for weight and bias, summed over a call's samples, in float64.

    Attributes:
        of_weight: ``call -> sum``, of as many elements as the weight.
        of_bias: ``(call, what became of its output) -> sum``, of as many elements as the bias; asked for only where
            there is one. After the last layer the softmax has come.
    """

    of_weight: Callable[[Call], Tensor]
    of_bias: Callable[[Call, Tensor], Tensor]


def successions(forward: Forward, samples: Samples, layers: list[str]) -> tuple[list[Call], list[Tensor]]:
    """The one call of each of the layers, and what became of its output: the next one's input, at last the logits.

    Raises:
        UserError: a layer that was called once on the probe is called otherwise on these samples.
    """
    logits, calls = watch(forward, samples)
    single = single_calls(layers, calls, len(samples))
    if single is None:
        raise UserError(
            f"the layers {', '.join(layers)} were each called once on some samples but not on others; the network's "
            "forward must call the same layers whatever the data"
        )
    return single, [*(call.input for call in single[1:]), logits]


class ReadingSums(Sums):
    """Sums over samples of what an estimator reads off each layer.

    Args:
        forward: the network.
        key: the estimator's name.
        reading: ``(forward, probe, layers) -> what is read``.
    """

    needs_layers = True

    def __init__(self, forward: Forward, key: str, reading: Callable[[Forward, Samples, list[str]], Reading]) -> None:
        super().__init__(forward, [key])
        self._reading = reading

    def add(self, samples: Samples, plan: Plan, chunk: int | None) -> None:
        (key,) = self.names
        layers = [name for name in plan.layers if type(self.forward.network.get_submodule(name)) in FORMS]
        refuse_other_parameters(key, self.forward, layers)
        with torch.no_grad():
            reading = self._reading(self.forward, plan.samples, layers)
            for part in samples.split(chunk or samples_per_pass(plan.size, plan.logits.device)):
                self._add(part, layers, reading)

    def _add(self, samples: Samples, layers: list[str], reading: Reading) -> None:
        calls, received = successions(self.forward, samples, layers)
        received[-1] = received[-1].softmax(1)
        self.totals[COUNT] += len(samples)
        for call, after in zip(calls, received, strict=True):
            self._put(full_name(call, "weight"), partial(reading.of_weight, call))
            if call.module.bias is not None:
                self._put(full_name(call, "bias"), partial(reading.of_bias, call, after))

    def _put(self, name: str, value: Callable[[], Tensor]) -> None:
        total = self.totals.get(f"{self.names[0]}/{name}")
        if total is not None:
            total += value().view_as(total)
