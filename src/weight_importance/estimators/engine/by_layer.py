"""Importances read layer by layer without gradients, for networks in which every layer has a closed form.

The estimator defines the quantity to read; this module finds the layers and their order, and sums over samples.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from weight_importance.estimators.engine.closed_forms import refuse_other_parameters, single_calls
from weight_importance.estimators.engine.forms import FORMS
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import Call, ForwardPass
from weight_importance.estimators.engine.probe import Plan
from weight_importance.estimators.engine.products import full_name
from weight_importance.estimators.engine.samples import Samples
from weight_importance.estimators.engine.sums import COUNT, Sums
from weight_importance.runtime.errors import UserError


@dataclass(frozen=True)
class Reading:
    """Values that an estimator reads from each layer for weight and bias, summed over a call's samples, in float64.

    The functions must not change the call's tensors, which other estimators use as well.

    Attributes:
        of_weight: ``call -> sum``, with as many elements as the weight.
        of_bias: ``(call, input of the next layer) -> sum``, with as many elements as the bias; not called without a
            bias. The last layer receives the softmax.
    """

    of_weight: Callable[[Call], Tensor]
    of_bias: Callable[[Call, Tensor], Tensor]


def successions(forward_pass: ForwardPass, layers: list[str]) -> tuple[list[Call], list[Tensor]]:
    """Return the single call of each layer, and the input of each next layer; after the last layer, the logits.

    Raises:
        UserError: a layer called once on the probe is called differently on these samples.
    """
    single = single_calls(layers, forward_pass.calls, len(forward_pass.samples))
    if single is None:
        raise UserError(
            f"the layers {', '.join(layers)} were each called once on some samples but not on others; the network's "
            "forward must call the same layers whatever the data"
        )
    return single, [*(call.input for call in single[1:]), forward_pass.logits]


class ReadingSums(Sums):
    """Sums over samples of the values that several estimators read from each layer in the same forward pass.

    Args:
        forward: the network.
        wanted: estimator name → ``(forward, probe, layers) -> Reading``.
    """

    derivatives = 0

    def __init__(
        self, forward: Forward, wanted: Mapping[str, Callable[[Forward, Samples, list[str]], Reading]]
    ) -> None:
        super().__init__(forward, list(wanted))
        self._wanted = wanted
        self._read: tuple[Plan | None, dict[str, Reading]] = None, {}

    @torch.no_grad()
    def add(self, forward_pass: ForwardPass, plan: Plan) -> None:
        layers = [name for name in plan.layers if type(self.forward.network.get_submodule(name)) in FORMS]
        refuse_other_parameters(self.names, self.forward, layers)
        if self._read[0] is not plan:
            self._read = plan, {key: each(self.forward, plan.samples, layers) for key, each in self._wanted.items()}
        calls, received = successions(forward_pass, layers)
        received[-1] = received[-1].softmax(1)
        self.totals[COUNT] += len(forward_pass.samples)
        for call, after in zip(calls, received, strict=True):
            for key, reading in self._read[1].items():
                self._put(f"{key}/{full_name(call, 'weight')}", partial(reading.of_weight, call))
                if call.module.bias is not None:
                    self._put(f"{key}/{full_name(call, 'bias')}", partial(reading.of_bias, call, after))

    def _put(self, name: str, value: Callable[[], Tensor]) -> None:
        total = self.totals.get(name)
        if total is not None:
            total += value().view_as(total)
