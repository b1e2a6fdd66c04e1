"""Recorder for path estimators: running quantities per parameter over the optimiser's steps on a task.

:data:`RECORDS` lists the available quantities; each optimiser step updates them elementwise. An estimator names the
records it needs, and training computes only these.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator
from weight_importance.runtime.errors import UserError, unknown_name


@dataclass(frozen=True)
class Step:
    """One optimiser step for some elements: read-only tensors of one shape.

    Attributes:
        number: step number since recording began, from 1.
        plain: gradient of the batch's mean loss before the step, without the penalty.
        penalised: ``plain`` plus the penalty's gradient, as the optimiser receives it.
        independent: gradient of an independent batch at the same parameters, without the penalty; ``None`` unless a
            record needs it.
        displacement: change of the parameters by the step.
    """

    number: int
    plain: Tensor
    penalised: Tensor
    independent: Tensor | None
    displacement: Tensor


@dataclass(frozen=True)
class Record:
    """A running quantity per parameter, initially zero.

    Attributes:
        update: ``(step, gradient, quantity, *hidden)``: updates the quantity by a step, elementwise and in place.
        gradient: name of the step's gradient; ``independent`` costs a second gradient per step.
        hidden: number of further tensors kept while recording.
    """

    update: Callable[..., None]
    gradient: Literal["plain", "penalised", "independent"]
    hidden: int = 0


SQUARES_DECAY = 0.999
"""Decay per step of the moving average of squared gradients: Adam's β₂."""

RWALK_RATE, RWALK_STEPS, RWALK_DAMPING = 0.9, 10, 1e-3
"""Rate of the Fisher information's moving average, steps Δt per interval, and ε."""


def _path_integral(step: Step, gradient: Tensor, total: Tensor) -> None:
    total.addcmul_(gradient, step.displacement, value=-1)


def _absolute_gradient(step: Step, gradient: Tensor, mean: Tensor) -> None:
    mean.lerp_(gradient.abs(), 1 / step.number)


def _squared_gradient(step: Step, gradient: Tensor, mean: Tensor) -> None:
    """v_t / (1 − β₂^t) with v_t = β₂ v_{t−1} + (1 − β₂) g_t² (Kingma and Ba 2015, sec. 3), without storing v_t."""
    share = (1 - SQUARES_DECAY) / (1 - SQUARES_DECAY**step.number)
    mean.mul_(1 - share).addcmul_(gradient, gradient, value=share)


def _rwalk_fisher(step: Step, gradient: Tensor, fisher: Tensor) -> None:
    """Chaudhry et al. (2018), eq. 6, initialised with the first step's square."""
    kept = 1 - RWALK_RATE if step.number > 1 else 0.0
    fisher.mul_(kept).addcmul_(gradient, gradient, value=1 - kept)


def _rwalk_score(
    step: Step, gradient: Tensor, score: Tensor, fisher: Tensor, at_start: Tensor, fall: Tensor, moved: Tensor
) -> None:
    """Chaudhry et al. (2018), eq. 7, over intervals of Δt steps."""
    _rwalk_fisher(step, gradient, fisher)
    if step.number % RWALK_STEPS == 1:
        at_start.copy_(fisher)
    fall.addcmul_(gradient, step.displacement, value=-1)
    moved.add_(step.displacement)
    if step.number % RWALK_STEPS == 0:
        score.add_(fall.div_(moved.square_().mul_(at_start).div_(2).add_(RWALK_DAMPING)).clamp_(min=0))
        fall.zero_()
        moved.zero_()


RECORDS: dict[str, Record] = {
    "path_integral": Record(_path_integral, "plain"),
    "penalised_path_integral": Record(_path_integral, "penalised"),
    "independent_path_integral": Record(_path_integral, "independent"),
    "absolute_gradient": Record(_absolute_gradient, "plain"),
    "squared_gradient": Record(_squared_gradient, "plain"),
    "rwalk_fisher": Record(_rwalk_fisher, "plain"),
    "rwalk_score": Record(_rwalk_score, "plain", hidden=4),
}
"""Records by name: −Σ g·Δθ with each of the three gradients; the mean of |g|; the bias-corrected moving average of g²
with decay 0.999; RWalk's Fisher information and score. ``displacement``, ΣΔθ, is always recorded, too."""

DISPLACEMENT = "displacement"


def check(names: Iterable[str]) -> None:
    """Raise UserError for the first name that training cannot record."""
    known = [*RECORDS, DISPLACEMENT]
    for name in names:
        if name not in known:
            raise unknown_name("record", name, known)


