"""Run programs as forks of this process, in which the libraries are loaded: a job then starts in milliseconds.

Loading PyTorch and the other libraries takes longer than most jobs. For a run on one machine the workflow starts this
process (common.smk), and ``python`` in the jobs hands its command to it (job.sh, preloaded.py). It loads no module of
the project, so that every job reads the current code. It ends when the run ends and closes its standard input.

Usage: python preload.py SOCKET
"""

import atexit
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from contextlib import suppress
from ctypes import CDLL
from importlib import import_module
from pathlib import Path

LIBRARIES = (
    "torch",
    # loaded by torch when it first takes a trace, in every training
    "torch.fx.experimental.symbolic_shapes",
    "torch._inductor.compiler_bisector",
    "torch._inductor.fx_passes.dedupe_symint_uses",
    "safetensors.torch",
    "pandas",
    "scipy.stats",
    "pydantic",
    # not matplotlib, which reads MPLBACKEND when it is loaded; kernels set it
    "papermill.execute",
    "nbconvert",
    "jsonschema",
    "ipykernel.kernelapp",
)

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""

STARTED = b"+"
"""Sent to a client when its program is running."""

PATIENCE = 10.0
"""Seconds within which a client must send its request."""


class Request:
    """A program that a client wants to run: command, folder, environment, and standard input, output and error.

    Raises:
        OSError, ValueError: the client was killed or sent something else.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.descriptors: list[int] = []
        try:
            content, self.descriptors, _, _ = socket.recv_fds(connection, 2**16, 3)
            while content and not content.endswith(b"\n"):
                more = connection.recv(2**16)
                content = content + more if more else b""
            self.command, self.folder, self.environment = json.loads(content)
        except (OSError, ValueError):
            self.close()
            raise

    def close(self) -> None:
        """Close the received descriptors."""
        for descriptor in self.descriptors:
            os.close(descriptor)


class Jobs:
    """The running programs, each with the connection to its client."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.clients: dict[int, socket.socket] = {}
        self.wake, self.written = socket.socketpair()
        self.wake.setblocking(False)
        self.written.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.written.fileno())
        self.selector = selectors.DefaultSelector()
        for waiting in (listener, self.wake, sys.stdin):
            self.selector.register(waiting, selectors.EVENT_READ)

    def serve(self) -> Request:
        """Start programs and report their ends; returns only in a fork, with the program to run."""
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    request = self.start()
                    if request:
                        return request
                elif key.fileobj is self.wake:
                    self.wake.recv(2**12)
                    self.report()
                elif key.fileobj is sys.stdin:  # the run has ended
                    os._exit(0)
                elif key.data in self.clients:  # otherwise reported a moment ago
                    self.forward(key.data)

    def start(self) -> Request | None:
        """Fork for the next client; returns its request in the fork, ``None`` in this process."""
        with suppress(OSError, ValueError):
            connection, _ = self.listener.accept()
            connection.settimeout(PATIENCE)
            try:
                request = Request(connection)
                process = self.fork(request)
            except (OSError, ValueError):  # the client starts the program itself, if it is still there
                connection.close()
                raise
            if process == 0:
                self.leave(connection)
                return request
            self.clients[process] = connection
            self.selector.register(connection, selectors.EVENT_READ, process)
        return None

    @staticmethod
    def fork(request: Request) -> int:
        """Fork; the process of the fork, or 0 in it. The descriptors of the request stay open only there."""
        process = 1
        try:
            process = os.fork()
        finally:
            if process:
                request.close()
        return process

    def leave(self, connection: socket.socket) -> None:
        """In a fork: confirm the start to the client, and close what belongs to the other process."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        send(connection, STARTED)
        self.selector.close()
        for other in (self.listener, self.wake, self.written, connection, *self.clients.values()):
            other.close()

    def report(self) -> None:
        """Send the exit status of every program that has ended to its client."""
        while self.clients:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            connection = self.clients.pop(process)
            code = os.waitstatus_to_exitcode(status)
            send(connection, bytes([code if code >= 0 else 128 - code]))
            if connection in self.selector.get_map():
                self.selector.unregister(connection)
            connection.close()

    def forward(self, process: int) -> None:
        """Pass a signal on to a program, or end it if its client is gone."""
        connection = self.clients[process]
        try:
            received = connection.recv(1)
        except OSError:
            received = b""
        if not received:
            self.selector.unregister(connection)
        os.kill(process, received[0] if received else signal.SIGTERM)


def send(connection: socket.socket, content: bytes) -> None:
    """Send to a client that may be gone."""
    with suppress(OSError):
        connection.sendall(content)


def main() -> None:
    ending = [1]  # the exit status of a fork
    atexit.register(end, ending)
    place = Path(sys.argv[1])
    listener = socket.socket(socket.AF_UNIX)
    try:
        os.chdir(place.parent)  # a socket's path may have at most 107 bytes
        place.unlink(missing_ok=True)
        mask = os.umask(0o077)  # only this user may connect
        listener.bind(place.name)
        os.umask(mask)
        listener.listen(128)
    except OSError:  # a file system without sockets: jobs load the libraries themselves
        os._exit(0)
    for library in LIBRARIES:
        with suppress(ImportError):  # in an environment for Snakemake alone
            import_module(library)
    gc.collect()
    gc.freeze()  # later collections leave these pages shared between the forks
    become(Jobs(listener).serve(), ending)


def become(request: Request, ending: list[int]) -> None:
    """Run the requested program in this process."""
    loaded_from = {*os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    libraries = [place for place in sys.path[1:] if place not in loaded_from]
    for target, descriptor in enumerate(request.descriptors):
        os.dup2(descriptor, target)
    request.close()
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    is_module = request.command[0] == "-m"
    sys.argv = request.command[is_module:]
    first = request.folder if is_module else str(Path(sys.argv[0]).resolve().parent)
    given = filter(None, request.environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [first, *given, *libraries]
    try:
        if is_module:
            end_with_parent()
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
        ending[0] = 0
    except SystemExit as error:
        if isinstance(error.code, int):
            ending[0] = error.code
        elif error.code is None:
            ending[0] = 0
        else:
            print(error.code, file=sys.stderr)


def end_with_parent() -> None:
    """Have this process end when its parent ends (Linux); the workflow's programs do that themselves (run_program)."""
    with suppress(AttributeError, OSError):
        CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end(status: list[int]) -> None:
    """End a fork after all other exit functions, without deleting all objects of the libraries (0.3 s)."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # closed by the program, or a full disk
        status[0] = status[0] or 120
    finally:
        os._exit(status[0])


if __name__ == "__main__":
    main()
