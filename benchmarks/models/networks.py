"""Networks of common kinds and sizes, with random weights, and a few random samples for each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from weight_importance.data.sources.mirrors import import_torchvision


@dataclass(frozen=True)
class Case:
    """A network and samples.

    Attributes:
        network: in evaluation mode.
        inputs: ``(N, ...)``.
        labels: ``(N,)``, or ``(N, T)`` for tokens, where −100 is ignored.
    """

    network: nn.Module
    inputs: Tensor
    labels: Tensor


class Block(nn.Module):
    """A layer of a causal transformer, normalised first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.attention(self.first(x)).chunk(3, -1)
        split = [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts]
        x = x + self.out(scaled_dot_product_attention(*split, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.down(gelu(self.up(self.second(x))))


class LanguageModel(nn.Module):
    """A causal transformer like GPT-2, whose embedding is its output layer as well."""

    def __init__(self, vocabulary: int = 16384, width: int = 768, layers: int = 8, length: int = 128) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, 12) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.tokens.weight = self.head.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        return self.head(self.norm(self.blocks(x)))


class Recurrent(nn.Module):
    """A classifier of sequences."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.memory = kind(64, 256, num_layers=2, batch_first=True)
        self.head = nn.Linear(256, 20)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.memory(x)[0][:, -1])


class LowRank(nn.Module):
    """A frozen linear layer with a learnt update of rank eight (LoRA, Hu et al. 2022)."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Linear(layer.in_features, 8, bias=False)
        self.up = nn.Linear(8, layer.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.up(self.down(x))


def _images(network: nn.Module) -> Case:
    return Case(network, torch.randn(16, 3, 224, 224), torch.randint(1000, (16,)))


def _vit() -> nn.Module:
    network = import_torchvision("models").vit_b_16()
    nn.init.normal_(network.heads.head.weight, std=0.02)  # zero at the start
    return network


def _adapted() -> nn.Module:
    """The vision transformer with trainable adapters in its feed-forward layers."""
    network = _vit().requires_grad_(False)
    for block in network.encoder.layers:
        for number in (0, 3):
            block.mlp[number] = LowRank(block.mlp[number])
    return network


def _tokens() -> Case:
    tokens = torch.randint(16384, (16, 128))
    labels = tokens.roll(-1, 1)
    labels[:, -1] = -100
    return Case(LanguageModel(), tokens, labels)


def _sequences(kind: type[nn.RNNBase]) -> Case:
    return Case(Recurrent(kind), torch.randn(1024, 50, 64), torch.randint(20, (1024,)))


CASES: dict[str, Callable[[], Case]] = {
    "ResNet-18": lambda: _images(import_torchvision("models").resnet18()),
    "MobileNetV2": lambda: _images(import_torchvision("models").mobilenet_v2()),
    "ViT-B/16": lambda: _images(_vit()),
    "ViT-B/16, adapters only": lambda: _images(_adapted()),
    "language model": _tokens,
    "LSTM": lambda: _sequences(nn.LSTM),
    "GRU": lambda: _sequences(nn.GRU),
}


def case(name: str) -> Case:
    """The network and samples called ``name``, from a fixed seed."""
    torch.manual_seed(0)
    made: Any = CASES[name]()
    made.network.eval()
    return made