class PathRecorder:
    """Records running quantities over optimiser steps.

    Args:
        records: names in :data:`RECORDS`; the displacement is always recorded. The default is the path integral, each
            parameter's contribution to the decrease of the loss (Zenke, Poole and Ganguli 2017, eq. 3), with the
            optimiser's actual displacement instead of learning rate times gradient.

    Raises:
        UserError: unknown name.
    """

    def __init__(self, records: Sequence[str] = ("path_integral",)) -> None:
        check(records)
        self.records = {name: RECORDS[name] for name in records if name != DISPLACEMENT}
        self.steps = 0
        self._states: dict[str, list[Tensor]] = {}
        self._displacement: dict[str, Tensor] = {}

    @property
    def tensors(self) -> int:
        """Number of tensors per parameter, without the displacement."""
        return sum(1 + record.hidden for record in self.records.values())

    @property
    def needs_independent(self) -> bool:
        """Whether every step needs the gradient of an independent batch."""
        return any(record.gradient == "independent" for record in self.records.values())

    def step(
        self,
        gradients: Mapping[str, Tensor],
        displacements: Mapping[str, Tensor],
        *,
        penalised: Mapping[str, Tensor] | None = None,
        independent: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Record one optimiser step, parameter by parameter.

        Args:
            gradients: gradients of the unpenalised loss before the step.
            displacements: changes of the parameters by the step.
            penalised: gradients of the penalised loss; by default ``gradients``.
            independent: gradients of an independent batch, if :attr:`needs_independent`.

        Raises:
            UserError: ``independent`` is required but missing.
        """
        if self.needs_independent and independent is None:
            needing = ", ".join(name for name, record in self.records.items() if record.gradient == "independent")
            raise UserError(
                f"{needing} needs gradients of an independent batch: step(gradients, displacements, independent=...)"
            )
        penalised = penalised or gradients
        for name, displacement in displacements.items():
            states = self._states.setdefault(name, [torch.zeros_like(displacement) for _ in range(self.tensors)])
            other = independent[name] if self.needs_independent and independent is not None else None
            self.take_in(Step(self.steps + 1, gradients[name], penalised[name], other, displacement), states)
            moved = self._displacement.get(name)
            self._displacement[name] = displacement.clone() if moved is None else moved + displacement
        self.steps += 1

    def take_in(self, step: Step, states: Sequence[Tensor]) -> None:
        """Update running quantities in place: :attr:`tensors` of them, each of the step's shape."""
        first = 0
        for record in self.records.values():
            after = first + 1 + record.hidden
            record.update(step, getattr(step, record.gradient), *states[first:after])
            first = after

    def states(self, like: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Return the running quantities, parameter name → tensor; zeros like ``like`` before the first step."""
        return [
            {
                name: self._states[name][place] if self._states else torch.zeros_like(value)
                for name, value in like.items()
            }
            for place in range(self.tensors)
        ]

    def put(self, states: Sequence[Mapping[str, Tensor]], displacement: Mapping[str, Tensor], steps: int) -> None:
        """Store the result of ``steps`` more steps on :meth:`states`, and add their total displacement."""
        for name, value in displacement.items():
            self._states[name] = [state[name] for state in states]
            moved = self._displacement.get(name)
            self._displacement[name] = value if moved is None else moved + value
        self.steps += steps

    def recorded(self) -> dict[str, dict[str, Tensor]]:
        """Return record name → parameter name → value after all steps so far, with the displacement."""
        values: dict[str, dict[str, Tensor]] = {}
        first = 0
        for name, record in self.records.items():
            values[name] = {parameter: states[first] for parameter, states in self._states.items()}
            first += 1 + record.hidden
        return values | {DISPLACEMENT: dict(self._displacement)}


class ImportanceRecorder(PathRecorder):
    """A path recorder that computes importances of stacked parameters ``(R, *shape)``.

    Args:
        estimators: name → path estimator; shared records are kept once.
        published: use the published protocol's records, :attr:`PathEstimator.published`, where they differ.
    """

    def __init__(self, estimators: Mapping[str, PathEstimator], published: bool = False) -> None:
        self._estimators = dict(estimators)
        self._taken: dict[str, dict[str, str]] = {}
        for name, estimator in estimators.items():
            replacements = estimator.published if published else {}
            self._taken[name] = {record: replacements.get(record, record) for record in estimator.records}
        super().__init__([*dict.fromkeys(record for taken in self._taken.values() for record in taken.values())])

    def importances(self) -> dict[str, dict[str, Tensor]]:
        """Return estimator name → parameter name → importance from all steps so far."""
        recorded = self.recorded()
        return {
            name: importance(
                estimator, recorded | {record: recorded[other] for record, other in self._taken[name].items()}
            )
            for name, estimator in self._estimators.items()
        }


def importance(estimator: PathEstimator, recorded: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Compute a path estimator's importance of every parameter of a stack of replicas.

    Args:
        estimator: path estimator.
        recorded: record name → parameter name → value ``(R, *shape)``, including the estimator's records.

    Raises:
        UserError: a record of the estimator is missing.
    """
    check(estimator.records)
    missing = [name for name in estimator.records if name not in recorded]
    if missing:
        raise UserError(
            f"'{estimator.label}' needs the record {', '.join(missing)}, which training did not record (only "
            f"{', '.join(recorded)}): train again with a recorder of {', '.join(estimator.records)}."
        )
    values = {
        name: _on_unit_interval(recorded[name]) if name in estimator.normalised else recorded[name]
        for name in estimator.records
    }
    return {
        parameter: estimator.importance(**{name: value[parameter] for name, value in values.items()})
        for parameter in recorded[DISPLACEMENT]
    }


def _on_unit_interval(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rescale each network's values to [0, 1]: minimum to 0, maximum to 1; constant values to 0."""
    ends = [value.reshape(len(value), -1).aminmax(dim=1) for value in values.values()]
    low = torch.stack([each.min for each in ends]).amin(0)
    high = torch.stack([each.max for each in ends]).amax(0)
    span = (high - low).clamp_min(torch.finfo(low.dtype).tiny)

    def along(replicas: Tensor, value: Tensor) -> Tensor:
        return replicas.view(-1, *[1] * (value.ndim - 1))

    return {name: (value - along(low, value)) / along(span, value) for name, value in values.items()}
