"""The two small networks and the batches of the audit, in float64."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

CLASSES = 4
SAMPLES = 20
BATCH = 8
"""The last batch has four samples."""


@dataclass(frozen=True)
class Case:
    """A network with samples of its inputs ``(N, ...)`` and labels ``(N,)``."""

    network: nn.Sequential
    inputs: Tensor
    labels: Tensor
    batch: int = BATCH

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        return [*zip(self.inputs.split(self.batch), self.labels.split(self.batch), strict=True)]


def fully_connected() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, CLASSES))


def convolutional() -> nn.Sequential:
    """The second convolution has few positions: more weights than numbers in inputs and outputs of its patches."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Conv2d(6, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, CLASSES)
    )


NETWORKS = {"fully connected": (fully_connected, (6,)), "convolutional": (convolutional, (1, 6, 6))}


def case(network: str, batch: int = BATCH, samples: int = SAMPLES) -> Case:
    """A network whose predictions are neither uniform nor certain, with random inputs and labels."""
    build, shape = NETWORKS[network]
    generator = torch.Generator().manual_seed(0)
    made = build().double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            scale = 1.5 / (parameter[0].numel() ** 0.5) if parameter.ndim > 1 else 0.3
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    inputs = torch.randn(samples, *shape, generator=generator, dtype=torch.float64)
    return Case(made, inputs, torch.randint(CLASSES, (samples,), generator=generator), batch)
