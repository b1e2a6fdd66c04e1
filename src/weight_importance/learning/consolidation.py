"""Elastic weight consolidation of one network in any training loop.

:mod:`weight_importance.learning.penalty` holds that of a stack of replicas.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from weight_importance.learning.penalty import ACCUMULATIONS
from weight_importance.runtime.errors import UserError, unknown_name


class Penalty:
    """λ Σ Ω (θ − θ*)² with the importances Ω accumulated over tasks and the anchor θ*, the weights after the last one.

    Without the factor ½ (Huszár 2018); parameters without an importance are free.

    Args:
        strength: λ.
        accumulation: how the importances of several tasks become Ω: their ``sum``, their ``mean``, or ``online``, in
            which earlier tasks fade.
        decay: what ``online`` keeps of the earlier tasks with every further one.
        clamp_negative: count negative importances (of a path, say) as zero, task by task.

    Raises:
        UserError: an unknown accumulation.
    """

    def __init__(
        self, strength: float, *, accumulation: str = "sum", decay: float = 1.0, clamp_negative: bool = True
    ) -> None:
        if accumulation not in ACCUMULATIONS:
            raise unknown_name("accumulation", accumulation, ACCUMULATIONS)
        self.strength = strength
        self._accumulate, self._decay, self._clamp_negative = ACCUMULATIONS[accumulation], decay, clamp_negative
        self.tasks = 0
        self.importance: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, network: nn.Module, importance: Mapping[str, Tensor]) -> None:
        """After a task: take in its importances, and the network's weights as the anchor.

        Args:
            network: as it is after the task.
            importance: parameter name → tensor of its shape, as :func:`weight_importance.estimate` returns it.

        Raises:
            UserError: names or shapes are not the network's, or differ from the previous task's.
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
            if name not in parameters or values.shape != parameters[name].shape:
                raise UserError(f"the network has no parameter '{name}' of shape {tuple(values.shape)}")
            if not values.isfinite().all():
                raise UserError(
                    f"the importance of '{name}' is not finite: the penalty would be nan. Check the network."
                )
        if self.tasks and importance.keys() != self.importance.keys():
            differing = ", ".join(sorted(importance.keys() ^ self.importance.keys()))
            raise UserError(f"the importances of all tasks must be of the same parameters; these differ: {differing}")

    def __call__(self, network: nn.Module) -> Tensor:
        """The penalty to add to the loss.

        Args:
            network: the network that learns the next task.

        Returns:
            a scalar with a gradient; zero before the first task.
        """
        parameters = dict(network.named_parameters())
        if not self.importance:
            return next(iter(parameters.values())).new_zeros(())
        parts = [
            (values * (parameters[name] - self.anchor[name]).square()).sum() for name, values in self.importance.items()
        ]
        return self.strength * torch.stack(parts).sum()

    def state_dict(self) -> dict[str, Any]:
        """Importances Ω, anchor θ* and number of tasks, to be saved.

        Returns:
            keys ``tasks``, ``importance`` and ``anchor``.
        """
        return {"tasks": self.tasks, "importance": dict(self.importance), "anchor": dict(self.anchor)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace importances, anchor and number of tasks by those of a state.

        Args:
            state: :meth:`state_dict` of a penalty.
        """
        self.tasks, self.importance, self.anchor = state["tasks"], dict(state["importance"]), dict(state["anchor"])
