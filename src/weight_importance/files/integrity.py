"""Seals: a hidden file next to every result, with the checksum of the content as written.

Imports only the standard library, so that checking a result is cheap. Does not interpret the files.
"""

import hashlib
from pathlib import Path


def seal_of(path: Path) -> Path:
    """Path of a result's seal."""
    return path.with_name(f".{path.name}.sha256")


def checksum(path: Path) -> str:
    """SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def judged(path: str | Path) -> tuple[str | None, str | None]:
    """Return a result's checksum, and how it differs from its seal; ``None`` if it does not, or has no seal."""
    path = Path(path)
    if not path.is_file():
        return None, "does not exist"
    sha256, seal = checksum(path), seal_of(path)
    if not seal.is_file() or seal.read_bytes().strip() == sha256.encode():
        return sha256, None
    return sha256, "has changed since it was written (truncated or altered)"
