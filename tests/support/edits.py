"""Edits of the files of a checkout, made and taken back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """A replacement of text in files of the checkout."""

    changes: tuple[tuple[str, str, str], ...]

    def make(self, folder: Path) -> None:
        """Make the edit in a checkout."""
        for file, old, new in self.changes:
            text = (folder / file).read_text(encoding="utf-8")
            assert old in text, f"{file} does not hold '{old}'"
            (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    @contextmanager
    def made(self, folder: Path) -> Iterator[None]:
        """The edit, for as long as the context lasts."""
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
    """A further function in a module, before its first function or class."""
    return edit(file, "\n\n\n", "\n\n\ndef further():\n    return 1\n\n\n")
