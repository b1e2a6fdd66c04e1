"""Split tasks: the classes of a data set are divided over the tasks, by their labels or in an order per network."""

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
    """The labels in the order in which a network learns them; a random one depends on the network's seed only."""
    if settings.order == "fixed":
        return [*range(classes)]
    return torch.randperm(classes, generator=generator("class order", seed)).tolist()


def sequences(
    settings: "SplitFirstTask", plain: Sequence[Task], count: int, seeds: Sequence[int]
) -> list[tuple[Task, ...]]:
    """The tasks of every network; with a fixed order of classes the same for all.

    Raises:
        UserError: there are too few classes, or no training or test images of a task.
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
    """The tasks of one order of classes."""
    size, tasks = settings.classes, []
    for first in range(0, count * size, size):
        own = order[first : first + size]
        start = first if settings.scenario == "class" else 0  # the place of the first label among the head's outputs
        outputs = {"task": own, "domain": tuple(range(size)), "class": order[: first + size]}[settings.scenario]
        parts = {name: _of_classes(task.part(name), own, start) for name in PARTS}
        for name in ("training", "test"):
            if not len(parts[name]):
                labels = ", ".join(map(str, own))
                raise UserError(f"there are no {name} images of the classes {labels}: raise images.{name}")
        tasks.append(replace(task, **parts, classes=tuple(outputs), growing=settings.scenario == "class"))
    return tuple(tasks)


def _of_classes(samples: Samples, classes: Sequence[int], start: int) -> Samples:
    """The samples of some classes, labelled by their place in the order, from ``start`` on."""
    places = torch.full((256,), -1, device=samples.labels.device)
    places[list(classes)] = torch.arange(start, start + len(classes), device=places.device)
    labels = places[samples.labels]
    indices = (labels >= 0).nonzero()[:, 0]
    return replace(samples.take(indices), labels=labels[indices])
