"""Reading data set files from a stream, a folder or an archive, verified against a pinned SHA-256.

Nothing is unpacked to disk, run, or read beyond the pinned size.
"""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from weight_importance.data.sources.limits import LARGEST_FILE
from weight_importance.data.sources.reasons import SourceError, describe

GZIP = b"\x1f\x8b"
"""The first bytes of a gzipped file."""


@dataclass(frozen=True)
class DataFile:
    """A file of a data set: name, and size and SHA-256 of the raw (uncompressed) content."""

    name: str
    size: int
    sha256: str


def parse_idx(content: bytes) -> np.ndarray:
    """Read IDX content of unsigned bytes: two zero bytes, type 8, number of dimensions, big-endian sizes, values.

    Returns:
        uint8 array with the declared shape.

    Raises:
        ValueError: the content is not IDX of unsigned bytes, or its length contradicts its header.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"not an IDX file of unsigned bytes: it begins with {content[:4].hex()}")
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
    values = np.frombuffer(content, dtype=np.uint8, offset=start)
    if len(shape) != content[3] or values.size != np.prod(shape):
        raise ValueError(f"IDX header declares shape {shape}, but {values.size} values follow")
    return values.reshape(shape).copy()  # the buffer is read-only, but tensors must be writable


class Stream(Protocol):
    """A source of bytes: a file, an unpacking stream, a member of an archive."""

    def read(self, size: int = ..., /) -> bytes:
        """Return the next bytes, at most ``size``."""

    def close(self) -> None:
        """Release the file."""


def read_checked(stream: Stream, file: DataFile, place: str) -> bytes:
    """Read a file's raw content and check it; all sources use this function.

    Reads no more than one byte beyond the pinned size, so a forged archive cannot fill the memory.

    Args:
        stream: raw content (for a gzipped file, the decompressing stream).
        file: size and SHA-256 of the content.
        place: location of the file, for the message.

    Raises:
        SourceError: the content is truncated, overlong or altered; states expected and observed size and SHA-256.
    """
    blocks, damage = [], ""
    remaining = file.size + 1
    try:
        while remaining and (block := stream.read(min(remaining, 1 << 20))):
            blocks.append(block)
            remaining -= len(block)
    except (EOFError, zlib.error, OSError, tarfile.TarError) as error:
        damage = f" (reading stopped: {error})"
    content = b"".join(blocks)
    digest = hashlib.sha256(content).hexdigest()
    if digest == file.sha256:
        return content
    if len(content) == file.size:
        # different data sets can share file names and sizes
        kind, size = "altered or of another data set", f"{len(content)} bytes"
    elif len(content) < file.size:
        kind, size = "truncated", f"{len(content)} bytes"
    else:
        kind, size = "too long", f"more than {file.size} bytes"
    raise SourceError(
        f"{file.name} is {kind}{damage}: expected {file.size} bytes with SHA-256 {file.sha256}, "
        f"found {size} with SHA-256 {digest} in {place}"
    )


def path_in(folder: Path, file: DataFile) -> Path:
    """Return the path of a file in a folder: raw (``NAME``) if it exists, otherwise gzipped (``NAME.gz``)."""
    raw = folder / file.name
    return raw if raw.is_file() else folder / f"{file.name}.gz"


def read_folder(folder: Path, files: Mapping[str, DataFile]) -> dict[str, bytes]:
    """Read and verify the files of a data set in a folder, raw (``NAME``) or gzipped (``NAME.gz``).

    Raises:
        SourceError: the folder or a file is missing, unreadable or different from its pinned content.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder")
    contents = {}
    for role, file in files.items():
        path = path_in(folder, file)
        if not path.is_file():
            raise SourceError(f"neither {file.name} nor {file.name}.gz is in {folder}")
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
                contents[role] = read_checked(stream, file, str(path))
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}") from error
    return contents


def read_archive(archive: Path, folder: str, files: Mapping[str, DataFile]) -> dict[str, bytes]:
    """Read and verify the files of a data set in a tar archive, raw (``NAME``) or gzipped (``NAME.gz``).

    Only regular members with exactly the expected names are read, directly into memory: nothing is extracted, so no
    member can be written outside a folder. Archives with members outside the archive, or larger than
    :data:`LARGEST_FILE` unpacked, are refused anyway. (Python 3.11.2 of Debian 12 lacks ``tarfile``'s filters, which do
    not limit sizes.)

    Raises:
        SourceError: the archive is damaged, has members outside, is too large unpacked, or a file is missing or
            different from its pinned content.
    """
    roles = {f"{folder}/{file.name}{ending}": role for role, file in files.items() for ending in ("", ".gz")}
    contents: dict[str, bytes] = {}
    try:
        with _unpacked(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:  # sequentially, each name before its content
                refusal = _refusal(member, roles)
                if refusal:
                    raise SourceError(f"{archive.name} is refused: {refusal}")
                role = roles.get(member.name)
                if role and role not in contents and (stored := tar.extractfile(member)):
                    with stored, _raw(stored, member.name) as content:
                        contents[role] = read_checked(content, files[role], archive.name)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise SourceError(f"{archive.name} is damaged: {describe(error)}") from error
    for role, file in files.items():
        if role not in contents:
            raise SourceError(f"neither {folder}/{file.name} nor {file.name}.gz is in {archive.name}")
    return contents


def _refusal(member: tarfile.TarInfo, wanted: Container[str]) -> str | None:
    """Return the reason to refuse an archive with this member, or ``None``."""
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return f"its member '{member.name}' reaches outside the archive"
    if member.name in wanted and not member.isreg():
        return f"its member '{member.name}' is not a regular file"
    return None


def _raw(stored: IO[bytes], name: str) -> gzip.GzipFile | IO[bytes]:
    return gzip.open(stored) if name.endswith(".gz") else stored


def _unpacked(archive: Path) -> "BoundedReader":
    """Open the tar stream of a raw or gzipped archive, limited to :data:`LARGEST_FILE`."""
    with archive.open("rb") as file:
        packed = file.read(2) == GZIP
    return BoundedReader(gzip.open(archive) if packed else archive.open("rb"), archive.name)


class BoundedReader(io.RawIOBase):
    """A stream of at most :data:`LARGEST_FILE` bytes, because a small archive can unpack to any size.

    Raises:
        SourceError: reading beyond the limit.
    """

    def __init__(self, stream: Stream, name: str) -> None:
        self._stream, self._name, self._left = stream, name, LARGEST_FILE

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size if 0 <= size <= self._left else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise SourceError(f"{self._name} is refused: it unpacks to more than {LARGEST_FILE} bytes")
        return content

    def close(self) -> None:
        self._stream.close()
        super().close()
