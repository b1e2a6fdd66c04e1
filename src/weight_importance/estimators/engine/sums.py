"""The state of an accumulation: sums over samples, which can be added over batches, processes and sessions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.probe import Plan
from weight_importance.estimators.engine.samples import Samples

COUNT = "count"
"""Key of the number of samples that count."""

DRAW = "draw/"
"""Before the name of a generator in a state."""

Means = dict[str, dict[str, Tensor]]
"""Estimator's name → parameter name → mean over samples, in float64."""


class Sums(ABC):
    """Sums over samples for some estimators.

    Attributes:
        needs_layers: whether a probe must find the layers of closed form.
        needs_gradients: whether it must find ways to the gradients of single samples for all other parameters.
        totals: additive tensors in float64 by key ``estimator/parameter``, and the number of samples under
            :data:`COUNT`.
        draws: generators by name, each moved on behind what was drawn.
    """

    needs_layers = False
    needs_gradients = False

    def __init__(self, forward: Forward, names: list[str]) -> None:
        self.forward = forward
        self.names = names
        self.draws: dict[str, Generator | None] = {}
        self.totals: dict[str, Tensor] = {
            f"{name}/{part}": torch.zeros(shape, dtype=torch.float64, device=value.device)
            for name in names
            for parameter, value in forward.parameters.items()
            for part, shape in self.parts(parameter, value.shape).items()
        }
        self.totals[COUNT] = torch.zeros((), dtype=torch.float64)

    def parts(self, parameter: str, shape: torch.Size) -> dict[str, torch.Size]:
        """The sums of a parameter of some shape: name → shape."""
        return {parameter: shape}

    @abstractmethod
    def add(self, samples: Samples, plan: Plan, chunk: int | None) -> None:
        """Take in a batch of samples.

        Args:
            samples: N of them.
            plan: how the network is computed.
            chunk: samples per pass, by default as many as a bound on memory allows.
        """

    def means(self) -> Means:
        """The means over all samples so far."""
        count = self.totals[COUNT].item()
        return {
            name: {parameter: self.totals[f"{name}/{parameter}"] / count for parameter in self.forward.parameters}
            for name in self.names
        }

    def state(self) -> dict[str, Tensor]:
        """Everything that has been added up, and where the generators are; see :meth:`restore` and :meth:`merge`."""
        draws = {f"{DRAW}{name}": draw.get_state() for name, draw in self.draws.items() if draw is not None}
        return {name: total.clone() for name, total in self.totals.items()} | draws

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state in place of what has been added up."""
        for name, total in self.totals.items():
            total.copy_(state[name])
        for name, draw in self.draws.items():
            if draw is not None:
                draw.set_state(state[f"{DRAW}{name}"].cpu())

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add what another accumulation has added up over other samples."""
        for name, total in self.totals.items():
            total += state[name].to(total.device)
