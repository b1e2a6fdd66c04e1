"""Elastic weight consolidation of one network in any training loop.

See :mod:`weight_importance.learning.penalty` for the version for a stack of replicas.
"""

import math
from collections.abc import Mapping
from typing import Any, SupportsFloat

import torch
from torch import Tensor, nn

from weight_importance.learning.penalty import ACCUMULATIONS
from weight_importance.runtime.errors import UserError, unknown_name


def _number(value: object) -> float:
    """A number's value, also of a scalar tensor; ``nan`` for anything else."""
    if isinstance(value, Tensor) and value.numel() != 1:
        return math.nan
    return float(value) if isinstance(value, SupportsFloat) else math.nan


class Penalty:
    """λ Σ Ω (θ − θ*)²: importances Ω accumulated over tasks, and the anchor θ*, the weights after the latest task.

    There is no factor ½ (Huszár 2018). Parameters without an importance are not penalised.

    Args:
        strength: λ, a finite number, at least 0.
        accumulation: combination of the importances of several tasks: ``sum``, ``mean``, or ``online``, a sum in which
            earlier importances are multiplied by ``decay`` after each task.
        decay: factor of earlier importances with ``online``, between 0 and 1.
        clamp_negative: whether negative importances (of path estimators, for example) count as zero, task by task.

    Raises:
        UserError: unknown accumulation; λ or ``decay`` outside its range.
    """

    def __init__(
        self, strength: float, *, accumulation: str = "sum", decay: float = 1.0, clamp_negative: bool = True
    ) -> None:
        if accumulation not in ACCUMULATIONS:
            raise unknown_name("accumulation", accumulation, ACCUMULATIONS)
        if not 0 <= _number(strength) < math.inf:
            raise UserError(f"strength (λ) must be a finite number, at least 0; found {strength!r}")
        if not 0 <= _number(decay) <= 1:
            raise UserError(f"decay must be a number between 0 and 1; found {decay!r}")
        self.strength = strength
        self._accumulate, self._decay, self._clamp_negative = ACCUMULATIONS[accumulation], decay, clamp_negative
        self.tasks = 0
        self.importance: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, network: nn.Module, importance: Mapping[str, Tensor]) -> None:
        """Add the importances of a finished task, and set the anchor to the network's weights.

        Args:
            network: the network after the task.
            importance: parameter name → tensor of its shape, as returned by :func:`weight_importance.estimate`.

        Raises:
            UserError: names or shapes do not fit the network, or differ from those of the previous task.
        """
        parameters = dict(network.named_parameters())
        self._check(parameters, importance)
        self.tasks += 1
        for name, values in importance.items():
            values = values.detach().to(parameters[name].device)
            values = values.clamp(min=0) if self._clamp_negative else values.clone()
            if self.tasks > 1:
                values = self._accumulate(self.importance[name], values, self.tasks, self._decay)
            self.importance[name] = values
            self.anchor[name] = parameters[name].detach().to(values.dtype).clone()

    def _check(self, parameters: Mapping[str, Tensor], importance: Mapping[str, Tensor]) -> None:
        for name, values in importance.items():
            if not isinstance(values, Tensor):
                raise UserError(
                    f"the importance of '{name}' is not a tensor. Pass the importances of one estimator from the "
                    "result of estimate_all."
                )
            if name not in parameters or values.shape != parameters[name].shape:
                raise UserError(f"the network has no parameter '{name}' of shape {tuple(values.shape)}")
            if not values.isfinite().all():
                raise UserError(
                    f"the importance of '{name}' is not finite: the penalty would be nan. Check the network."
                )
        if self.tasks and importance.keys() == self.importance.keys():
            self._check_shapes(importance)
        elif self.tasks:
            differing = ", ".join(sorted(importance.keys() ^ self.importance.keys()))
            raise UserError(f"the importances of all tasks must be of the same parameters; these differ: {differing}")

    def _check_shapes(self, tensors: Mapping[str, Tensor]) -> None:
        for name, anchor in self.anchor.items():
            if name not in tensors or tensors[name].shape != anchor.shape:
                raise UserError(
                    f"there is no parameter '{name}' of shape {tuple(anchor.shape)}, which the penalty covers. Leave "
                    "the importances of layers that will be replaced out of every update, from the first task on."
                )

    def __call__(self, network: nn.Module) -> Tensor:
        """Compute the penalty to add to the loss.

        Args:
            network: the network in training on the next task.

        Returns:
            a scalar with a gradient; zero before the first task.

        Raises:
            UserError: the network lacks a penalised parameter, or has it with another shape.
        """
        parameters = dict(network.named_parameters())
        if not self.importance:
            return next(iter(parameters.values())).new_zeros(())
        self._check_shapes(parameters)
        parts = [
            (values * (parameters[name] - self.anchor[name]).square()).sum() for name, values in self.importance.items()
        ]
        return self.strength * torch.stack(parts).sum()

    def state_dict(self) -> dict[str, Any]:
        """Return importances Ω, anchor θ* and number of tasks, for saving.

        Returns:
            keys ``tasks``, ``importance`` and ``anchor``.
        """
        return {"tasks": self.tasks, "importance": dict(self.importance), "anchor": dict(self.anchor)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace importances, anchor and number of tasks by a saved state.

        Args:
            state: :meth:`state_dict` of a penalty.

        Raises:
            UserError: the state has other keys.
        """
        if state.keys() != self.state_dict().keys():
            raise UserError(
                f"not the state of a penalty: expected {', '.join(self.state_dict())}; found {', '.join(state)}"
            )
        self.tasks, self.importance, self.anchor = state["tasks"], dict(state["importance"]), dict(state["anchor"])
