"""Accuracy and confidence of a stack of replicas."""

from collections.abc import Sequence

import torch
from torch.func import functional_call

from weight_importance.data.samples import Samples, to_inputs
from weight_importance.estimators.engine.layers import (
    PROBE,
    bound_factor,
    evaluation_mode,
    recorded_bytes,
    samples_per_pass,
)
from weight_importance.learning.replicas import Replicas, channels_last

CHUNK = 1000
"""Maximum number of images per pass on a CPU."""

CONFIDENCE = ("max_probability", "runner_up")


def accuracy(replicas: Replicas, data: Sequence[Samples]) -> list[float]:
    """Compute each replica's accuracy on its samples; ``nan`` for a replica with non-finite weights.

    Replicas run sequentially, so that a replica's accuracy does not depend on the rest of its shard, even by rounding.

    Args:
        replicas: the stack.
        data: samples of each replica; replicas with the same samples share one object.
    """
    values = [float("nan")] * len(replicas)
    finite = replicas.finite().tolist()
    for samples in dict.fromkeys(data):
        chosen = [replica for replica, own in enumerate(data) if own is samples and finite[replica]]
        for replica, count in zip(chosen, _correct(replicas, chosen, samples), strict=True):
            values[replica] = count / len(samples)
    return values


@torch.no_grad()
def _correct(replicas: Replicas, chosen: Sequence[int], data: Samples) -> list[int]:
    """Count the samples that each chosen replica classifies correctly."""
    network, images = replicas.template.eval(), data.images
    recorded = recorded_bytes(network, to_inputs(images[:PROBE]))
    chunk = min(CHUNK * bound_factor(images.device), samples_per_pass(recorded, images.device))
    correct = torch.zeros(len(chosen), dtype=torch.long, device=data.labels.device)
    states = [replicas.state(replica) for replica in chosen]
    for part, labels in zip(images.split(chunk), data.labels.split(chunk), strict=True):
        inputs = channels_last(to_inputs(part))
        for place, state in enumerate(states):
            correct[place] += (functional_call(network, state, (inputs,)).argmax(1) == labels).sum()
    return correct.tolist()


@torch.no_grad()
def confidence(replicas: Replicas, data: Sequence[Samples]) -> dict[str, list[float]]:
    """Compute the mean probability of the most probable class and of the runner-up, named as in :data:`CONFIDENCE`.

    Args:
        replicas: the stack; at least two logits.
        data: samples of each replica.

    Returns:
        name → value of each replica.
    """
    means = []
    for replica, samples in enumerate(data):
        network = replicas.network(replica)
        with evaluation_mode(network):
            parts = to_inputs(samples.images).split(CHUNK)
            top = torch.cat([network(part).double().softmax(1).topk(2, 1).values for part in parts])
        means.append(top.mean(0).tolist())
    return {name: [mean[place] for mean in means] for place, name in enumerate(CONFIDENCE)}
