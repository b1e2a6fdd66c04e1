"""A trained stack of networks as one object, and its files.

``NAME.safetensors`` holds the weights, ``NAME.state.safetensors`` buffers and Adam's state, and
``NAME.path.safetensors`` the record of the optimiser's path.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from weight_importance.files.provenance import identity, metadata
from weight_importance.files.storage import load_tensors, save_tensors

FILES = "NAME.safetensors, the weights; NAME.state.safetensors and NAME.path.safetensors belong to it"
"""Help text for the files of a trained stack; the command line names the first."""

Recorded = Mapping[str, Mapping[str, Tensor]]
"""Record → parameter name → value; see :meth:`weight_importance.estimators.path.PathRecorder.recorded`."""


@dataclass(frozen=True)
class AdamState:
    """Adam's state: steps taken, and running means of gradients and squared gradients, ``(R, *shape)``."""

    steps: int
    first: Mapping[str, Tensor]
    second: Mapping[str, Tensor]

    def take(self, indices: Sequence[int]) -> "AdamState":
        """Select the replicas at ``indices``, in that order."""
        first, second = (
            {name: mean[list(indices)] for name, mean in means.items()} for means in (self.first, self.second)
        )
        return AdamState(self.steps, first, second)


@dataclass(frozen=True)
class Trained:
    """A trained stack, tensors ``(R, *shape)``; ``adam`` is ``None`` if not kept."""

    seeds: Sequence[int]
    parameters: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    adam: AdamState | None


def file_names(weights: Path) -> dict[str, Path]:
    """Files of a trained stack, by key: ``baseline`` (weights), ``baseline state``, ``baseline path``."""
    stem = weights.name.removesuffix(".safetensors")
    endings = {"baseline": "", "baseline state": ".state", "baseline path": ".path"}
    return {name: weights.with_name(f"{stem}{ending}.safetensors") for name, ending in endings.items()}


def write(weights: Path, trained: Trained, recorded: Recorded, settings: Mapping) -> None:
    """Write a trained stack and the record of its path.

    Args:
        weights: file of the weights, which determines the names of the other two.
        trained: the stack.
        recorded: record of its path.
        settings: training settings, for the metadata.
    """
    parts = {
        "baseline": trained.parameters,
        "baseline state": pack(trained.buffers, trained.adam),
        "baseline path": pack_path(recorded),
    }
    for name, file in file_names(weights).items():
        save_tensors(file, parts[name], metadata(name, settings, trained.seeds))


def read(weights: Path, seeds: Sequence[int]) -> Trained:
    """Read the trained stack of these seeds.

    Raises:
        UserError: a file is missing or damaged, or has other seeds.
    """
    parameters, state = (_read(weights, name, seeds) for name in ("baseline", "baseline state"))
    return Trained(seeds, parameters, *unpack(state))


def read_path(weights: Path, seeds: Sequence[int]) -> dict[str, dict[str, Tensor]]:
    """Read the record of a trained stack's path.

    Raises:
        UserError: the file is missing or damaged, or has other seeds.
    """
    return unpack_path(_read(weights, "baseline path", seeds))


def _read(weights: Path, name: str, seeds: Sequence[int]) -> dict[str, Tensor]:
    return load_tensors(file_names(weights)[name], **identity(name, seeds))[0]


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Select the tensors under ``prefix/`` and strip the prefix."""
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def pack(buffers: Mapping[str, Tensor], adam: AdamState | None) -> dict[str, Tensor]:
    """Entries ``buffer/{name}`` and, with Adam, ``adam/steps``, ``adam/first/{name}``, ``adam/second/{name}``."""
    tensors = {f"buffer/{name}": buffer for name, buffer in buffers.items()}
    if adam:
        tensors["adam/steps"] = torch.tensor(adam.steps)
        tensors |= {f"adam/first/{name}": mean for name, mean in adam.first.items()}
        tensors |= {f"adam/second/{name}": mean for name, mean in adam.second.items()}
    return tensors


def unpack(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], AdamState | None]:
    """Extract the buffers and Adam's state (``None`` if not kept) from the result of :func:`pack`."""
    steps = tensors.get("adam/steps")
    adam = None if steps is None else AdamState(int(steps), under("adam/first", tensors), under("adam/second", tensors))
    return under("buffer", tensors), adam


def pack_path(recorded: Recorded) -> dict[str, Tensor]:
    """Entries ``{record}/{name}``."""
    return {f"{record}/{name}": tensor for record, values in recorded.items() for name, tensor in values.items()}


def unpack_path(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Record → parameter name → value, from the result of :func:`pack_path`."""
    return {record: under(record, tensors) for record in dict.fromkeys(name.partition("/")[0] for name in tensors)}
