"""Kinds of tasks by name, the name of their module in this package, which defines ``sequences``.

Modules are imported on first use, so that no result depends on other kinds.
"""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from weight_importance.data.tasks.task import Task

if TYPE_CHECKING:
    from weight_importance.settings.tasks import FirstTask, Tasks

Sequences = Sequence[Sequence[Task]]
"""Tasks of every network, in the order of learning; networks with the same tasks share the objects."""


def sequences(settings: "Tasks", plain: Sequence[Task], seeds: Sequence[int]) -> Sequences:
    """Return the tasks of every network.

    Args:
        settings: settings of the tasks.
        plain: each data set of the study as a task, see :func:`weight_importance.data.tasks.task.plain_task`.
        seeds: seeds of the networks.

    Raises:
        UserError: the images do not fit the kind of tasks.
    """
    return _module(settings.kind).sequences(settings, plain, settings.count, seeds)


def first_tasks(settings: "FirstTask", plain: Task, seeds: Sequence[int]) -> list[Task]:
    """Return the first task of every network, independently of the settings of later tasks.

    Args:
        settings: settings of the first task.
        plain: the first data set of the study as a task.
        seeds: seeds of the networks.

    Raises:
        UserError: the images do not fit the kind of tasks.
    """
    return [tasks[0] for tasks in _module(settings.kind).sequences(settings, [plain], 1, seeds)]


def _module(kind: str) -> ModuleType:
    return import_module(f"weight_importance.data.tasks.{kind}")
