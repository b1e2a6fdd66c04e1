"""Networks for studies. Each maps images ``(N, channels, height, width)`` in [0, 1] to logits ``(N, K)``.

To add one, write a class whose constructor takes the image shape and the number of classes, and register it in
:data:`NETWORKS`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, max_pool2d, relu

from weight_importance.estimators.weights import is_weight
from weight_importance.files.tables import is_weight_tensor
from weight_importance.runtime.errors import UserError, unknown_name

if TYPE_CHECKING:
    from weight_importance.settings import Inputs, Network

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""

GREY_28 = (1, 28, 28)
"""Shape of an MNIST image."""


def leaky(inputs: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.01."""
    return leaky_relu(inputs, 0.01)


class MLP(nn.Module):
    """A fully connected network; by default 784-300-150-10 with leaky ReLU, as in Kutalev and Lapina (2021).

    Args:
        shape: image shape.
        classes: number of logits.
        hidden: units of each hidden layer.
        activation: activation after each hidden layer.
    """

    def __init__(
        self,
        shape: Shape = GREY_28,
        classes: int = 10,
        hidden: Sequence[int] = (300, 150),
        activation: Callable[[Tensor], Tensor] = leaky,
    ) -> None:
        super().__init__()
        self._activation = activation
        sizes = [prod(shape), *hidden, classes]
        for number, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
            self.add_module(f"fc{number}", nn.Linear(inputs, outputs))

    def forward(self, images: Tensor) -> Tensor:
        *layers, last = self.children()
        values = images.flatten(1)
        for layer in layers:
            values = self._activation(layer(values))
        return last(values)


WideMLP = partial(MLP, hidden=(2000, 2000), activation=relu)
"""The fully connected network 784-2000-2000-10 with ReLU of Zenke et al. (2017) and Benzing (2022)."""


class CNN(nn.Module):
    """The convolutional network of Kutalev and Lapina (2021): three convolutions with batch normalisation, one head.

    Convolution 5×5 (64), max-pooling 2×2, convolutions 3×3 (128) and 3×3 (256), linear (16384 → 10 for MNIST), all
    without padding; batch normalisation and leaky ReLU follow each convolution, before pooling.

    Args:
        shape: image shape.
        classes: number of logits.
    """

    def __init__(self, shape: Shape = GREY_28, classes: int = 10) -> None:
        super().__init__()
        channels, *size = shape
        height, width = ((side - 4) // 2 - 4 for side in size)
        if height < 1 or width < 1:
            raise UserError(f"the network 'cnn' needs images of at least 14 × 14 pixels, found {size[0]} × {size[1]}")
        self.conv1 = nn.Conv2d(channels, 64, 5)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 128, 3)
        self.bn2 = nn.BatchNorm2d(128)
        self.conv3 = nn.Conv2d(128, 256, 3)
        self.bn3 = nn.BatchNorm2d(256)
        self.fc = nn.Linear(256 * height * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = max_pool2d(leaky(self.bn1(self.conv1(images))), 2)
        hidden = leaky(self.bn2(self.conv2(hidden)))
        hidden = leaky(self.bn3(self.conv3(hidden)))
        return self.fc(hidden.flatten(1))


NETWORKS: dict[str, Callable[[Shape, int], nn.Module]] = {"mlp": MLP, "mlp_wide": WideMLP, "cnn": CNN}


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": relu, "leaky_relu": leaky, "tanh": torch.tanh}
"""Activations of fully connected networks."""


def network(
    architecture: "Network", shape: Shape, classes: int, inputs: "Inputs | None" = None
) -> Callable[[], nn.Module]:
    """Return a function that builds a network with new weights.

    Args:
        architecture: a name in :data:`NETWORKS`, or the settings of a fully connected network.
        shape: image shape.
        classes: number of logits.
        inputs: mean and standard deviation for the normalisation of images.

    Raises:
        UserError: unknown network; or, when it is built, a misleading parameter name.
    """
    build: Callable[[], nn.Module]
    if isinstance(architecture, str):
        if architecture not in NETWORKS:
            raise unknown_name("network", architecture, NETWORKS)
        build = partial(NETWORKS[architecture], shape, classes)
    else:
        build = partial(MLP, shape, classes, architecture.hidden, ACTIVATIONS[architecture.activation])
    named = partial(_named, build)
    return named if inputs is None or (inputs.mean, inputs.sd) == (0, 1) else partial(_normalising, named, inputs)


def _named(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network, and check that parameter names identify weight tensors, as tables require."""
    built = build()
    for name, parameter in built.named_parameters():
        if is_weight_tensor(name) != is_weight(parameter):
            raise UserError(
                f"the network's parameter '{name}' has {parameter.ndim} dimension(s), which does not fit its name: "
                "call weights of two or more dimensions LAYER.weight, and put 'bn' or 'norm' into the names of "
                "normalisation layers"
            )
    return built


def _normalising(build: Callable[[], nn.Module], inputs: "Inputs") -> nn.Module:
    """Build a network that standardises its inputs, without further parameters."""
    built = build()
    built.register_forward_pre_hook(partial(_normalised, mean=inputs.mean, sd=inputs.sd))
    return built


def _normalised(network: nn.Module, arguments: tuple[Tensor, ...], mean: float, sd: float) -> tuple[Tensor, ...]:
    images, *others = arguments
    return (images - mean) / sd, *others
