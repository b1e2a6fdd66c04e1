"""Reversible edits of files of a checkout."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """A replacement of text in files of the checkout."""

    changes: tuple[tuple[str, str, str], ...]

    def make(self, folder: Path) -> None:
        """Apply the edit in a checkout."""
        for file, old, new in self.changes:
            text = (folder / file).read_text(encoding="utf-8")
            assert old in text, f"{file} does not hold '{old}'"
            (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    @contextmanager
    def made(self, folder: Path) -> Iterator[None]:
        """Apply the edit within the context."""
        before = {file: (folder / file).read_bytes() for file, _, _ in self.changes}
        try:
            self.make(folder)
            yield
        finally:
            for file, content in before.items():
                (folder / file).write_bytes(content)


def edit(file: str, old: str, new: str) -> Edit:
    """An edit of one file."""
    return Edit(((file, old, new),))


def more_code(file: str) -> Edit:
    """An edit that adds a function to a module, before its first function or class."""
    return edit(file, "\n\n\n", "\n\n\ndef further():\n    return 1\n\n\n")
