"""Sequences of tasks as views of a data set: an index and a transform, never a copy on disk.

Images stay ``uint8`` until a batch is formed; :func:`to_inputs` is the one place where they become network inputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from weight_importance.errors import UserError
from weight_importance.seeding import generator


@dataclass(frozen=True)
class Split:
    """Images ``(N, 28, 28)`` uint8 and labels ``(N,)`` int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def last(self, count: int) -> "Split":
        """The last ``count`` samples.

        Raises:
            UserError: there are fewer.
        """
        if not 0 < count <= len(self):
            raise UserError(
                f"importance.samples is {count}, but the training split holds {len(self)} images; "
                f"set importance.samples between 1 and {len(self)} in the config"
            )
        return Split(self.images[-count:], self.labels[-count:])

    def to(self, device: torch.device) -> "Split":
        """The same samples on another device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """One task's data: disjoint ``training`` and ``validation`` images, and the ``test`` images."""

    training: Split
    validation: Split
    test: Split


def to_inputs(images: Tensor) -> Tensor:
    """Network inputs ``(..., 1, 28, 28)`` float32 in [0, 1] from ``uint8`` images ``(..., 28, 28)``."""
    return images.unsqueeze(-3).float().div_(255)


def split(dataset, training: int | None, validation: int) -> Splits:
    """Cut a data set into training, validation and test images, by position.

    Args:
        dataset: with ``train_images``, ``train_labels``, ``test_images``, ``test_labels``.
        training: at most so many training images (the first ones); ``None`` for all that are left.
        validation: the last so many images of the training set are held out.

    Raises:
        UserError: the data set is too small.
    """
    total = len(dataset.train_labels)
    left = total - validation
    if left < 1 or (training is not None and training > left):
        raise UserError(
            f"the training set has {total} images: {validation} for validation leave {max(left, 0)}, "
            f"but images.training asks for {training or 'at least 1'}; change 'images' in the config"
        )
    images, labels = dataset.train_images, dataset.train_labels.long()
    cut = left if training is None else training
    return Splits(
        Split(images[:cut], labels[:cut]),
        Split(images[left:], labels[left:]),
        Split(dataset.test_images, dataset.test_labels.long()),
    )


@dataclass(frozen=True)
class Permutation:
    """Rearranges the pixels of every image by one fixed permutation; ``None`` leaves them alone."""

    order: Tensor | None

    def __call__(self, images: Tensor) -> Tensor:
        if self.order is None:
            return images
        return images.flatten(-2)[..., self.order.to(images.device)].view(images.shape)


def permuted(count: int, seed: int, pixels: int) -> list[Permutation]:
    """``count`` tasks: the data set as it is, then one seeded permutation of the pixels per task.

    Permutation ``t`` depends on the seed and ``t`` only, so a longer sequence begins like a shorter one.
    """
    orders = [torch.randperm(pixels, generator=generator("permutation", seed, task)) for task in range(1, count)]
    return [Permutation(order) for order in (None, *orders)]


@dataclass(frozen=True)
class TaskSequence:
    """Tasks that share one data set and differ by a transform of the images."""

    splits: Splits
    transforms: list

    def __len__(self) -> int:
        return len(self.transforms)

    def part(self, task: int, name: str) -> Split:
        """One task's ``training``, ``validation`` or ``test`` images (tasks counted from 0), transformed now."""
        whole: Split = getattr(self.splits, name)
        return Split(self.transforms[task](whole.images), whole.labels)


def task_sequence(settings: dict, dataset, device: torch.device) -> TaskSequence:
    """The tasks that a study's settings describe (``tasks`` and ``images``), over a loaded data set."""
    parts = split(dataset, settings["images"]["training"], settings["images"]["validation"])
    parts = Splits(parts.training.to(device), parts.validation.to(device), parts.test.to(device))
    pixels = parts.training.images[0].numel()
    return TaskSequence(parts, permuted(settings["tasks"]["count"], settings["tasks"]["seed"], pixels))
