"""A task, and task sequences built in rounds from data sets. Knows nothing of the kinds of tasks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from weight_importance.data.image_file import Dataset
from weight_importance.data.samples import Samples, Transform
from weight_importance.runtime.errors import UserError

PARTS = ("training", "validation", "test")


@dataclass(frozen=True, eq=False)
class Task:
    """One task.

    Attributes:
        training, validation, test: samples; labels are positions among the logits of the head.
        classes: network outputs that the head selects, in order; ``None`` for all outputs.
        growing: whether the heads of later tasks start with these outputs, so that the task is evaluated on all outputs
            of the latest task learnt.
    """

    training: Samples
    validation: Samples
    test: Samples
    classes: tuple[int, ...] | None = None
    growing: bool = False

    def after(self, latest: "Task") -> "Task":
        """Return the task for evaluation after ``latest`` has been learnt."""
        return replace(self, classes=latest.classes) if self.growing else self

    def part(self, name: str) -> Samples:
        """Return the samples ``name``, one of :data:`PARTS`."""
        return getattr(self, name)

    def transformed(self, transform: Transform) -> "Task":
        """Return the task with transformed images."""
        return self._each(lambda samples: samples.transformed(transform))

    def to(self, device: torch.device) -> "Task":
        """Copy the task to a device."""
        return self._each(lambda samples: samples.to(device))

    def _each(self, change: Callable[[Samples], Samples]) -> "Task":
        return replace(self, training=change(self.training), validation=change(self.validation), test=change(self.test))


def plain_task(
    dataset: Dataset,
    training: int | None = None,
    validation: int = 0,
    test: int | None = None,
    train_on_validation: bool = True,
) -> Task:
    """Split a data set into the parts of a task.

    Args:
        dataset: the data set.
        training: number of training images, from the start of the training set; ``None`` for all.
        validation: number of validation images, from the end of the training set.
        test: number of test images, evenly spaced over the test set (the two halves of the MNIST test set differ in
            difficulty); ``None`` for all.
        train_on_validation: whether training and validation images may overlap.

    Raises:
        UserError: the data set is too small, or training and validation images overlap without permission.
    """
    available, test_available = len(dataset.train_labels), len(dataset.test_labels)
    training = available if training is None else training
    test = test_available if test is None else test
    for name, count, size, part in (
        ("training", training, available, "training"),
        ("validation", validation, available, "training"),
        ("test", test, test_available, "test"),
    ):
        if count > size:
            raise UserError(f"images.{name} is {count}, but the {part} set has {size} images; lower it in the config")
    if not train_on_validation and training + validation > available:
        raise UserError(
            f"images.training is {training} and images.validation is {validation}, but the training set has "
            f"{available} images: lower one of them in the config, or set protocol.train_on_validation to true"
        )
    training_set = Samples(dataset.train_images, dataset.train_labels.long())
    return Task(
        training_set.take(slice(training)),
        training_set.take(slice(available - validation, None)),
        Samples(dataset.test_images, dataset.test_labels.long()).spread(test),
    )


def in_rounds(plain: Sequence[Task], count: int, transform: Callable[[int], Transform]) -> tuple[Task, ...]:
    """Build a sequence of tasks in rounds through all data sets.

    Args:
        plain: tasks of the first round, the untransformed data sets.
        count: length of the sequence.
        transform: number of a round after the first, from 1 → transform of its images.
    """
    rounds = [plain]
    for number in range(1, -(-count // len(plain))):
        changed = transform(number)
        rounds.append([task.transformed(changed) for task in plain])
    return tuple(task for tasks in rounds for task in tasks)[:count]
