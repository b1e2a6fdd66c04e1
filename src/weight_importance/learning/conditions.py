"""Conditions that change the confidence of networks: temperature, epochs, label smoothing.

Temperature changes the output of trained networks; the other conditions train new networks. Knows nothing of files and
of the comparison of importances.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from weight_importance.data.samples import Samples, once_each
from weight_importance.data.tasks.task import Task
from weight_importance.estimators.registry import recorder
from weight_importance.files.checkpoint import Checkpoint
from weight_importance.learning.evaluation import confidence
from weight_importance.learning.first_task import learn_first_task
from weight_importance.learning.heads import heads
from weight_importance.learning.importance import Stacked, path_estimators, stacked_importances
from weight_importance.learning.replicas import Replicas
from weight_importance.runtime.optional import present
from weight_importance.settings import Duration

if TYPE_CHECKING:
    from weight_importance.settings import ConfidenceJob


@dataclass(frozen=True)
class Observation:
    """Networks under one condition.

    Attributes:
        importances: estimator → parameter name → ``(R, *shape)``.
        confidence: quantity → value of each replica.
    """

    importances: Mapping[str, Stacked]
    confidence: Mapping[str, Sequence[float]]


@torch.no_grad()
def observe(
    names: Sequence[str],
    replicas: Replicas,
    tasks: Sequence[Task],
    samples: Sequence[Samples],
    of_path: Mapping[str, Stacked],
    temperature: float = 1.0,
) -> Observation:
    """Compute importances and confidence of a stack on the first task.

    Args:
        names: estimators.
        replicas: the stack.
        tasks: first task of each replica.
        samples: samples of each replica to average over.
        of_path: importances by path estimators, which do not depend on the temperature.
        temperature: temperature of the softmax.

    Raises:
        UserError: a network has diverged.
    """
    replicas.require_finite()
    with heads(replicas, tasks) as headed:
        tempered = at_temperature(headed, temperature)
        return Observation(stacked_importances(names, tempered, samples, (0,), of_path), confidence(tempered, samples))


def at_temperature(replicas: Replicas, temperature: float) -> Replicas:
    """Divide the stack's logits by a temperature: values above 1 reduce confidence, not accuracy."""

    def divide(network: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> Tensor:
        return logits / temperature

    template = copy.deepcopy(replicas.template)
    template.register_forward_hook(divide)
    return replace(replicas, template=template)


class FurtherNetworks:
    """New networks trained on images of the first task: for some epochs, or with label smoothing.

    Args:
        fresh: creates freshly initialised networks.
        tasks: first task of each network, with the training images.
        job: the settings.
        checkpoint: amount of label smoothing → checkpoint of its training.
    """

    def __init__(
        self,
        fresh: Callable[[], Replicas],
        tasks: Sequence[Task],
        job: "ConfidenceJob",
        checkpoint: Callable[[float], Checkpoint],
    ) -> None:
        self._fresh, self._tasks, self._job, self._checkpoint = fresh, tasks, job, checkpoint
        self._training = present(job.training)
        self._paths = path_estimators(job.estimators)
        self._begin()

    def _begin(self) -> None:
        self._replicas, self._recorder, self._done = self._fresh(), recorder(*self._paths), 0

    def after(self, epochs: int) -> Observation:
        """Train on until ``epochs`` epochs (more than before), and observe."""
        return self._learn(epochs, 0.0)

    def smoothed(self, amount: float) -> Observation:
        """Train new networks for all epochs with label smoothing, and observe."""
        self._begin()
        return self._learn(self._training.epochs, amount)

    def _learn(self, epochs: int, label_smoothing: float) -> Observation:
        learn_first_task(
            self._replicas,
            self._tasks,
            self._recorder,
            duration=Duration(epochs=epochs),
            first_epoch=self._done,
            optimisation=self._training.optimisation,
            label_smoothing=label_smoothing,
            checkpoint=self._checkpoint(label_smoothing),
        )
        self._done = epochs
        samples = once_each(lambda task: task.training.last(self._job.samples), self._tasks)
        return observe(self._job.estimators, self._replicas, self._tasks, samples, self._recorder.importances())
