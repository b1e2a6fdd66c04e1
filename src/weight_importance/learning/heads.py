"""Heads: training and evaluation on a task's classes, a selection of the network's logits.

The selection is a buffer of the network and may differ between replicas. Estimators, penalty and loop see an ordinary
network with the same parameter names.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from weight_importance.data.tasks.task import Task
from weight_importance.learning.replicas import Replicas

CLASSES = "head_classes"
"""Name of the buffer with the outputs that the head selects, in order; for joint heads, per image."""


def heads(replicas: Replicas, tasks: Sequence[Task]) -> AbstractContextManager[Replicas]:
    """Yield the replicas with the heads of their tasks; afterwards ``replicas`` receives the trained state.

    Args:
        replicas: the stack, without heads.
        tasks: one task per replica; either all use all outputs (``classes`` is ``None``), or all have the same number
            of classes.
    """
    return _selecting(replicas, [task.classes for task in tasks])


def joint_heads(
    replicas: Replicas, tasks: Sequence[Sequence[Task]], batch_size: int
) -> AbstractContextManager[Replicas]:
    """Yield the replicas with the heads of several tasks, for batches of equal parts, one per task.

    Args:
        replicas: as for :func:`heads`.
        tasks: tasks of each replica, equally many.
        batch_size: images per batch, over all tasks.
    """
    share = batch_size // len(tasks[0])
    every = [[task.classes for task in of_one for _ in range(share)] for of_one in tasks]
    return _selecting(replicas, every if every[0][0] is not None else [None])


@contextmanager
def _selecting(replicas: Replicas, classes: Sequence) -> Iterator[Replicas]:
    if all(each is None for each in classes):
        yield replicas
        return
    selected = torch.tensor(classes, device=replicas.device)
    template = copy.deepcopy(replicas.template)
    template.register_buffer(CLASSES, selected[0])
    template.register_forward_hook(_select)
    headed = replace(replicas, template=template, buffers=replicas.buffers | {CLASSES: selected})
    yield headed
    replicas.parameters, replicas.adam = headed.parameters, headed.adam
    replicas.buffers = {name: headed.buffers[name] for name in replicas.buffers}


def _select(network: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> Tensor:
    classes = getattr(network, CLASSES)
    return logits.index_select(-1, classes) if classes.ndim == 1 else logits.gather(-1, classes[: len(logits)])
