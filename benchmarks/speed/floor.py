"""The machine's floor: its fastest single-precision matrix product, and the operations that each task needs.

Nothing that computes importances or trains a network can be faster than its matrix products.
"""

import torch
from torch import Tensor, nn

from speed.table import Row
from speed.timing import Contestant, Effort, rates
from weight_importance.runtime.device import ACCEPTED, product_error

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
    """A matrix product into preallocated memory.

    Args:
        shape: (B, M, K, N).
        device: to compute on.
        setting: torch's precision of matrix products.
    """

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device, setting: str) -> None:
        self._setting = setting
        batch, rows, inner, columns = shape
        generator = torch.Generator().manual_seed(0)
        self.left = torch.randn(batch, rows, inner, generator=generator).to(device)
        self.right = torch.randn(batch, inner, columns, generator=generator).to(device)
        if batch == 1:
            self.left, self.right = self.left[0], self.right[0]
        self.result = self.left @ self.right
        self.flops = 2.0 * batch * rows * inner * columns

    def __call__(self) -> Tensor:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(self._setting)
        torch.matmul(self.left, self.right, out=self.result)
        torch.set_float32_matmul_precision(before)
        return self.result

    def error(self) -> float:
        """Error of the result relative to the product in float64 (Frobenius norms)."""
        return product_error(self._setting, self.left, self.right)


def measure(products: dict[str, tuple[int, int, int, int]], device: torch.device, effort: Effort) -> list[Row]:
    """Rates of the products in torch's default precision and in "medium", with the error of each.

    Only products with full precision are equal work and may be the floor.
    """
    errors: dict[str, float] = {}
    contestants = []
    for name, shape in products.items():
        for setting in ("highest", "medium"):
            product = Product(shape, device, setting)
            errors[f"{name}/{setting}"] = product.error()
            contestants.append(Contestant(f"{name}/{setting}", product, product.flops))
    measured_rates = rates(contestants, effort)
    rows = []
    for key, measured in measured_rates.items():
        name, _, setting = key.rpartition("/")
        rows.append(
            Row(
                "floor", "none", name, setting, measured, "FLOP/s", error=errors[key],
                ratio=measured.median / measured_rates[f"{name}/highest"].median,
            )
        )  # fmt: skip
    return rows


def best(rows: list[Row]) -> tuple[str, str]:
    """Name and precision of the fastest product with full accuracy."""
    exact = {row.what: row.error for row in rows if row.who == "highest"}
    accurate = [row for row in rows if row.error <= ACCEPTED * exact[row.what]]
    fastest = max(accurate, key=lambda row: row.measured.median)
    return fastest.what, fastest.who


def multiply_adds(network: nn.Module, sample: Tensor) -> list[tuple[int, int]]:
    """Per linear and convolutional layer, in the order of execution: (multiply-adds for one sample, positions).

    Args:
        network: any module.
        sample: inputs ``(1, ...)``.
    """
    layers: list[tuple[int, int]] = []

    def note(module: nn.Module, args: tuple, output: Tensor) -> None:
        positions = output.numel() // module.weight.shape[0]
        layers.append((module.weight.numel() * positions, positions))

    handles = [
        module.register_forward_hook(note)
        for module in network.modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
    ]
    with torch.no_grad():
        network.eval()(sample)
    for handle in handles:
        handle.remove()
    return layers


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
