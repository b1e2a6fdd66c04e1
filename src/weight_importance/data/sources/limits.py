"""Time and file-size limits for sources."""

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
"""Maximum bytes that a source may write or an archive may unpack to: several times the largest data set."""


@contextmanager
def socket_timeout(seconds: float) -> Iterator[None]:
    """Limit the silence of sockets within the block to ``seconds`` (torchvision sets no limit)."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def file_size_limit(size: int = LARGEST_FILE) -> Iterator[None]:
    """Limit files written within the block, by this process and its children, to ``size`` bytes.

    Neither an endless response of a server nor a package of any unpacked size can fill the disk.
    """
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    least = min(limit for limit in (size, before, most) if limit != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
