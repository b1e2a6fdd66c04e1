"""Why a source cannot give a data set, told in one line; and how long each may take to say so."""

# Seconds. A firewall that swallows packets must not hold anyone up: a first answer is due within ANSWER_LIMIT, then
# each read within STALL_LIMIT; only a download that makes progress may take long.
ANSWER_LIMIT = 10
STALL_LIMIT = 20
DOWNLOAD_LIMIT = 900


class SourceError(Exception):
    """Why a source cannot give a data set; the next source is tried."""


def describe(error: BaseException) -> str:
    """An error as one short line."""
    return shorten(str(getattr(error, "reason", error)) or type(error).__name__)


def shorten(text: str, length: int = 300) -> str:
    """Text on one line, cut at ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 4] + " ..."
