"""Have a program run as a fork of the process with the loaded libraries (preload.py), or run it if there is none.

Usage: python -IS preloaded.py PROGRAM.py ARGUMENTS, or python -IS preloaded.py -m MODULE ARGUMENTS
"""

import json
import os
import signal
import socket
import sys

# preload.py is not imported: this program starts with every job
STARTED = b"+"


def main() -> None:
    with socket.socket(socket.AF_UNIX) as server:
        if not started(server):
            os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: server.send(bytes([number])))
        status = server.recv(1)
    if not status:
        sys.exit("error: the process that starts the jobs has ended. Run the same command again.")
    sys.exit(status[0])


def started(server: socket.socket) -> bool:
    """Whether the other process runs the program."""
    folder = os.getcwd()
    try:
        os.chdir(
            os.path.dirname(os.environ["IMPORTANCE_ATLAS_PRELOADED"])
        )  # a socket's path may have at most 107 bytes
        server.connect(os.path.basename(os.environ["IMPORTANCE_ATLAS_PRELOADED"]))
        request = json.dumps([sys.argv[1:], folder, dict(os.environ)]).encode() + b"\n"
        sent = socket.send_fds(server, [request], [0, 1, 2])
        server.sendall(request[sent:])
        return server.recv(1) == STARTED
    except (KeyError, OSError):
        return False
    finally:
        os.chdir(folder)


if __name__ == "__main__":
    main()
