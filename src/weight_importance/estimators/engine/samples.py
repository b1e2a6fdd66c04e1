"""Samples from users' data in one form: a batch of inputs and optional labels. Knows no network.

Inputs are a tensor, a tuple (positional arguments) or a dictionary of tensors (keyword arguments). Tensors whose first
axis is as long as the batch have one row per sample; all samples share everything else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from weight_importance.runtime.errors import UserError

HALVES = (torch.float16, torch.bfloat16)
"""Precisions not used for computation: squared gradients underflow or lose digits."""

LABELS = "labels"
"""Key of the labels in a dictionary batch."""

BATCH = 100
"""Samples per batch of a data set passed without a loader."""


@dataclass(frozen=True)
class Samples:
    """A batch.

    Attributes:
        inputs: ``(N, ...)``, or a tuple or dictionary with such tensors.
        labels: ``(N, ...)`` integers, or ``None``.
        size: N.
    """

    inputs: Any
    labels: Tensor | None
    size: int

    def __len__(self) -> int:
        return self.size

    def take(self, indices: slice | Tensor) -> "Samples":
        """Select samples by a slice or by their indices."""
        labels = None if self.labels is None else self.labels[indices]
        size = len(range(self.size)[indices]) if isinstance(indices, slice) else len(indices)
        return Samples(self._each(lambda tensor: tensor[indices]), labels, size)

    def twice(self) -> "Samples":
        """Concatenate the samples with themselves."""
        labels = None if self.labels is None else torch.cat([self.labels, self.labels])
        return Samples(self._each(lambda tensor: torch.cat([tensor, tensor])), labels, 2 * self.size)

    def prepared(self, device: torch.device, whole: bool) -> "Samples":
        """Return detached samples on a device; ``whole`` converts half to single precision."""

        def ready(tensor: Tensor) -> Tensor:
            tensor = tensor.detach().to(device)
            if tensor.is_inference():
                tensor = tensor.clone()
            return tensor.float() if whole and tensor.dtype in HALVES else tensor

        labels = None if self.labels is None else ready(self.labels)
        return Samples(mapped(self.inputs, ready), labels, self.size)

    def in_double(self) -> "Samples":
        """Return the samples with floating-point inputs in double precision."""
        return Samples(mapped(self.inputs, _double), self.labels, self.size)

    def copied(self) -> "Samples":
        """Return a copy whose inputs share no memory with the original."""
        return Samples(mapped(self.inputs, torch.clone), self.labels, self.size)

    def has_row_per_sample(self, tensor: Tensor) -> bool:
        """Whether an input tensor has one row per sample."""
        return tensor.ndim > 0 and len(tensor) == self.size

    def _each(self, change: Callable[[Tensor], Tensor]) -> Any:
        return mapped(self.inputs, lambda tensor: change(tensor) if self.has_row_per_sample(tensor) else tensor)


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def mapped(inputs: Any, change: Callable[[Tensor], Any]) -> Any:
    """Apply a function to every tensor of the inputs."""
    if isinstance(inputs, Tensor):
        return change(inputs)
    if isinstance(inputs, Mapping):
        return {key: mapped(value, change) for key, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(mapped(value, change) for value in inputs)
    return inputs


def tensors(inputs: Any) -> list[Tensor]:
    """List all tensors of the inputs, in order."""
    leaves: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        leaves.append(tensor)
        return tensor

    mapped(inputs, note)
    return leaves


def batch(data: Any, labels: Tensor | None = None) -> Samples:
    """Convert a user's batch: inputs, ``(inputs, labels)``, or a dictionary that may contain ``labels``.

    Args:
        data: the batch.
        labels: labels, unless the batch contains them.

    Raises:
        UserError: the batch is something else, or empty.
    """
    inputs = _of_numpy(data)
    if isinstance(inputs, list | tuple) and labels is None and len(inputs) == 2 and _is_labelled(inputs):
        inputs, labels = inputs
    if isinstance(inputs, Mapping):
        inputs = dict(inputs)
        labels = inputs.pop(LABELS, None) if labels is None else labels
    inputs = tuple(inputs) if isinstance(inputs, list) else inputs
    leaves = [tensor for tensor in tensors(inputs) if tensor.ndim]
    if not leaves:
        raise UserError(
            f"a batch is a tensor, a pair (inputs, labels) or a dictionary of tensors; found {type(data).__name__}. "
            "Let the data set or the loader's collate_fn return one of these."
        )
    if labels is not None and not isinstance(labels, Tensor):
        labels = torch.as_tensor(labels)
    if len(leaves[0]) == 0:
        raise UserError("an importance needs at least one sample; the inputs are empty")
    return Samples(inputs, labels, len(leaves[0]))


def _is_labelled(pair: Sequence) -> bool:
    """Whether a pair is (inputs, labels) rather than two inputs."""
    inputs, labels = pair
    return isinstance(labels, Tensor | np.ndarray) or (isinstance(inputs, Tensor | Mapping) and labels is None)


def _of_numpy(data: Any) -> Any:
    if isinstance(data, np.ndarray):
        return torch.as_tensor(data)
    if isinstance(data, list | tuple):
        return type(data)(map(_of_numpy, data)) if type(data) in (list, tuple) else tuple(map(_of_numpy, data))
    return data


def batches(data: Any, labels: Tensor | None) -> tuple[Iterable[Any], int | None, bool]:
    """Return the batches, their number if known, and whether the data are a single batch.

    Args:
        data: a batch as for :func:`batch`, an iterable of such batches, or a data set.
        labels: labels of a single batch.

    Raises:
        UserError: separate labels for an iterable of batches.
    """
    if isinstance(data, Tensor | Mapping | np.ndarray | tuple) or _is_pair(data):
        return [batch(data, labels)], 1, True
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        data = DataLoader(data, BATCH)
    if not isinstance(data, Iterable):
        raise UserError(
            f"data is a tensor, a pair (inputs, labels), a dictionary of tensors, or an iterable of such batches; "
            f"found {type(data).__name__}"
        )
    if labels is not None:
        raise UserError("labels come in the batches of an iterable: leave the argument labels out")
    try:
        return data, len(data) if isinstance(data, Sized) else None, False
    except TypeError:
        return data, None, False


def _is_pair(data: Any) -> bool:
    return (
        isinstance(data, list)
        and len(data) == 2
        and all(isinstance(each, Tensor | np.ndarray) for each in data)
        and len(data[0]) == len(data[1])
        and not torch.as_tensor(data[1]).is_floating_point()
        and torch.as_tensor(data[0]).ndim > torch.as_tensor(data[1]).ndim
    )


def drawn(data: Any, count: int) -> Samples | None:
    """Draw ``count`` samples from a loader's whole data set; ``None`` if it has no random access."""
    draws = torch.Generator().manual_seed(0)
    if isinstance(data, DataLoader) and not isinstance(data.dataset, IterableDataset) and data.batch_size is not None:
        dataset: Any = data.dataset  # the class declares no length
        if len(dataset) == 0:
            return None
        order = torch.randperm(len(dataset), generator=draws)[:count].tolist()
        return batch(data.collate_fn([dataset[index] for index in order]))
    return None


def spread(size: int, count: int) -> Tensor:
    """Draw the indices of ``count`` of ``size`` samples, in random order."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(0))[:count]
