"""Kinds of tasks by name. The names are those of the modules in this package that define ``sequences``.

A module is imported when its kind is first asked for, so that no result depends on the other kinds.
"""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from weight_importance.data.tasks.task import Task

if TYPE_CHECKING:
    from weight_importance.settings.tasks import FirstTask, Tasks

Sequences = Sequence[Sequence[Task]]
"""The tasks of every network, in the order in which they are learnt; networks with the same tasks share the objects."""


def sequences(settings: "Tasks", plain: Sequence[Task], seeds: Sequence[int]) -> Sequences:
    """The tasks of every network.

    Args:
        settings: of the tasks.
        plain: each data set of the study as a task, see :func:`weight_importance.data.tasks.task.plain_task`.
        seeds: of the networks.

    Raises:
        UserError: the images do not fit the kind of tasks.
    """
    return _module(settings.kind).sequences(settings, plain, settings.count, seeds)


def first_tasks(settings: "FirstTask", plain: Task, seeds: Sequence[int]) -> list[Task]:
    """The first task of every network, without what only the later tasks depend on.

    Args:
        settings: of the first task.
        plain: the first data set of the study as a task.
        seeds: of the networks.

    Raises:
        UserError: the images do not fit the kind of tasks.
    """
    return [tasks[0] for tasks in _module(settings.kind).sequences(settings, [plain], 1, seeds)]


def _module(kind: str) -> ModuleType:
    return import_module(f"weight_importance.data.tasks.{kind}")
