"""Kinds of tasks by name: those of the modules in this package that define ``sequences``.

A module is imported when its kind is first asked for, so that no result depends on the other kinds.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import torch

from weight_importance.data.image_file import Dataset
from weight_importance.data.tasks.task import Task, plain_task

if TYPE_CHECKING:
    from weight_importance.settings.learning import Protocol
    from weight_importance.settings.tasks import Images, Tasks

Sequences = Sequence[Sequence[Task]]
"""The tasks of every seed, in the order in which they are learnt; seeds with the same tasks share the objects."""


def sequences(
    tasks: "Tasks",
    images: "Images",
    protocol: "Protocol",
    datasets: Sequence[Dataset],
    seeds: Sequence[int],
    device: torch.device | str = "cpu",
) -> Sequences:
    """The tasks of every seed.

    Args:
        tasks: the kind of tasks, and the settings of that kind.
        images: how each data set is divided.
        protocol: of which ``train_on_validation`` is read.
        datasets: the study's data sets.
        seeds: of the networks.
        device: where the samples are kept.

    Raises:
        UserError: a data set is too small, or its images do not fit the kind of tasks.
    """
    plain = [plain_task(dataset, images, protocol.train_on_validation, device) for dataset in datasets]
    return import_module(f"weight_importance.data.tasks.{tasks.kind}").sequences(tasks, plain, seeds)
