"""One table of small networks for all estimators: plain ones, and every trap that a closed form could fall into."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

SAMPLES = 7
CLASSES = 4


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 9), nn.LeakyReLU(0.01), nn.Linear(9, 5), nn.LeakyReLU(0.01), nn.Linear(5, CLASSES)
    )


def mlp_without_bias() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9, bias=False), nn.Tanh(), nn.Linear(9, CLASSES, bias=False))


def single_layer() -> nn.Module:
    return nn.Linear(6, CLASSES)


def confident() -> nn.Module:
    """Logits in the tens: probabilities next to 0 and 1, where 1 − p must not be lost to rounding."""
    network = mlp()
    with torch.no_grad():
        network[4].weight *= 20
    return network


def in_place_activation() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.ReLU(inplace=True), nn.Linear(9, CLASSES))


def normalised() -> nn.Module:
    """Dropout and batch normalisation, which must be in evaluation mode, with running statistics that matter."""
    network = nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Dropout(0.5), nn.ReLU(), nn.Linear(9, CLASSES))
    network[1].running_mean.normal_()
    network[1].running_var.uniform_(0.5, 2)
    return network


def layer_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.LayerNorm(9), nn.GELU(), nn.Linear(9, CLASSES))


def convolution() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 3, 2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(36, CLASSES)
    )


class CalledTwice(nn.Module):
    """The same layer twice in one forward: its per-sample gradient is a sum of two outer products."""

    def __init__(self) -> None:
        super().__init__()
        self.square = nn.Linear(6, 6)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.square(torch.tanh(self.square(x))))


class Tied(nn.Module):
    """Two layers that share one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(torch.tanh(self.first(x))))


class UsedOutside(nn.Module):
    """A layer whose weight is also used by a functional call that no hook sees."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.layer(x)) + linear(x, self.layer.weight.T))


class Sequences(nn.Module):
    """A linear layer on (N, T, D): the per-sample gradient is a sum over T."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 5)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.layer(x.view(-1, 2, 3))).sum(1))


class BareParameter(nn.Module):
    """Parameters outside any layer, one of them unused."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(6))
        self.unused = nn.Parameter(torch.rand(2))
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x * self.scale)


NETWORKS: list[Callable[[], nn.Module]] = [
    mlp,
    mlp_without_bias,
    single_layer,
    confident,
    in_place_activation,
    normalised,
    layer_norm,
    convolution,
    CalledTwice,
    Tied,
    UsedOutside,
    Sequences,
    BareParameter,
]


def make(build: Callable[[], nn.Module], seed: int, dtype: torch.dtype) -> tuple[nn.Module, Tensor, Tensor]:
    """A seeded network with ``(inputs (N, 6), labels (N,))``; the values are the same in every dtype."""
    torch.manual_seed(seed)
    network = build()
    inputs = torch.randn(SAMPLES, 6)
    inputs[:, 2] = 0
    labels = torch.randint(CLASSES, (SAMPLES,))
    return network.to(dtype), inputs.to(dtype), labels
