"""What a finished training leaves besides the weights, as one flat set of named tensors to keep in a file."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AdamState:
    """What Adam remembers: steps taken, and its running means of gradients and of their squares, ``(R, *shape)``."""

    steps: int
    first: Mapping[str, Tensor]
    second: Mapping[str, Tensor]

    def take(self, indices: list[int]) -> "AdamState":
        """The state of the replicas at ``indices``, in that order."""
        first, second = ({name: mean[indices] for name, mean in means.items()} for means in (self.first, self.second))
        return AdamState(self.steps, first, second)


def pack(buffers: Mapping[str, Tensor], adam: AdamState | None) -> dict[str, Tensor]:
    """Entries ``buffer/{name}`` and, with Adam, ``adam/steps``, ``adam/first/{name}``, ``adam/second/{name}``."""
    tensors = {f"buffer/{name}": buffer for name, buffer in buffers.items()}
    if adam:
        tensors["adam/steps"] = torch.tensor(adam.steps)
        tensors |= {f"adam/first/{name}": mean for name, mean in adam.first.items()}
        tensors |= {f"adam/second/{name}": mean for name, mean in adam.second.items()}
    return tensors


def unpack(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], AdamState | None]:
    """The buffers and Adam's state (``None`` where none was kept) that :func:`pack` put together."""

    def under(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    steps = tensors.get("adam/steps")
    adam = None if steps is None else AdamState(int(steps), under("adam/first/"), under("adam/second/"))
    return under("buffer/"), adam


def pack_path(recorded: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Entries ``{record}/{name}``; see :meth:`weight_importance.estimators.path.PathRecorder.recorded`."""
    return {f"{record}/{name}": tensor for record, values in recorded.items() for name, tensor in values.items()}


def unpack_path(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Record → parameter name → value, that :func:`pack_path` put together."""
    recorded: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        record, _, name = key.partition("/")
        recorded.setdefault(record, {})[name] = tensor
    return recorded
