"""The error of a source that fails, with its reason in one line."""


class SourceError(Exception):
    """The reason why a source fails; the next source is tried."""


def describe(error: BaseException) -> str:
    """An error as one short line."""
    return shorten(str(getattr(error, "reason", error)) or type(error).__name__)


def shorten(text: str, length: int = 300) -> str:
    """Text on one line, cut at ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 4] + " ..."
