"""The machine's floor: the fastest single-precision matrix product it does, and how many operations the work needs.

Nothing that computes importances or trains a network can be faster than its matrix products.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from speed.table import Row
from speed.timing import Contestant, Effort, rates

PRODUCTS = {
    "1000×784 by 784×300": (1, 1000, 784, 300),
    "300×1000 by 1000×784": (1, 300, 1000, 784),
    "16 × 100×784 by 784×300": (16, 100, 784, 300),
    "32 × 256×1152 by 1152×64": (32, 256, 1152, 64),
    "2048×2048 by 2048×2048": (1, 2048, 2048, 2048),
}
"""Name → (B, M, K, N) of B products of M × K by K × N: forward pass, moments and training of the fully connected
network, a convolution, and a large square."""

SMALL_PRODUCTS = {"64×784 by 784×300": (1, 64, 784, 300)}


class Product:
    """A matrix product into memory that is there already.

    Args:
        shape: (B, M, K, N).
        device: to compute on.
    """

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        batch, rows, inner, columns = shape
        generator = torch.Generator().manual_seed(0)
        self.left = torch.randn(batch, rows, inner, generator=generator).to(device)
        self.right = torch.randn(batch, inner, columns, generator=generator).to(device)
        if batch == 1:
            self.left, self.right = self.left[0], self.right[0]
        self.result = self.left @ self.right
        self.flops = 2.0 * batch * rows * inner * columns

    def __call__(self) -> Tensor:
        return torch.matmul(self.left, self.right, out=self.result)

    def error(self) -> float:
        """Of the result, relative to the product in float64 (Frobenius norms)."""
        truth = self.left.double() @ self.right.double()
        return ((self().double() - truth).norm() / truth.norm()).item()


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Matrix products in one of torch's precisions."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def measure(products: dict[str, tuple[int, int, int, int]], device: torch.device, effort: Effort) -> list[Row]:
    """Rates of the products in torch's default precision and, to be looked at only, in "medium".

    Only what keeps the precision may be called equal work, so the error of each is told.
    """
    errors: dict[str, float] = {}
    contestants = []
    for name, shape in products.items():
        product = Product(shape, device)
        for setting in ("highest", "medium"):
            with precision(setting):
                errors[f"{name}/{setting}"] = product.error()
            contestants.append(Contestant(f"{name}/{setting}", _in_precision(setting, product), product.flops))
    found = rates(contestants, effort)
    rows = []
    for key, measured in found.items():
        name, _, setting = key.rpartition("/")
        rows.append(
            Row(
                "floor", "none", name, setting, measured, "FLOP/s", error=errors[key],
                ratio=measured.median / found[f"{name}/highest"].median,
            )
        )  # fmt: skip
    return rows


def best(rows: list[Row]) -> str:
    """The name of the product that is fastest in default precision."""
    return max((row for row in rows if row.who == "highest"), key=lambda row: row.measured.median).what


def _in_precision(setting: str, product: Product):
    def run() -> None:
        with precision(setting):
            product()

    return run


def multiply_adds(network: nn.Module, sample: Tensor) -> list[tuple[int, int]]:
    """Per linear and convolutional layer, in the order of execution: (multiply-adds for one sample, positions).

    Args:
        network: any module.
        sample: inputs ``(1, ...)``.
    """
    found: list[tuple[int, int]] = []

    def note(module: nn.Module, args: tuple, output: Tensor) -> None:
        positions = output.numel() // module.weight.shape[0]
        found.append((module.weight.numel() * positions, positions))

    handles = [
        module.register_forward_hook(note)
        for module in network.modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
    ]
    with torch.no_grad():
        network.eval()(sample)
    for handle in handles:
        handle.remove()
    return found


def importance_flops(network: nn.Module, sample: Tensor, cotangents: int) -> float:
    """Floating-point operations for one sample's share of a moment importance.

    2 M forward, with M the multiply-adds of all layers; 2 (M − M₁) backward to the layers' outputs for every cotangent,
    M₁ being the first layer's, whose input needs no gradient; and the moment product, 2 M_l for every layer: once where
    a weight is used at one position (the factors of all cotangents are summed first), once per cotangent elsewhere.
    """
    layers = multiply_adds(network, sample)
    total = sum(count for count, _ in layers)
    products = sum(count * (1 if positions == 1 else cotangents) for count, positions in layers)
    return 2.0 * (total + cotangents * (total - layers[0][0]) + products)


def training_flops(network: nn.Module, sample: Tensor) -> float:
    """Floating-point operations of training for one sample: forward, and backward to layers' outputs and to weights."""
    return importance_flops(network, sample, 1)
