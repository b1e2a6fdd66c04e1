"""Importances of every replica of a stack. Knows nothing of penalties and of retention."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from weight_importance.data.samples import Samples, to_inputs
from weight_importance.estimators.registry import estimate
from weight_importance.learning.replicas import Replicas
from weight_importance.runtime.progress import counted
from weight_importance.runtime.seeding import generator

Stacked = Mapping[str, Tensor]
"""Parameter name → ``(R, *shape)``."""


def stacked_importance(estimator: str, replicas: Replicas, data: Sequence[Samples], task: int) -> dict[str, Tensor]:
    """The importance of every replica by an estimator that is not a path estimator.

    Args:
        estimator: its name.
        replicas: the stack; label sampling depends on the seeds and on the task.
        data: of each replica, the samples to average over; samples shared by several replicas are one object.
        task: the task's number.

    Returns:
        parameter name → ``(R, *shape)``; ``nan`` for a replica that has diverged.
    """
    values = {name: torch.full_like(tensor, torch.nan) for name, tensor in replicas.parameters.items()}
    finite = replicas.finite().nonzero()[:, 0].tolist()
    samples = inputs = None
    for replica in counted(finite, len(finite), f"networks: {estimator} of task {task + 1}"):
        if data[replica] is not samples:
            samples = data[replica]
            inputs = to_inputs(samples.images)
        labels = generator("label sampling", replicas.seeds[replica], task)
        found = estimate(estimator, replicas.network(replica), inputs, samples.labels, generator=labels)
        for name, value in found.items():
            values[name][replica] = value
    return values
