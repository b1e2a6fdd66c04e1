"""Elastic weight consolidation: importances accumulated over tasks, and the quadratic penalty around an anchor.

The penalty is λ Σ Ω (θ − θ*)², without ½ (Kutalev and Lapina 2021, after Huszár 2018): one anchor θ*, the weights
after the latest task; Ω the sum of the importances of all tasks so far; all parameters included.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


class Consolidation:
    """The state of elastic weight consolidation for a stack of replicas, each with its own λ.

    Args:
        strengths: λ per replica ``(R,)``.
        clamp_negative: count negative importances as zero, task by task, before they are summed.
    """

    def __init__(self, strengths: Tensor, clamp_negative: bool) -> None:
        self._strengths = strengths
        self._clamp_negative = clamp_negative
        self.importance: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}

    def task_learnt(self, parameters: Mapping[str, Tensor], importance: Mapping[str, Tensor]) -> None:
        """Add a finished task's importances ``(R, *shape)`` to the sum and move the anchor to the current weights."""
        for name, parameter in parameters.items():
            values = importance[name].clamp_min(0) if self._clamp_negative else importance[name]
            self.importance[name] = self.importance[name] + values if name in self.importance else values.clone()
            self.anchor[name] = parameter.detach().clone()

    def penalty(self) -> "QuadraticPenalty":
        """The penalty to train the next task under."""
        stiffness = {
            name: 2 * self._strengths.view(-1, *[1] * (values.ndim - 1)) * values
            for name, values in self.importance.items()
        }
        return QuadraticPenalty(stiffness, self.anchor)


class QuadraticPenalty:
    """Adds the penalty's gradient, stiffness · (θ − anchor), to the loss's.

    Args:
        stiffness: 2λΩ per parameter, ``(R, *shape)``.
        anchor: θ* per parameter, ``(R, *shape)``.
    """

    def __init__(self, stiffness: Mapping[str, Tensor], anchor: Mapping[str, Tensor]) -> None:
        self._stiffness = stiffness
        self._anchor = anchor
        self._scratch: dict[str, Tensor] = {}

    def like(self, parameters: Mapping[str, Tensor]) -> "QuadraticPenalty":
        """The same penalty with its tensors laid out in memory as the parameters are (a matter of speed only)."""
        return QuadraticPenalty(
            {name: torch.empty_like(tensor).copy_(self._stiffness[name]) for name, tensor in parameters.items()},
            {name: torch.empty_like(tensor).copy_(self._anchor[name]) for name, tensor in parameters.items()},
        )

    def gradient(self, name: str, parameter: Tensor, loss_gradient: Tensor) -> Tensor:
        """The gradient of loss + penalty for one parameter; the tensor returned is overwritten by the next call."""
        if name not in self._scratch:
            self._scratch[name] = torch.empty_like(parameter)
        scratch = torch.sub(parameter, self._anchor[name], out=self._scratch[name])
        return torch.addcmul(loss_gradient, self._stiffness[name], scratch, out=scratch)
