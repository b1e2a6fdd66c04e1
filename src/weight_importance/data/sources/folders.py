"""Local sources: a folder with a fixed path, and a folder chosen by the user."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from weight_importance.data.sources.content import DataFile, path_in, read_folder
from weight_importance.data.sources.reasons import SourceError
from weight_importance.files.provenance import note_input


@dataclass(frozen=True)
class Folder:
    """A folder with a fixed path."""

    path: Path

    def __str__(self) -> str:
        return f"folder {self.path.name}"

    def fetch(self, files: Mapping[str, DataFile]) -> dict[str, bytes]:
        return read_noted(self.path, files)


@dataclass(frozen=True)
class FolderOfVariable:
    """The folder in an environment variable, possibly with several data sets.

    Files of different data sets share names. So the data set's subfolder is tried first, then torchvision's
    (``FashionMNIST/raw``), then the folder itself; the SHA-256 identifies the data set.
    """

    variable: str
    subfolder: str

    def __str__(self) -> str:
        return f"local folder ({self.variable})"

    def fetch(self, files: Mapping[str, DataFile]) -> dict[str, bytes]:
        value = os.environ.get(self.variable)
        if not value:
            raise SourceError(f"the environment variable {self.variable} is not set")
        folder = Path(value).expanduser()
        if not folder.is_dir():
            raise SourceError(f"{folder} is not a folder")
        reasons = []
        raw = (*folder.glob("*/raw"), *folder.glob("raw"))
        torchvision = [place for place in raw if place.parent.name.lower() == self.subfolder.replace("_", "")]
        for place in (folder / self.subfolder, *torchvision, folder):
            try:
                return read_noted(place, files)
            except SourceError as error:
                reasons.append(str(error))
        raise SourceError("; ".join(reasons))


def read_noted(folder: Path, files: Mapping[str, DataFile]) -> dict[str, bytes]:
    """Call :func:`read_folder`, and register the files for provenance records.

    Downloaded files need no registration: they are temporary, and the data set's metadata contains its source and the
    SHA-256 of each raw file.
    """
    contents = read_folder(folder, files)
    for file in files.values():
        note_input(path_in(folder, file))
    return contents
