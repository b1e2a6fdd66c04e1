"""A data set as a workflow file: one safetensors file of images and labels.

Separate from :mod:`weight_importance.data.catalogue`, so that a new source or data set affects no reader.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from weight_importance.files.storage import REMAKE, load_tensors
from weight_importance.runtime.errors import UserError

ROLES = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class Dataset:
    """Images ``(N, height, width)`` or ``(N, channels, height, width)``, 0 to 255, and labels ``(N,)``; all uint8."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        *channels, height, width = self.train_images.shape[1:]
        return (channels[0] if channels else 1), height, width

    @property
    def classes(self) -> int:
        """Number of classes: the largest training label plus one."""
        return int(self.train_labels.max()) + 1


def common_form(datasets: Sequence[Dataset]) -> tuple[tuple[int, int, int], int]:
    """Return the common image shape and the number of classes: input and output of a network for all data sets.

    Raises:
        UserError: image shapes differ.
    """
    shapes = sorted({dataset.shape for dataset in datasets})
    if len(shapes) > 1:
        raise UserError(
            f"the data sets of the study have images of different shapes: {', '.join(map(str, shapes))}; one network "
            "cannot learn them all: change datasets in the config"
        )
    return shapes[0], max(dataset.classes for dataset in datasets)


def load(path: str | Path, padding: int = 0) -> Dataset:
    """Read a data set that :func:`weight_importance.data.catalogue.save` wrote.

    Args:
        path: path of the file.
        padding: black pixels to add on each side of an image.

    Raises:
        UserError: the file is missing, damaged, or not a data set.
    """
    tensors, _ = load_tensors(path)
    if set(tensors) != set(ROLES):
        raise UserError(f"{path} contains {sorted(tensors)}, not a data set ({', '.join(ROLES)}). {REMAKE}")
    for part in ("train", "test"):
        images, labels = tensors[f"{part}_images"], tensors[f"{part}_labels"]
        contents = f"{part}_images {_described(images)}, {part}_labels {_described(labels)}"
        if images.dtype != torch.uint8 or labels.dtype != torch.uint8 or images.ndim not in (3, 4) or labels.ndim != 1:
            raise UserError(
                f"{path} contains {contents}; expected uint8 (N, height, width) or (N, channels, height, width), and "
                f"uint8 (N,). {REMAKE}"
            )
        if not len(images) or len(images) != len(labels):
            raise UserError(
                f"{path} contains {contents}; expected equally many images and labels, at least one. {REMAKE}"
            )
    if padding:
        for part in ("train_images", "test_images"):
            tensors[part] = pad(tensors[part], (padding,) * 4)
    return Dataset(**tensors)


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
