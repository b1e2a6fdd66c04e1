"""Importances of every replica of a stack. Knows neither penalties nor retention."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from weight_importance.data.samples import Samples, to_inputs
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.path import importance
from weight_importance.estimators.registry import estimate_all, load
from weight_importance.learning.replicas import Replicas
from weight_importance.runtime.progress import counted
from weight_importance.runtime.seeding import generator

Stacked = Mapping[str, Tensor]
"""Parameter name → ``(R, *shape)``."""

NO_PATH: Mapping[str, Stacked] = {}


def stacked_importances(
    names: Sequence[str],
    replicas: Replicas,
    data: Sequence[Samples],
    draw: Sequence[int],
    of_path: Mapping[str, Stacked] = NO_PATH,
) -> dict[str, Stacked]:
    """Compute the importances of every replica by several estimators that share passes over the samples.

    Args:
        names: estimator names.
        replicas: the stack; label sampling depends on the seeds and on ``draw``.
        data: samples of each replica to average over; replicas with the same samples share one object.
        draw: task number; further numbers make label sampling independent of other draws on this task.
        of_path: importances by all path estimators in ``names``.

    Returns:
        estimator → parameter name → ``(R, *shape)``, in the order of ``names``; ``nan`` for a diverged replica.
    """
    sampled = [name for name in names if name not in of_path]
    values = {
        name: {parameter: torch.full_like(tensor, torch.nan) for parameter, tensor in replicas.parameters.items()}
        for name in sampled
    }
    finite = replicas.finite().nonzero()[:, 0].tolist() if sampled else []
    samples = inputs = None
    for replica in counted(finite, len(finite), f"networks: {', '.join(sampled)} of task {draw[0] + 1}"):
        if data[replica] is not samples:
            samples = data[replica]
            inputs = to_inputs(samples.images)
        labels = generator("label sampling", replicas.seeds[replica], *draw)
        network = replicas.network(replica)
        for name, tensors in estimate_all(sampled, network, inputs, samples.labels, generator=labels).items():
            for parameter, value in tensors.items():
                values[name][parameter][replica] = value
    return {name: of_path[name] if name in of_path else values[name] for name in names}


def path_importances(names: Sequence[str], recorded: Mapping[str, Stacked]) -> dict[str, Stacked]:
    """Compute the importances by the path estimators in ``names`` from training records."""
    loaded = {name: load(name) for name in names}
    return {name: importance(each, recorded) for name, each in loaded.items() if isinstance(each, PathEstimator)}


def path_estimators(names: Sequence[str]) -> list[str]:
    """Select the path estimators in ``names``."""
    return [name for name in names if isinstance(load(name), PathEstimator)]


def importances_on_halves(
    names: Sequence[str], replicas: Replicas, data: Sequence[Samples]
) -> list[dict[str, Stacked]]:
    """Compute importances on two disjoint random halves of the first task's samples, drawn per seed.

    Path estimators, which do not average over samples, give ``nan``.
    """
    none = {name: torch.full_like(tensor, torch.nan) for name, tensor in replicas.parameters.items()}
    of_path = dict.fromkeys(path_estimators(names), none)
    halves: list[list[Samples]] = [[], []]
    for seed, samples in zip(replicas.seeds, data, strict=True):
        order = torch.randperm(len(samples), generator=generator("halves of samples", seed))
        size = len(samples) // 2
        for number, half in enumerate(halves):
            half.append(samples.take(order[number * size : (number + 1) * size].to(samples.labels.device)))
    return [stacked_importances(names, replicas, half, (0, number + 1), of_path) for number, half in enumerate(halves)]
