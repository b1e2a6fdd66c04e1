"""A table of small networks for all estimators, including the hard cases of closed forms."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.parametrizations import weight_norm

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
    """Logits in the tens: probabilities near 0 and 1, where rounding must not cancel 1 − p."""
    network = mlp()
    with torch.no_grad():
        network[4].weight *= 20
    return network


def in_place_activation() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.ReLU(inplace=True), nn.Linear(9, CLASSES))


def normalised() -> nn.Module:
    """Dropout and batch normalisation with running statistics, which must be in evaluation mode."""
    network = nn.Sequential(
        nn.Linear(6, 9), nn.BatchNorm1d(9, eps=1e-2), nn.Dropout(0.5), nn.ReLU(), nn.Linear(9, CLASSES)
    )
    network[1].running_mean.normal_()
    network[1].running_var.uniform_(0.5, 2)
    return network


def layer_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.LayerNorm(9, eps=1e-2), nn.GELU(), nn.Linear(9, CLASSES))


def convolution() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 3, 2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(36, CLASSES)
    )


class CalledTwice(nn.Module):
    """A layer called twice in a forward pass: its per-sample gradient is a sum of two outer products."""

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
    """A layer whose weight is also used by a functional call without hooks."""

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


class Lift(nn.Module):
    """A fixed random map from the inputs (N, 6) to tensors (N, *shape), without parameters."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("map", torch.randn(6, torch.Size(shape).numel()) / 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.map).view(-1, *self.shape)


def shaken(network: nn.Module) -> nn.Module:
    """Set running statistics, scales and shifts that affect the output."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
            nn.init.normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias)
    return network


def strided_convolutions() -> nn.Module:
    """Odd strides with a remainder, asymmetric kernels and paddings, dilation."""
    return nn.Sequential(
        Lift(2, 8, 9),
        nn.Conv2d(2, 6, (3, 2), stride=(2, 3), padding=(1, 0)),
        nn.Tanh(),
        nn.Conv2d(6, 3, (2, 3), padding=2, dilation=(3, 2), stride=(1, 2)),
        nn.Flatten(),
        nn.Linear(30, CLASSES),
    )


def padding_by_name() -> nn.Module:
    """'same' with an even kernel pads one side more than the other."""
    return nn.Sequential(
        Lift(2, 5, 6),
        nn.Conv2d(2, 3, (2, 4), padding="same", dilation=(3, 1)),
        nn.Tanh(),
        nn.Conv2d(3, 2, 2, padding="valid", bias=False),
        nn.Flatten(),
        nn.Linear(40, CLASSES),
    )


def circular_padding() -> nn.Module:
    return nn.Sequential(
        Lift(2, 5, 4),
        nn.Conv2d(2, 3, (3, 2), padding=(2, 1), padding_mode="circular"),
        nn.Tanh(),
        nn.Conv2d(3, 2, 3, padding="same", padding_mode="reflect"),
        nn.Flatten(),
        nn.Linear(70, CLASSES),
    )


def grouped_convolutions() -> nn.Module:
    """Groups, depthwise with several outputs per input, and a kernel as large as its image (a single position)."""
    return nn.Sequential(
        Lift(4, 6, 5),
        nn.Conv2d(4, 6, 3, groups=2, padding=1, stride=2),
        nn.Tanh(),
        nn.Conv2d(6, 12, 2, groups=6, bias=False),
        nn.Tanh(),
        nn.Conv2d(12, 8, 2, groups=4),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )


def convolutional() -> nn.Module:
    """The paper's convolutional network, small, with activations in place."""
    return shaken(
        nn.Sequential(
            Lift(1, 9, 9),
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4, eps=1e-2),
            nn.LeakyReLU(0.01, inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 2, bias=False),
            nn.BatchNorm2d(6),
            nn.LeakyReLU(0.01, inplace=True),
            nn.Flatten(),
            nn.Linear(24, CLASSES),
        )
    )


