"""Retention: a stack of replicas learns later tasks sequentially under elastic weight consolidation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from weight_importance.data.samples import Samples, once_each
from weight_importance.data.tasks.task import Task
from weight_importance.estimators.registry import recorder
from weight_importance.files.trained import pack, under, unpack
from weight_importance.learning.evaluation import accuracy
from weight_importance.learning.heads import heads, joint_heads
from weight_importance.learning.importance import Stacked, path_estimators, stacked_importances
from weight_importance.learning.loop import Options, train
from weight_importance.learning.penalty import Consolidation
from weight_importance.learning.replicas import Replicas
from weight_importance.runtime.progress import Progress

if TYPE_CHECKING:
    from weight_importance.settings import OnAllTasks

Observed = tuple[int, int, str]
"""An accuracy of a run: number of tasks learnt, task, and part of the task."""

Ablation = Callable[[Sequence[Stacked], Sequence[int]], Stacked]
"""``(one importance per estimator, seed of each replica) -> the importance that the penalty uses instead``."""


@dataclass(frozen=True)
class Weighting:
    """The importances that the penalty uses.

    Attributes:
        estimators: estimator names; none for training without a penalty; several for an ablation that combines them.
        first: importance of every estimator on the first task, ``(R, *shape)`` per parameter.
        ablation: transforms every task's importances; negative values are clamped first if the penalty clamps them.
        joint: train on each later task together with all earlier ones.
    """

    estimators: Sequence[str] = ()
    first: Sequence[Stacked] = ()
    ablation: Ablation | None = None
    joint: bool = False

    def take(self, indices: Sequence[int]) -> "Weighting":
        """Select the replicas at ``indices``."""
        chosen = [{name: values[list(indices)] for name, values in each.items()} for each in self.first]
        return replace(self, first=chosen)


def observed(tasks: int, after_every_task: bool) -> list[Observed]:
    """List the accuracies of a run over ``tasks`` tasks, in the order of observation.

    Test images: after the last task or after every task; validation images, which select λ: after the last task.
    """
    earlier = range(1, tasks) if after_every_task else ()
    return [
        *((learnt, task, "test") for learnt in earlier for task in range(1, learnt + 1)),
        *((tasks, task, split) for task in range(1, tasks + 1) for split in ("validation", "test")),
    ]


@dataclass
class Run:
    """Replicas that have learnt some of their tasks, each under its own penalty strength.

    Attributes:
        replicas: the stack, changed in place.
        tasks: tasks of each replica.
        strengths: λ of each replica.
        weighting: the importances that the penalty uses, with first-task importances of each replica.
        job: the settings.
        observers: first-task importances by further estimators; accumulated after every task like the penalty's
            importances, without any effect on the training.
        observed: the accuracies to observe.
        most_images: largest number of images behind an accuracy before the last task; ``None`` for all.
        learnt: number of tasks learnt so far.
        accuracies: accuracies of each replica so far; ``nan`` after divergence.
    """

    replicas: Replicas
    tasks: Sequence[Sequence[Task]]
    strengths: Sequence[float]
    weighting: Weighting
    job: "OnAllTasks"
    observers: Mapping[str, Stacked] = field(default_factory=dict)
    observed: Sequence[Observed] = ()
    most_images: int | None = None
    learnt: int = field(default=0, init=False)
    accuracies: list[list[float]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._consolidation = self._new_consolidation() if self.weighting.estimators else None
        self._observed = {name: self._new_consolidation() for name in self.observers}
        self._names = [*dict.fromkeys([*self.weighting.estimators, *self.observers])]
        self._paths = path_estimators(self._names)

    def _new_consolidation(self) -> Consolidation:
        learning = self.job.learning
        return Consolidation(
            torch.tensor([*map(float, self.strengths)], device=self.replicas.device),
            learning.clamp_negative,
            learning.penalty,
            self.job.optimisation.learning_rate,
            learning.accumulation,
            learning.decay,
            learning.task_weights == "equal",
        )

    @property
    def accumulated(self) -> dict[str, Stacked]:
        """Observer → importances accumulated over the tasks learnt so far."""
        return {name: consolidation.importance for name, consolidation in self._observed.items()}

    def begin(self) -> None:
        """Start from replicas that have learnt the first task."""
        self.accuracies = [[] for _ in self.strengths]
        first = {**dict(zip(self.weighting.estimators, self.weighting.first, strict=True)), **self.observers}
        self.weighting, self.observers = replace(self.weighting, first=()), {}  # frees memory
        self._finish_task(first)

    def learn_next(self, progress: Progress | None = None) -> None:
        """Train on the next task."""
        number, learning, optimisation = self.learnt, self.job.learning, self.job.optimisation
        tasks = [tasks[number] for tasks in self.tasks]
        data = once_each(lambda task: task.training.at_most(learning.images), tasks)
        path = recorder(*self._paths, published=self.job.penalised_path) if self._paths else None
        options = Options(
            carry_adam=self.job.carry_adam,
            freeze_statistics=learning.batch_norm == "frozen",
            steps=range(learning.iterations) if learning.iterations else None,
            progress=progress,
        )
        if self.weighting.joint:
            self._learn_jointly(
                data, replace(options, steps=range(learning.steps(len(data[0]), optimisation.batch_size)))
            )
            self._finish_task({})
            return
        with heads(self.replicas, tasks) as headed:
            train(
                headed,
                data,
                number,
                epochs=learning.epochs,
                optimisation=optimisation,
                penalty=self._consolidation.penalty() if self._consolidation else None,
                recorder=path,
                options=options,
            )
            if not self.job.carry_adam:
                headed.adam = None
            importances = {}
            if self._observed or number + 1 < len(self.tasks[0]):  # the last task needs no protection
                samples = once_each(lambda part: part.last(self.job.samples), data)
                of_path = path.importances() if path else {}
                importances = stacked_importances(self._names, headed, samples, (number,), of_path)
        self._finish_task(importances)

    def _learn_jointly(self, data: Sequence[Samples], options: Options) -> None:
        """Train on the next task together with all earlier ones, for the number of steps of the task alone."""
        number, optimisation = self.learnt, self.job.optimisation
        tasks = [[task.after(tasks[number]) for task in tasks[: number + 1]] for tasks in self.tasks]
        images = self.job.learning.images
        parts = [
            [of_one[0].training, *(task.training.at_most(images) for task in of_one[1:-1]), own]
            for of_one, own in zip(tasks, data, strict=True)
        ]
        with joint_heads(self.replicas, tasks, optimisation.batch_size) as headed:
            train(headed, parts, number, optimisation=optimisation, options=options)
            if not self.job.carry_adam:
                headed.adam = None

    def _finish_task(self, importances: Mapping[str, Stacked]) -> None:
        """Consolidate with the latest task's importances, if any, and observe all tasks learnt so far."""
        parameters, device = self.replicas.parameters, self.replicas.device
        importances = {
            estimator: {name: values.to(device) for name, values in each.items()}
            for estimator, each in importances.items()
        }
        if self._consolidation and importances:
            weights = self._weights([importances[name] for name in self.weighting.estimators])
            self._consolidation.task_learnt(parameters, weights)
        for name, consolidation in self._observed.items():
            consolidation.task_learnt(parameters, importances[name])
        self.learnt += 1
        for learnt, number, split in self.observed:
            if learnt == self.learnt:
                self._observe(number, split)

    def _observe(self, number: int, split: str) -> None:
        """Append each replica's accuracy on one part of a task."""
        tasks = [tasks[number - 1].after(tasks[self.learnt - 1]) for tasks in self.tasks]
        parts = once_each(lambda task: task.part(split), tasks)
        if (most := self.most_images) and self.learnt < len(self.tasks[0]):
            parts = once_each(lambda part: part.spread(most), parts)
        with heads(self.replicas, tasks) as headed:
            values = accuracy(headed, parts)
        for accuracies, value in zip(self.accuracies, values, strict=True):
            accuracies.append(value)

    def _weights(self, importances: Sequence[Stacked]) -> Stacked:
        """Return the importance that a task adds to the penalty, after the ablation, if any."""
        if self.weighting.ablation is None:
            return importances[0]
        if self.job.learning.clamp_negative:  # so that the ablation preserves the penalty's values
            importances = [{name: values.clamp_min(0) for name, values in each.items()} for each in importances]
        return self.weighting.ablation(importances, self.replicas.seeds)

    def state(self) -> dict[str, Tensor]:
        """Return the state to continue from, as one flat set of named tensors."""
        tensors = pack(self.replicas.buffers, self.replicas.adam if self.job.carry_adam else None)
        tensors |= {f"parameter/{name}": value for name, value in self.replicas.parameters.items()}
        if self._consolidation:
            tensors |= {f"importance/{name}": value for name, value in self._consolidation.importance.items()}
            if self.job.learning.accumulation == "per_task":  # otherwise the anchor is the weights
                tensors |= {f"anchor/{name}": value for name, value in self._consolidation.anchor.items()}
        for estimator, values in self.accumulated.items():
            tensors |= {f"observed/{estimator}/{name}": value for name, value in values.items()}
        accuracies = torch.tensor(self.accuracies, dtype=torch.float64)
        return tensors | {"learnt": torch.tensor(self.learnt), "accuracies": accuracies}

    def resume(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from a :meth:`state`."""
        replicas, device = self.replicas, self.replicas.device

        def restored(prefix: str, names: Sequence[str]) -> dict[str, Tensor]:
            values = under(prefix, tensors)  # in file order, which differs from the network's
            return {name: values[name].to(device) for name in names if name in values}

        self.learnt, self.accuracies = int(tensors["learnt"]), tensors["accuracies"].tolist()
        names = [*replicas.parameters]
        replicas.parameters = restored("parameter", names)
        replicas.buffers = restored("buffer", [*replicas.buffers])
        _, replicas.adam = unpack(tensors)
        if self._consolidation:
            anchor = restored("anchor", names) or replicas.parameters
            self._consolidation.resume(self.learnt, anchor, restored("importance", names))
        for estimator, consolidation in self._observed.items():
            values = restored(f"observed/{estimator}", names)
            consolidation.resume(self.learnt, replicas.parameters, values)
