"""Accuracies of a stack of replicas."""

import torch
from torch.func import functional_call

from weight_importance.estimators.layers import PROBE, recorded_bytes, samples_per_pass
from weight_importance.replicas import Replicas, channels_last
from weight_importance.tasks import Split, to_inputs


@torch.no_grad()
def accuracy(replicas: Replicas, data: Split) -> list[float]:
    """Each replica's accuracy on the images; ``nan`` for a replica whose weights are not finite.

    Replicas run one after another, so that a replica's accuracy cannot depend on its shard-mates even by rounding.
    """
    network = replicas.template.eval()
    chunk = samples_per_pass(recorded_bytes(network, to_inputs(data.images[:PROBE])), data.images.device)
    correct = torch.zeros(len(replicas), dtype=torch.long, device=data.labels.device)
    states = [replicas.state(replica) for replica in range(len(replicas))]
    for images, labels in zip(data.images.split(chunk), data.labels.split(chunk), strict=True):
        inputs = channels_last(to_inputs(images))
        for replica, state in enumerate(states):
            correct[replica] += (functional_call(network, state, (inputs,)).argmax(1) == labels).sum()
    finite = replicas.finite().tolist()
    return [count / len(data) if whole else float("nan") for count, whole in zip(correct.tolist(), finite, strict=True)]
