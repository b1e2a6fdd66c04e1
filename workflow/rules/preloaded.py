"""Have a program run as a fork of the process with the loaded libraries (preload.py), or run it if there is none.

Usage: python -IS preloaded.py PROGRAM.py ARGUMENTS, or python -IS preloaded.py -m MODULE ARGUMENTS
"""

import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress

STARTED = b"+"
"""As in preload.py, which is not imported, because this program starts with every job."""


def main() -> None:
    with socket.socket(socket.AF_UNIX) as server:
        if not started(server):
            os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606 (no shell is involved)

        def forward(number: int, _: object) -> None:
            with suppress(OSError):  # the program has just ended
                server.send(bytes([number]))

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, forward)
        waiting = [server.fileno(), *death_of(os.getppid())]
        if server.fileno() not in select.select(waiting, [], [])[0]:
            sys.exit(1)  # nobody waits for the program: it ends with this connection
        status = server.recv(1)
    if not status:
        sys.exit("error: the process that starts the jobs has ended. Run the same command again.")
    sys.exit(status[0])


def started(server: socket.socket) -> bool:
    """Whether the other process runs the program; it must have been started by the same Python."""
    environment = dict(os.environ)
    if environment.get("IMPORTANCE_ATLAS_PYTHON") != sys.executable:
        return False
    folder, place = os.getcwd(), environment["IMPORTANCE_ATLAS_PRELOADED"]
    try:
        os.chdir(os.path.dirname(place))  # a socket's path may have at most 107 bytes
        server.connect(os.path.basename(place))
        request = json.dumps([sys.argv[1:], folder, environment]).encode() + b"\n"
        sent = socket.send_fds(server, [request], [0, 1, 2])
        server.sendall(request[sent:])
        return server.recv(1) == STARTED
    except OSError:
        return False
    finally:
        os.chdir(folder)


def death_of(process: int) -> list[int]:
    """A descriptor that is readable when a process has ended; none on an older system."""
    try:
        return [os.pidfd_open(process)]
    except (AttributeError, OSError):
        return []


if __name__ == "__main__":
    main()
