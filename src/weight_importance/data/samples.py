"""Labelled images as views of a data set: a selection and a transform, applied when the images are read.

Images stay ``uint8`` and are not transformed until a batch is formed, so that networks with different tasks share the
memory of the data set; only :func:`to_inputs` converts them to network inputs.
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
        stored: the images of the data set, uint8 ``(N, height, width)`` or ``(N, channels, height, width)``.
        labels: int64 ``(N,)``, positions among the logits of the task's head.
        transform: of the stored images; ``None`` for none.
    """

    stored: Tensor
    labels: Tensor
    transform: Transform | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """The images of the task; the transform is computed at each access, so keep the result in a loop."""
        return self.transform(self.stored) if self.transform else self.stored

    def images_at(self, indices: Tensor) -> Tensor:
        """The images of the task at some positions."""
        stored = self.stored.index_select(0, indices)
        return self.transform(stored) if self.transform else stored

    def transformed(self, transform: Transform) -> "Samples":
        """The same samples with a transform of their images."""
        return replace(self, transform=transform)

    def take(self, indices: Tensor | slice) -> "Samples":
        """The samples at ``indices``."""
        return replace(self, stored=self.stored[indices], labels=self.labels[indices])

    def last(self, count: int | None) -> "Samples":
        """The last ``count`` samples, to average importances over; ``None`` for all.

        Raises:
            UserError: there are fewer.
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
        """The last ``count`` samples if there are more, else all; ``None`` for all."""
        return self if count is None or count >= len(self) else self.take(slice(-count, None))

    def to(self, device: torch.device) -> "Samples":
        """The same samples on another device."""
        return replace(self, stored=self.stored.to(device), labels=self.labels.to(device))


def to_inputs(images: Tensor) -> Tensor:
    """Network inputs ``(N, channels, height, width)``, float32 in [0, 1], from ``uint8`` images.

    Args:
        images: ``(N, channels, height, width)``, or ``(N, height, width)`` with one channel.
    """
    return (images.unsqueeze(1) if images.ndim == 3 else images).float().div_(255)


def once_each(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The result for every item, computed once for items that are the same object."""
    items = list(items)
    results = {item: function(item) for item in dict.fromkeys(items)}
    return [results[item] for item in items]
