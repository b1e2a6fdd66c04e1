"""Seals: beside every result a hidden file with the checksum of what was written, against which it can be judged later.

Imports nothing but the standard library, so that the workflow can look over every result before it plans. Knows nothing
of what the files mean.
"""

import hashlib
from pathlib import Path


def seal_of(path: Path) -> Path:
    """Where a result's seal lies."""
    return path.with_name(f".{path.name}.sha256")


def checksum(path: Path) -> str:
    """SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(path: str | Path) -> str | None:
    """What is wrong with a result, judged by its seal; ``None`` for a whole one and for a file without a seal."""
    return judged(path)[1]


def judged(path: str | Path) -> tuple[str | None, str | None]:
    """A result's checksum, and what is wrong with it as :func:`damage` says; the file is read once for both."""
    path = Path(path)
    if not path.is_file():
        return None, "does not exist"
    found, seal = checksum(path), seal_of(path)
    if not seal.is_file() or seal.read_bytes().strip() == found.encode():
        return found, None
    return found, "is not what was written (cut off or altered)"
