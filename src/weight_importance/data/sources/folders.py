"""Sources on this machine: a folder at a known place, and the folder that the user names."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from weight_importance.data.sources.content import DataFile, lying, read_folder
from weight_importance.data.sources.reasons import SourceError
from weight_importance.files.provenance import note_input


@dataclass(frozen=True)
class Folder:
    """A folder at a known place."""

    path: Path

    def __str__(self) -> str:
        return f"folder {self.path.name}"

    def fetch(self, files: Mapping[str, DataFile]) -> dict[str, bytes]:
        return read_noted(self.path, files)


@dataclass(frozen=True)
class FolderOfVariable:
    """The folder that an environment variable names, which may serve several data sets.

    The files of different data sets carry the same names. So the data set's own subfolder comes first, then the folder
    itself; the SHA-256 decides whether what lies there is this data set.
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
        for place in (folder / self.subfolder, folder):
            try:
                return read_noted(place, files)
            except SourceError as error:
                reasons.append(str(error))
        raise SourceError("; ".join(reasons))


def read_noted(folder: Path, files: Mapping[str, DataFile]) -> dict[str, bytes]:
    """As :func:`read_folder`; the files that were read are named in the records of what is made from them.

    What comes over the network needs no such note: it is a temporary file, and the data set that is kept says which
    source it came from and the SHA-256 of each raw file.
    """
    contents = read_folder(folder, files)
    for file in files.values():
        note_input(lying(folder, file))
    return contents
