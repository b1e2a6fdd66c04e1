"""Labelled images as views of a data set: a selection and a transform, applied on access.

Images stay ``uint8`` and untransformed until a batch is formed, so that networks with different tasks share the memory
of the data set; only :func:`to_inputs` converts them to network inputs.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from weight_importance.runtime.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

Transform = Callable[[Tensor], Tensor]
"""Images ``(N, ..., height, width)`` → images of the same shape."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Images and labels of one part of a task.

    Attributes:
        stored: images of the data set, uint8 ``(N, height, width)`` or ``(N, channels, height, width)``.
        labels: int64 ``(N,)``, positions among the logits of the task's head.
        transform: transform of the stored images; ``None`` for none.
    """

    stored: Tensor
    labels: Tensor
    transform: Transform | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """Images of the task; each access computes the transform, so store the result before a loop."""
        return self.transform(self.stored) if self.transform else self.stored

    def images_at(self, indices: Tensor) -> Tensor:
        """Return the task's images at ``indices``."""
        stored = self.stored.index_select(0, indices)
        return self.transform(stored) if self.transform else stored

    def transformed(self, transform: Transform) -> "Samples":
        """Return the samples with a transform of their images."""
        return replace(self, transform=transform)

    def take(self, indices: Tensor | slice) -> "Samples":
        """Select the samples at ``indices``."""
        return replace(self, stored=self.stored[indices], labels=self.labels[indices])

    def last(self, count: int | None) -> "Samples":
        """Select the last ``count`` samples, to average importances over; ``None`` for all.

        Raises:
            UserError: fewer samples, or ``count`` not positive.
        """
        if count is None:
            return self
        if not 0 < count <= len(self):
            raise UserError(
                f"importance.samples is {count}, but importances are averaged over images of a task that has "
                f"{len(self)}; set importance.samples between 1 and {len(self)} in the config"
            )
        return self.take(slice(-count, None))

    def at_most(self, count: int | None) -> "Samples":
        """Select at most the last ``count`` samples; ``None`` for all."""
        return self if count is None or count >= len(self) else self.take(slice(-count, None))

    def spread(self, count: int) -> "Samples":
        """Select at most ``count`` samples at equal distances."""
        size = len(self)
        return self if count >= size else self.take(torch.arange(count, device=self.labels.device) * size // count)

    def to(self, device: torch.device) -> "Samples":
        """Copy the samples to a device."""
        return replace(self, stored=self.stored.to(device), labels=self.labels.to(device))


def to_inputs(images: Tensor) -> Tensor:
    """Convert ``uint8`` images to network inputs ``(N, channels, height, width)``, float32 in [0, 1].

    Args:
        images: ``(N, channels, height, width)``, or ``(N, height, width)`` with one channel.
    """
    return (images.unsqueeze(1) if images.ndim == 3 else images).float().div_(255)


def once_each(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return the result for every item, computed once per distinct object."""
    items = list(items)
    results = {item: function(item) for item in dict.fromkeys(items)}
    return [results[item] for item in items]
