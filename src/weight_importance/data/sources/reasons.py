"""The error of a failing source, with a one-line reason."""


class SourceError(Exception):
    """The reason for a source's failure; the next source is tried."""


def describe(error: BaseException) -> str:
    """Return an error as one short line."""
    return shorten(str(getattr(error, "reason", error)) or type(error).__name__)


def shorten(text: str, length: int = 300) -> str:
    """Join text into one line, cut at ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 4] + " ..."