def group_norm() -> nn.Module:
    """Group normalisation of images and, at a single position, of vectors."""
    return shaken(
        nn.Sequential(
            Lift(2, 4, 3),
            nn.Conv2d(2, 6, 2),
            nn.GroupNorm(3, 6, eps=1e-2),
            nn.GELU(),
            nn.Flatten(),
            nn.GroupNorm(2, 36),
            nn.Linear(36, CLASSES),
        )
    )


def layer_norm_of_sequences() -> nn.Module:
    """Layer normalisation of each step of two sequences, without bias, then of each sequence as a whole."""
    return shaken(
        nn.Sequential(
            Lift(2, 5, 3),
            nn.Linear(3, 4),
            nn.LayerNorm(4, bias=False),
            nn.Tanh(),
            nn.LayerNorm((5, 4)),
            nn.Flatten(),
            nn.Linear(40, CLASSES),
        )
    )


def batch_norm_of_sequences() -> nn.Module:
    return shaken(
        nn.Sequential(
            Lift(3, 5), nn.BatchNorm1d(3), nn.Linear(5, 4), nn.Tanh(), nn.Flatten(), nn.Linear(12, CLASSES, bias=False)
        )
    )


def parametrised() -> nn.Module:
    """A linear layer whose weight is computed from other parameters."""
    return nn.Sequential(weight_norm(nn.Linear(6, 5)), nn.Tanh(), nn.Linear(5, CLASSES))


class ConvolutionCalledTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lift = Lift(2, 4, 4)
        self.layer = nn.Conv2d(2, 2, 3, padding=1)
        self.norm = shaken(nn.BatchNorm2d(2))
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.layer(self.lift(x)))
        return self.head(self.norm(self.layer(x)).flatten(1))


class Residual(nn.Module):
    """Two paths that meet: an in-place sum, and a shortcut with its own convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = Lift(2, 5, 5)
        self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.norm = shaken(nn.BatchNorm2d(4))
        self.shortcut = nn.Conv2d(2, 4, 1, stride=2)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lift(x)
        y = self.norm(self.first(x))
        y += self.shortcut(x)
        return self.head(y.relu_().mean((2, 3)))


class Attention(nn.Module):
    """Linear layers on sequences whose outputs meet in products."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = Lift(3, 4)
        self.query, self.key, self.value = nn.Linear(4, 4), nn.Linear(4, 4, bias=False), nn.Linear(4, 5)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lift(x)
        attention = torch.softmax(self.query(x) @ self.key(x).transpose(1, 2), 2)
        return self.head(torch.tanh(attention @ self.value(x)).sum(1))


class SequenceFirst(nn.Module):
    """A linear layer on (T, N, D) with T = N: its first axis is not that of samples."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = Lift(SAMPLES, 3)
        self.layer = nn.Linear(3, 5)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.layer(self.lift(x).transpose(0, 1))).sum(0))


class OtherOrder(nn.Module):
    """A layer on the samples in reverse order."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 5)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.layer(x.flip(0))).flip(0))


class NormalisedVector(nn.Module):
    """A network for training on 4 × 4 images: batch normalisation without a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(16, 12)
        self.norm = nn.BatchNorm1d(12, eps=1e-2)
        self.fc2 = nn.Linear(12, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc2(torch.tanh(self.norm(self.fc1(images.flatten(1)))))


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
    strided_convolutions,
    padding_by_name,
    circular_padding,
    grouped_convolutions,
    convolutional,
    group_norm,
    layer_norm_of_sequences,
    batch_norm_of_sequences,
    parametrised,
    ConvolutionCalledTwice,
    Residual,
    Attention,
    SequenceFirst,
    OtherOrder,
]


def make(build: Callable[[], nn.Module], seed: int, dtype: torch.dtype) -> tuple[nn.Module, Tensor, Tensor]:
    """A seeded network with ``(inputs (N, 6), labels (N,))``; the values are the same in every dtype."""
    torch.manual_seed(seed)
    network = build()
    inputs = torch.randn(SAMPLES, 6)
    inputs[:, 2] = 0
    labels = torch.randint(CLASSES, (SAMPLES,))
    return network.to(dtype), inputs.to(dtype), labels
