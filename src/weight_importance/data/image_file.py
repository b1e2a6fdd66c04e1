"""A data set as the workflow keeps it: one safetensors file of images and labels.

Apart from :mod:`weight_importance.data.catalogue`, so that a new source or data set there changes no reader.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from weight_importance.files.storage import REMAKE, load_tensors
from weight_importance.runtime.errors import UserError

ROLES = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class Dataset:
    """Images ``(N, height, width)``, 0 to 255, and labels ``(N,)`` of a training and a test set; all uint8."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load(path: str | Path) -> Dataset:
    """Read a data set that :func:`save` wrote.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    tensors, _ = load_tensors(path)
    if set(tensors) != set(ROLES):
        raise UserError(f"{path} holds {sorted(tensors)}, not a data set ({', '.join(ROLES)}). {REMAKE}")
    for part in ("train", "test"):
        images, labels = tensors[f"{part}_images"], tensors[f"{part}_labels"]
        found = f"{part}_images {_described(images)}, {part}_labels {_described(labels)}"
        if images.dtype != torch.uint8 or labels.dtype != torch.uint8 or images.ndim != 3 or labels.ndim != 1:
            raise UserError(f"{path} holds {found}; expected uint8 (N, height, width) and uint8 (N,). {REMAKE}")
        if not len(images) or len(images) != len(labels):
            raise UserError(f"{path} holds {found}; expected as many labels as images, one at least. {REMAKE}")
    return Dataset(**tensors)


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
