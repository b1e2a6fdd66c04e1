"""Options, images and settings that the GPU parts share, and tables that are written row by row."""

import argparse
import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from weight_importance.data import catalogue
from weight_importance.data.samples import Samples
from weight_importance.estimators import registry
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.runtime.device import prepare


@dataclass(frozen=True)
class Optimisation:
    """The optimiser's settings, like :class:`weight_importance.settings.Optimisation` but without pydantic."""

    batch_size: int = 100
    learning_rate: float = 1e-3


def parser(description: str) -> argparse.ArgumentParser:
    """The options of every part."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true")
    return parser


def begin(options: argparse.Namespace) -> torch.device:
    """Choose the device; make the folder of the options the source of data sets."""
    if options.data:
        os.environ[catalogue.DATA_FOLDER_VARIABLE] = str(options.data.resolve())
    return prepare(options.threads)


def training_samples(name: str) -> Samples:
    """All training images of a data set, every byte checked against its pinned SHA-256."""
    arrays = catalogue.fetch(name).arrays
    return Samples(torch.from_numpy(arrays["train_images"]), torch.from_numpy(arrays["train_labels"]).long())


def repeated(samples: Samples, count: int) -> Samples:
    """The first ``count`` samples, starting over if there are fewer."""
    return samples.take(torch.arange(count) % len(samples))


def is_path_estimator(name: str) -> bool:
    """Whether an estimator is computed from the record of a training."""
    return isinstance(registry.load(name), PathEstimator)


def untrained_estimators() -> list[str]:
    """The estimators that need no record of a training."""
    return [name for name in registry.names() if not is_path_estimator(name)]


class Table:
    """A CSV file to which rows are appended at once.

    Args:
        path: of the file; existing rows are kept.
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
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
