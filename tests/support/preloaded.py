"""Jobs of a workflow as forks of a process with the libraries loaded (programs.py).

A job of a small study takes less time than starting Python and its libraries. Bash, which runs the jobs, reads the file
in BASH_ENV, which redefines ``python`` for the programs of the workflow. The program that executes notebooks starts
their kernels with ``sys.executable``, which is replaced in the same way (programs.py).
"""

import json
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
with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.path.join(os.path.dirname(__file__), "socket"))
    os.environ.pop("JPY_PARENT_PID", None)  # a kernel whose parent is another process ends
    with server.makefile("rw", encoding="utf-8") as stream:
        print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]), file=stream, flush=True)
        status, output, errors = json.load(stream)
sys.stdout.write(output)
sys.stderr.write(errors)
sys.exit(status if status >= 0 else 128 - status)
"""

BASH = """
python() {{
    case "$1" in
        workflow/scripts/*|*/workflow/scripts/*) "{python}" -IS "{folder}/client.py" "$@" ;;
        *) command python "$@" ;;
    esac
}}
"""

PYTHON = """#!/bin/sh
trap "" INT  # sent by Jupyter before it ends a kernel
exec "{python}" -IS "{folder}/client.py" "$@"
"""


class Handler(socketserver.StreamRequestHandler):
    """Runs one program and returns its exit status and output."""

    def handle(self) -> None:
        (program, *arguments), folder, environment = json.loads(self.rfile.readline())
        if program == "-m":
            done = programs.run_module(*arguments, cwd=folder, env=environment)
        else:
            done = programs.run(Path(folder, program), *arguments, cwd=folder, env=environment)
        self.wfile.write(json.dumps([done.returncode, done.stdout, done.stderr]).encode())


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Runs programs in parallel."""

    daemon_threads = True


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """The environment variables that make jobs and kernels forks within the context."""
    with tempfile.TemporaryDirectory() as folder, Server(f"{folder}/socket", Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Path(folder, "client.py").write_text(CLIENT, encoding="utf-8")
        Path(folder, "bash").write_text(BASH.format(python=sys.executable, folder=folder), encoding="utf-8")
        kernel = Path(folder, "python")
        kernel.write_text(PYTHON.format(python=sys.executable, folder=folder), encoding="utf-8")
        kernel.chmod(0o755)
        try:
            yield {"BASH_ENV": f"{folder}/bash", programs.KERNELS: str(kernel)}
        finally:
            server.shutdown()
