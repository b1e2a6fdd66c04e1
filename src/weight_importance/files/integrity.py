"""Seals: a hidden file next to every result, with the checksum of its content when it was written.

Imports the standard library only, so that checking a result is cheap. Knows nothing of the meaning of files.
"""

import hashlib
from pathlib import Path


def seal_of(path: Path) -> Path:
    """The path of a result's seal."""
    return path.with_name(f".{path.name}.sha256")


def checksum(path: Path) -> str:
    """SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(path: str | Path) -> str | None:
    """The difference between a result and its seal; ``None`` if there is no difference, or no seal."""
    return judged(path)[1]


def judged(path: str | Path) -> tuple[str | None, str | None]:
    """A result's checksum, and its damage as in :func:`damage`; the file is read once for both."""
    path = Path(path)
    if not path.is_file():
        return None, "does not exist"
    found, seal = checksum(path), seal_of(path)
    if not seal.is_file() or seal.read_bytes().strip() == found.encode():
        return found, None
    return found, "has changed since it was written (truncated or altered)"
