"""The networks a study can name. Each maps images ``(N, 1, 28, 28)`` in [0, 1] to logits ``(N, K)``.

To add one, write a class whose constructor needs no argument and enter it in :data:`NETWORKS`.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import leaky_relu


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


NETWORKS: dict[str, Callable[[], nn.Module]] = {"mlp": MLP}
