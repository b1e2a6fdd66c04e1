"""The common setting of all contestants: briefly trained networks and real images."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weight_importance.data import catalogue as datasets
from weight_importance.data.image_file import Dataset
from weight_importance.data.samples import Samples, to_inputs
from weight_importance.learning.loop import train
from weight_importance.learning.networks import NETWORKS
from weight_importance.learning.replicas import initialise
from weight_importance.settings import Optimisation

BATCH_SIZE = 100
LEARNING_RATE = 1e-3
OPTIMISATION = Optimisation(batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE)


def images() -> Dataset:
    """The subset of MNIST in the repository."""
    arrays = datasets.fetch("mnist_subset").arrays
    return Dataset(**{role: torch.from_numpy(array) for role, array in arrays.items()})


def training_samples(dataset: Dataset, count: int, device: torch.device) -> Samples:
    """The first ``count`` training images, repeated if there are fewer."""
    order = torch.arange(count) % len(dataset.train_labels)
    return Samples(dataset.train_images[order], dataset.train_labels.long()[order]).to(device)


@dataclass(frozen=True)
class Setting:
    """A network and samples.

    Attributes:
        name: of the network.
        network: briefly trained, in evaluation mode, so that gradients are spread as in real use.
        inputs: ``(N, 1, 28, 28)``.
        labels: ``(N,)``.
    """

    name: str
    network: nn.Module
    inputs: Tensor
    labels: Tensor


def setting(name: str, dataset: Dataset, samples: int, steps: int, device: torch.device) -> Setting:
    """The network called ``name`` after some steps of training, and ``samples`` samples."""
    data = training_samples(dataset, samples, device)
    replicas = initialise(NETWORKS[name], [0], device)
    learnt = training_samples(dataset, steps * BATCH_SIZE, device)
    train(replicas, [learnt], 0, epochs=1, optimisation=OPTIMISATION)
    return Setting(name, copy.deepcopy(replicas.network(0)).eval(), to_inputs(data.images), data.labels)
