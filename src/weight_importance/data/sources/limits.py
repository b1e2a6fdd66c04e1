"""Limits of time and file size for sources."""

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds. A firewall that drops packets must not delay a user: the first answer must arrive within ANSWER_LIMIT, then
# each read within STALL_LIMIT; only a download that makes progress may take long.
ANSWER_LIMIT = 10
STALL_LIMIT = 20
DOWNLOAD_LIMIT = 900

LARGEST_FILE = 2**28
"""Bytes of the largest file that a source may write or an archive may unpack to: several times the largest data set."""


@contextmanager
def socket_timeout(seconds: float) -> Iterator[None]:
    """Within the block, a socket that stays silent for ``seconds`` is an error (torchvision sets no limit itself)."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def file_size_limit(size: int = LARGEST_FILE) -> Iterator[None]:
    """Within the block, this process and those it starts cannot write files larger than ``size`` bytes.

    So neither an endless answer of a server nor a package that unpacks to any size fills the disk.
    """
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    least = min(limit for limit in (size, before, most) if limit != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
