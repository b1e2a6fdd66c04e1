"""Sources on this machine: a folder at a known place, and the folder that the user names."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from weight_importance.data_sources.content import IdxFile, read_folder
from weight_importance.data_sources.reasons import SourceError
from weight_importance.provenance import note_input


@dataclass(frozen=True)
class Folder:
    """A folder at a known place."""

    path: Path

    def __str__(self) -> str:
        return f"folder {self.path.name}"

    def fetch(self, files: Mapping[str, IdxFile]) -> dict[str, bytes]:
        contents = read_folder(self.path, files)
        for path in sorted(self.path.glob("*-ubyte*")):
            note_input(path)
        return contents


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

    def fetch(self, files: Mapping[str, IdxFile]) -> dict[str, bytes]:
        value = os.environ.get(self.variable)
        if not value:
            raise SourceError(f"the environment variable {self.variable} is not set")
        folder = Path(value).expanduser()
        if not folder.is_dir():
            raise SourceError(f"{folder} is not a folder")
        reasons = []
        for place in (folder / self.subfolder, folder):
            try:
                return read_folder(place, files)
            except SourceError as error:
                reasons.append(str(error))
        raise SourceError("; ".join(reasons))
