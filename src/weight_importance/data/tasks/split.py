"""Split tasks: each task has some classes of a data set, in label order or in a random order per network."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from weight_importance.data.samples import Samples
from weight_importance.data.tasks.task import PARTS, Task
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.seeding import generator

if TYPE_CHECKING:
    from weight_importance.settings.tasks import SplitFirstTask


def class_order(settings: "SplitFirstTask", classes: int, seed: int) -> list[int]:
    """Return the labels in the order of learning; a random order depends only on the network's seed."""
    if settings.order == "fixed":
        return [*range(classes)]
    return torch.randperm(classes, generator=generator("class order", seed)).tolist()


def sequences(
    settings: "SplitFirstTask", plain: Sequence[Task], count: int, seeds: Sequence[int]
) -> list[tuple[Task, ...]]:
    """Return the tasks of every network; the same for all with a fixed order of classes.

    Raises:
        UserError: too few classes, or a task without training or test images.
    """
    [task] = plain
    classes = int(task.training.labels.max()) + 1
    if count * settings.classes > classes:
        raise UserError(
            f"tasks.count is {count} and tasks.classes is {settings.classes}, but the data set has {classes} classes; "
            "lower one of them in the config"
        )
    orders = [tuple(class_order(settings, classes, seed)) for seed in seeds]
    divided = {order: _divided(task, order, settings, count) for order in dict.fromkeys(orders)}
    return [divided[order] for order in orders]


def _divided(task: Task, order: Sequence[int], settings: "SplitFirstTask", count: int) -> tuple[Task, ...]:
    """Return the tasks for one order of classes."""
    size, tasks = settings.classes, []
    for first in range(0, count * size, size):
        own = order[first : first + size]
        start = first if settings.scenario == "class" else 0  # position of the first label among the head's outputs
        outputs = {"task": own, "domain": tuple(range(size)), "class": order[: first + size]}[settings.scenario]
        parts = {name: _of_classes(task.part(name), own, start) for name in PARTS}
        for name in ("training", "test"):
            if not len(parts[name]):
                labels = ", ".join(map(str, own))
                raise UserError(f"there are no {name} images of the classes {labels}: raise images.{name}")
        tasks.append(replace(task, **parts, classes=tuple(outputs), growing=settings.scenario == "class"))
    return tuple(tasks)


def _of_classes(samples: Samples, classes: Sequence[int], start: int) -> Samples:
    """Select the samples of some classes, relabelled by position in the order, starting at ``start``."""
    places = torch.full((256,), -1, device=samples.labels.device)
    places[list(classes)] = torch.arange(start, start + len(classes), device=places.device)
    labels = places[samples.labels]
    indices = (labels >= 0).nonzero()[:, 0]
    return replace(samples.take(indices), labels=labels[indices])
