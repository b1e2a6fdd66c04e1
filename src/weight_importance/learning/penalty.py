"""Elastic weight consolidation: importances accumulated over tasks, and the quadratic penalty around an anchor.

The plain penalty is λ Σ Ω (θ − θ*)², without ½ (Kutalev and Lapina 2021, after Huszár 2018); the halved penalty has the
½ (Kirkpatrick et al. 2017, eq. 3); the stabilised penalty of Kutalev and Lapina is ½ Σ λΩ / (λΩη + 1) (θ − θ*)² with
learning rate η. Ω accumulates the importances of all tasks so far, for all parameters. The anchor θ* is the weights
after the latest task. One penalty per task, each with its own importances and anchor, adds up to the same form:
Σ_t Ω_t (θ − θ_t)² is Ω (θ − θ*)² plus a constant, with Ω = Σ_t Ω_t and θ* = Σ_t Ω_t θ_t / Ω.
"""

from collections.abc import Callable, Mapping
from functools import reduce

import torch
from torch import Tensor

from weight_importance.learning.engine.optimiser import QuadraticPenalty

PENALTIES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "plain": lambda weighted, learning_rate: 2 * weighted,
    "halved": lambda weighted, learning_rate: weighted,
    "stabilised": lambda weighted, learning_rate: weighted / (weighted * learning_rate + 1),
}
"""Penalty name → stiffness (factor of θ − θ* in the penalty's gradient) from λΩ and the learning rate.

For small λΩη the stabilised penalty at 2λ equals the plain one at λ; its stiffness never exceeds 1 / learning rate.
"""


ACCUMULATIONS: dict[str, Callable[[Tensor, Tensor, int, float], Tensor]] = {
    "sum": lambda before, values, tasks, decay: before + values,
    "mean": lambda before, values, tasks, decay: before + (values - before) / tasks,
    "online": lambda before, values, tasks, decay: decay * before + values,
    "per_task": lambda before, values, tasks, decay: before + values,
}
"""Accumulation name → new Ω from the previous Ω, a task's importances, the number of tasks and the decay.

The sum (Huszár 2018), the mean, or the running sum of online EWC, in which earlier tasks fade (Schwarz et al. 2018,
sec. 3.2). One penalty per task (Kirkpatrick et al. 2017) also sums, with an anchor between the tasks' weights.
"""


class Consolidation:
    """The state of elastic weight consolidation for a stack of replicas, each with its own λ.

    Args:
        strengths: λ per replica ``(R,)``.
        clamp_negative: count negative importances as zero, task by task, before accumulation.
        penalty: a name in :data:`PENALTIES`.
        learning_rate: learning rate of the optimiser.
        accumulation: a name in :data:`ACCUMULATIONS`.
        decay: factor of earlier tasks' importances in ``online``, applied with each further task.
        equal_tasks: divide each task's importances by their mean absolute value over the network, so that all tasks
            have equal weight.
    """

    def __init__(
        self,
        strengths: Tensor,
        clamp_negative: bool,
        penalty: str = "plain",
        learning_rate: float = 0.0,
        accumulation: str = "sum",
        decay: float = 1.0,
        equal_tasks: bool = False,
    ) -> None:
        self._strengths = strengths
        self._clamp_negative = clamp_negative
        self._stiffness = PENALTIES[penalty]
        self._learning_rate = learning_rate
        self._accumulate = ACCUMULATIONS[accumulation]
        self._one_anchor = accumulation != "per_task"
        self._decay = decay
        self._equal_tasks = equal_tasks
        self._tasks = 0
        self.importance: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}

    def task_learnt(self, parameters: Mapping[str, Tensor], importance: Mapping[str, Tensor]) -> None:
        """Add a finished task's importances ``(R, *shape)`` and move the anchor to, or towards, the current weights."""
        self._tasks += 1
        if self._clamp_negative:
            importance = {name: values.clamp_min(0) for name, values in importance.items()}
        if self._equal_tasks:
            importance = relative_to_mean(importance)
        for name, parameter in parameters.items():
            values, weights = importance[name], parameter.detach().clone()
            before = self.importance.get(name)
            if before is None:
                self.importance[name], self.anchor[name] = values.clone(), weights
            else:
                self.importance[name] = self._accumulate(before, values, self._tasks, self._decay)
                self.anchor[name] = weights if self._one_anchor else self._moved(name, weights, values)

    def _moved(self, name: str, weights: Tensor, values: Tensor) -> Tensor:
        """Return the anchor of one penalty per task: the importance-weighted mean of the tasks' weights."""
        total = self.importance[name]
        share = torch.where(total > 0, values / total, torch.ones_like(total))
        return torch.lerp(self.anchor[name], weights, share)

    def resume(self, tasks: int, anchor: Mapping[str, Tensor], importance: Mapping[str, Tensor]) -> None:
        """Restore the state after ``tasks`` tasks, given its :attr:`anchor` and :attr:`importance`."""
        self._tasks = tasks
        self.importance = dict(importance)
        self.anchor = {name: values.detach().clone() for name, values in anchor.items()}

    def penalty(self) -> QuadraticPenalty:
        """Return the penalty for training on the next task."""
        stiffness = {
            name: self._stiffness(self._strengths.view(-1, *[1] * (values.ndim - 1)) * values, self._learning_rate)
            for name, values in self.importance.items()
        }
        return QuadraticPenalty(stiffness, self.anchor)


def relative_to_mean(importance: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Divide each replica's importances ``(R, *shape)`` by their mean absolute value over all parameters."""
    rows = [values.reshape(len(values), -1) for values in importance.values()]
    total = reduce(torch.add, (row.abs().sum(1, dtype=torch.float64) for row in rows))
    mean = (total / sum(row.shape[1] for row in rows)).clamp_min(torch.finfo(rows[0].dtype).tiny)
    return {
        name: values / mean.to(values.dtype).view(-1, *[1] * (values.ndim - 1)) for name, values in importance.items()
    }
