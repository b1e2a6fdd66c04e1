"""A ``python`` command that runs the programs of a workflow as forks of a process with the libraries loaded.

A job of a small study computes for less time than Python and its libraries take to start. A folder with this command,
first on the path, makes a run of the workflow several times faster. Everything else that ``python`` is asked for is run
by Python itself.
"""

import json
import os
import socketserver
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import programs

CLIENT = """
import json, os, socket, sys
arguments = sys.argv[1:]
if not arguments[0].startswith("workflow/scripts/"):
    os.execv(sys.executable, [sys.executable, *arguments])
with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.path.join(os.path.dirname(__file__), "socket"))
    with server.makefile("rw", encoding="utf-8") as stream:
        print(json.dumps([arguments, os.getcwd(), dict(os.environ)]), file=stream, flush=True)
        status, output, errors = json.load(stream)
sys.stdout.write(output)
sys.stderr.write(errors)
sys.exit(status if status >= 0 else 128 - status)
"""


class Handler(socketserver.StreamRequestHandler):
    """Runs one program and answers with its exit status and output."""

    def handle(self) -> None:
        (program, *arguments), folder, environment = json.loads(self.rfile.readline())
        done = programs.run(Path(folder, program), *arguments, cwd=folder, env=environment)
        self.wfile.write(json.dumps([done.returncode, done.stdout, done.stderr]).encode())


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Runs programs side by side."""

    daemon_threads = True


@contextmanager
def command() -> Iterator[str]:
    """A value of PATH with the command first, for as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder, Server(f"{folder}/socket", Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Path(folder, "client.py").write_text(CLIENT, encoding="utf-8")
        python = Path(folder, "python")
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{folder}/client.py" "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        try:
            yield f"{folder}{os.pathsep}{os.environ['PATH']}"
        finally:
            server.shutdown()
