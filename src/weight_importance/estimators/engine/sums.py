"""The state of an accumulation: sums over samples, additive over batches, processes and sessions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Generator, Tensor

from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import ForwardPass
from weight_importance.estimators.engine.probe import Plan

COUNT = "count"
"""Key of the number of samples that count."""

DRAW = "draw/"
"""Prefix of a generator's name in a saved state."""

Means = dict[str, dict[str, Tensor]]
"""Estimator name → parameter name → mean over samples, in float64."""


class Sums(ABC):
    """Sums over samples for some estimators, computed from recorded forward passes.

    Attributes:
        derivatives: highest order of derivatives that ``add`` computes from a pass: 0, 1 or 2.
        needs_gradients: whether a probe must choose how to compute per-sample gradients of parameters without a closed
            form.
        totals: additive tensors in float64 by key ``estimator/parameter``, and the number of samples under
            :data:`COUNT`.
        draws: generators by name, past the numbers drawn.
    """

    derivatives: ClassVar[int]
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
        """Return the sums of a parameter of this shape: name → shape."""
        return {parameter: shape}

    def size(self, plan: Plan) -> int:
        """Return the bytes per sample that a pass needs for these sums."""
        return plan.size

    @abstractmethod
    def add(self, forward_pass: ForwardPass, plan: Plan) -> None:
        """Add the samples of a forward pass to the totals.

        Args:
            forward_pass: the pass, with a graph if ``derivatives`` is positive.
            plan: the probe's results.
        """

    def means(self) -> Means:
        """Return the means over all samples so far."""
        count = self.totals[COUNT].item()
        return {
            name: {parameter: self.totals[f"{name}/{parameter}"] / count for parameter in self.forward.parameters}
            for name in self.names
        }

    def state(self) -> dict[str, Tensor]:
        """Return all sums and generator states, for :meth:`restore` and :meth:`merge`."""
        draws = {f"{DRAW}{name}": draw.get_state() for name, draw in self.draws.items() if draw is not None}
        return {name: total.clone() for name, total in self.totals.items()} | draws

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Replace all sums and generator states by a saved state."""
        for name, total in self.totals.items():
            total.copy_(state[name])
        for name, draw in self.draws.items():
            if draw is not None:
                draw.set_state(state[f"{DRAW}{name}"].cpu())

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the sums of another accumulation over other samples."""
        for name, total in self.totals.items():
            total += state[name].to(total.device)
