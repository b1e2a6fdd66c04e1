"""Elastic weight consolidation: importances accumulated over tasks, and the quadratic penalty around an anchor.

The plain penalty is λ Σ Ω (θ − θ*)², without ½ (Kutalev and Lapina 2021, after Huszár 2018); the stabilised one, by the
same authors, is ½ Σ λΩ / (λΩη + 1) (θ − θ*)² with the learning rate η. There is one anchor θ*, the weights after the
latest task; Ω is accumulated from the importances of all tasks so far; all parameters are included.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

PENALTIES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "plain": lambda weighted, learning_rate: 2 * weighted,
    "stabilised": lambda weighted, learning_rate: weighted / (weighted * learning_rate + 1),
}
"""By name, the stiffness (factor of θ − θ* in the penalty's gradient) from λΩ and the learning rate.

For small λΩη the stabilised penalty at 2λ is the plain one at λ; its stiffness never exceeds 1 / learning rate.
"""


ACCUMULATIONS: dict[str, Callable[[Tensor, Tensor, int, float], Tensor]] = {
    "sum": lambda before, values, tasks, decay: before + values,
    "mean": lambda before, values, tasks, decay: before + (values - before) / tasks,
    "online": lambda before, values, tasks, decay: decay * before + values,
}
"""By name, Ω after a further task from Ω before it, the task's importances, the number of tasks and the decay.

Their sum (Huszár 2018), their mean, or the running sum of online EWC, in which earlier tasks fade (Schwarz et al. 2018,
sec. 3.2).
"""


class Consolidation:
    """The state of elastic weight consolidation for a stack of replicas, each with its own λ.

    Args:
        strengths: λ per replica ``(R,)``.
        clamp_negative: count negative importances as zero, task by task, before they are summed.
        penalty: a name in :data:`PENALTIES`.
        learning_rate: of the optimiser.
        accumulation: a name in :data:`ACCUMULATIONS`: how the importances of the tasks become Ω.
        decay: factor of the earlier tasks' importances in ``online``, applied with each further task.
    """

    def __init__(
        self,
        strengths: Tensor,
        clamp_negative: bool,
        penalty: str = "plain",
        learning_rate: float = 0.0,
        accumulation: str = "sum",
        decay: float = 1.0,
    ) -> None:
        self._strengths = strengths
        self._clamp_negative = clamp_negative
        self._stiffness = PENALTIES[penalty]
        self._learning_rate = learning_rate
        self._accumulate = ACCUMULATIONS[accumulation]
        self._decay = decay
        self._tasks = 0
        self.importance: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}

    def task_learnt(self, parameters: Mapping[str, Tensor], importance: Mapping[str, Tensor]) -> None:
        """Add a finished task's importances ``(R, *shape)`` and move the anchor to the current weights."""
        self._tasks += 1
        for name, parameter in parameters.items():
            values = importance[name].clamp_min(0) if self._clamp_negative else importance[name]
            before = self.importance.get(name)
            first = before is None
            self.importance[name] = (
                values.clone() if first else self._accumulate(before, values, self._tasks, self._decay)
            )
            self.anchor[name] = parameter.detach().clone()

    def resume(self, tasks: int, parameters: Mapping[str, Tensor], importance: Mapping[str, Tensor]) -> None:
        """Restore the state after ``tasks`` tasks, given the weights and :attr:`importance` at that time."""
        self._tasks = tasks
        self.importance = dict(importance)
        self.anchor = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    def penalty(self) -> "QuadraticPenalty":
        """The penalty to train the next task under."""
        stiffness = {
            name: self._stiffness(self._strengths.view(-1, *[1] * (values.ndim - 1)) * values, self._learning_rate)
            for name, values in self.importance.items()
        }
        return QuadraticPenalty(stiffness, self.anchor)


@dataclass(frozen=True)
class QuadraticPenalty:
    """A penalty whose gradient is stiffness · (θ − anchor); each tensor is ``(R, *shape)``, by parameter's name."""

    stiffness: Mapping[str, Tensor]
    anchor: Mapping[str, Tensor]
