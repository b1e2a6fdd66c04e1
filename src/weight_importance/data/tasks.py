"""Sequences of tasks as views of data sets: an index and a transform, never a copy on disk.

Images stay ``uint8`` until a batch is formed; :func:`to_inputs` is the one place where they become network inputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from weight_importance.data.image_file import Dataset
from weight_importance.runtime.errors import UserError, unknown_name
from weight_importance.runtime.seeding import generator

PUBLISHED = "published"
"""The protocol of Kutalev and Lapina (2021): validation images are trained on too; the other one holds them out."""


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
                f"importance.samples is {count}, but importances are computed on a split of {len(self)} images; "
                f"set importance.samples between 1 and {len(self)} in the config"
            )
        return Split(self.images[-count:], self.labels[-count:])

    def at_most(self, count: int | None) -> "Split":
        """The last ``count`` samples where there are more; ``None`` for all."""
        return self if count is None or count >= len(self) else Split(self.images[-count:], self.labels[-count:])

    def to(self, device: torch.device) -> "Split":
        """The same samples on another device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """One data set's ``training``, ``validation`` and ``test`` images."""

    training: Split
    validation: Split
    test: Split

    def to(self, device: torch.device) -> "Splits":
        """The same samples on another device."""
        return Splits(self.training.to(device), self.validation.to(device), self.test.to(device))


def to_inputs(images: Tensor) -> Tensor:
    """Network inputs ``(..., 1, 28, 28)`` float32 in [0, 1] from ``uint8`` images ``(..., 28, 28)``."""
    return images.unsqueeze(-3).float().div_(255)


def split(
    dataset: Dataset, training: int | None, validation: int, test: int | None = None, *, held_out: bool = True
) -> Splits:
    """Cut a data set into training, validation and test images, by position.

    Args:
        dataset: the data set.
        training: at most so many training images (the first ones); ``None`` for all there are.
        validation: the last so many images of the training set.
        test: at most so many test images (the first ones); ``None`` for all.
        held_out: whether validation images are kept out of training.

    Raises:
        UserError: the data set is too small.
    """
    total, available = len(dataset.train_labels), len(dataset.test_labels)
    left = total - validation
    room = left if held_out else total
    if left < 1 or (training is not None and training > room):
        raise UserError(
            f"the training set has {total} images: {validation} for validation leave {max(left, 0)}, "
            f"but images.training asks for {training or 'at least 1'}; change 'images' in the config"
        )
    if test is not None and test > available:
        raise UserError(f"images.test is {test}, but the test set has {available} images; change it in the config")
    images, labels = dataset.train_images, dataset.train_labels.long()
    cut = room if training is None else training
    return Splits(
        Split(images[:cut], labels[:cut]),
        Split(images[left:], labels[left:]),
        Split(dataset.test_images[:test], dataset.test_labels[:test].long()),
    )


Transform = Callable[[Tensor], Tensor]
"""Images ``(N, height, width)`` → images of the same shape."""


@dataclass(frozen=True)
class Permutation:
    """Rearranges the pixels of every image by one fixed permutation ``(height · width,)``."""

    order: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(-2)[..., self.order.to(images.device)].view(images.shape)


@dataclass(frozen=True)
class Rotation:
    """Turns every image counter-clockwise by quarter turns: pixels change places, nothing is interpolated."""

    quarters: int

    def __call__(self, images: Tensor) -> Tensor:
        return torch.rot90(images, self.quarters, (-2, -1))


def permuted(number: int, seed: int, size: Sequence[int]) -> Permutation:
    """One random permutation of the pixels per round, which depends on the seed and its number only."""
    return Permutation(torch.randperm(size[0] * size[1], generator=generator("permutation", seed, number)))


def rotated(number: int, seed: int, size: Sequence[int]) -> Rotation:
    """One more quarter turn per round; the seed plays no part.

    Raises:
        UserError: images are not square, or there are more rounds than quarter turns.
    """
    if size[0] != size[1]:
        raise UserError(f"tasks.kind 'rotated' needs square images, found {size[0]} × {size[1]}")
    if number > 3:
        raise UserError(
            "tasks.kind 'rotated' gives four tasks per data set (0°, 90°, 180°, 270°); lower tasks.count in the config"
        )
    return Rotation(number)


KINDS: dict[str, Callable[[int, int, Sequence[int]], Transform]] = {"permuted": permuted, "rotated": rotated}
"""How the rounds after the first differ: ``(round, seed, (height, width)) -> transform``."""


@dataclass(frozen=True)
class TaskSequence:
    """Tasks in rounds: each round goes once through all data sets, the first as they are, later ones transformed.

    Attributes:
        splits: of every data set.
        transforms: of every round after the first.
        count: of tasks.
    """

    splits: Sequence[Splits]
    transforms: Sequence[Transform]
    count: int

    def __len__(self) -> int:
        return self.count

    def part(self, task: int, name: str) -> Split:
        """One task's ``training``, ``validation`` or ``test`` images (tasks counted from 0), transformed now."""
        number, dataset = divmod(task, len(self.splits))
        whole: Split = getattr(self.splits[dataset], name)
        return Split(self.transforms[number - 1](whole.images), whole.labels) if number else whole

    def training_sizes(self) -> list[int]:
        """How many training images every task has."""
        return [len(self.splits[task % len(self.splits)].training) for task in range(self.count)]


def task_sequence(settings: dict, datasets: Sequence[Dataset], device: torch.device) -> TaskSequence:
    """The tasks that a study's settings describe (``tasks``, ``images``, ``protocol``), over its loaded data sets.

    Raises:
        UserError: a data set is too small, or the transforms do not fit its images.
    """
    held_out = settings["protocol"] != PUBLISHED
    splits = [split(dataset, **settings["images"], held_out=held_out).to(device) for dataset in datasets]
    count = settings["tasks"]["count"]
    rounds = -(-count // len(splits))
    size = splits[0].training.images.shape[1:]
    kind = settings["tasks"]["kind"]
    if kind not in KINDS:
        raise unknown_name("tasks.kind", kind, KINDS)
    transform = KINDS[kind]
    transforms = [transform(number, settings["tasks"].get("seed", 0), size) for number in range(1, rounds)]
    return TaskSequence(splits, transforms, count)
