"""The networks a study can name. Each maps images ``(N, 1, 28, 28)`` in [0, 1] to logits ``(N, K)``.

To add one, write a class whose constructor needs no argument and enter it in :data:`NETWORKS`.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import leaky_relu, max_pool2d, relu

from weight_importance.runtime.errors import unknown_name


class MLP(nn.Module):
    """The fully connected network 784-300-150-10 with leaky ReLU (slope 0.01) of Kutalev and Lapina (2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 300)
        self.fc2 = nn.Linear(300, 150)
        self.fc3 = nn.Linear(150, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = leaky_relu(self.fc1(images.flatten(1)), 0.01)
        hidden = leaky_relu(self.fc2(hidden), 0.01)
        return self.fc3(hidden)


class WideMLP(nn.Module):
    """The fully connected network 784-2000-2000-10 with ReLU of Zenke et al. (2017) and Benzing (2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 2000)
        self.fc2 = nn.Linear(2000, 2000)
        self.fc3 = nn.Linear(2000, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = relu(self.fc1(images.flatten(1)))
        hidden = relu(self.fc2(hidden))
        return self.fc3(hidden)


class CNN(nn.Module):
    """The convolutional network of Kutalev and Lapina (2021): three convolutions with batch normalisation, one head.

    Convolution 5×5 (64), max-pooling 2×2, convolutions 3×3 (128) and 3×3 (256), linear (16384 → 10), all without
    padding; each convolution is followed by batch normalisation and leaky ReLU (slope 0.01), the pooling comes after.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 5)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 128, 3)
        self.bn2 = nn.BatchNorm2d(128)
        self.conv3 = nn.Conv2d(128, 256, 3)
        self.bn3 = nn.BatchNorm2d(256)
        self.fc = nn.Linear(256 * 8 * 8, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = max_pool2d(leaky_relu(self.bn1(self.conv1(images)), 0.01), 2)
        hidden = leaky_relu(self.bn2(self.conv2(hidden)), 0.01)
        hidden = leaky_relu(self.bn3(self.conv3(hidden)), 0.01)
        return self.fc(hidden.flatten(1))


NETWORKS: dict[str, Callable[[], nn.Module]] = {"mlp": MLP, "mlp_wide": WideMLP, "cnn": CNN}


def network(name: str) -> Callable[[], nn.Module]:
    """What builds the network called ``name``.

    Raises:
        UserError: there is none.
    """
    if name not in NETWORKS:
        raise unknown_name("network", name, NETWORKS)
    return NETWORKS[name]
