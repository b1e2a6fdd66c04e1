"""What the GPU parts share: options, images, tables that are written row by row."""

import argparse
import csv
import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from weight_importance.data import catalogue as datasets
from weight_importance.data.image_file import Dataset
from weight_importance.runtime.device import prepare

BATCH_SIZE, LEARNING_RATE = 100, 1e-3


def parser(description: str) -> argparse.ArgumentParser:
    """The options of every part."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=240, help="time limit")
    parser.add_argument("--quick", action="store_true")
    return parser


def begin(options: argparse.Namespace) -> torch.device:
    """Choose the device; make data sets readable from the folder that holds them."""
    if options.data:
        os.environ[datasets.DATA_FOLDER_VARIABLE] = str(options.data.resolve())
    options.deadline = time.monotonic() + options.seconds
    return prepare(options.threads)


def dataset(name: str) -> Dataset:
    """A data set, every byte checked against its pinned SHA-256."""
    arrays = datasets.fetch(name).arrays
    return Dataset(**{role: torch.from_numpy(array) for role, array in arrays.items()})


class Table:
    """A CSV file that every row is appended to as soon as it is known.

    Args:
        path: of the file; what it holds already stays.
        columns: its header.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)
        if not path.exists():
            self._append([self.columns])

    def add(self, *rows: Sequence[object]) -> None:
        """Append rows."""
        self._append(rows)

    def _append(self, rows: Sequence[Sequence[object]]) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def synchronise(device: torch.device) -> None:
    """Wait for all that the device still computes."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
