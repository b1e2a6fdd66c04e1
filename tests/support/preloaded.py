"""Jobs of a workflow as forks of a process with the libraries loaded (programs.py).

A job of a small study computes for less time than Python and its libraries take to start. Bash, which runs the jobs,
reads a file named by BASH_ENV; here it redefines ``python`` for the programs of the workflow. The program that executes
notebooks starts their kernels by ``sys.executable``, which is replaced in the same way (programs.py).
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
trap "" INT  # which Jupyter sends to a kernel before it ends it
exec "{python}" -IS "{folder}/client.py" "$@"
"""


class Handler(socketserver.StreamRequestHandler):
    """Runs one program and answers with its exit status and output."""

    def handle(self) -> None:
        (program, *arguments), folder, environment = json.loads(self.rfile.readline())
        if program == "-m":
            done = programs.run_module(*arguments, cwd=folder, env=environment)
        else:
            done = programs.run(Path(folder, program), *arguments, cwd=folder, env=environment)
        self.wfile.write(json.dumps([done.returncode, done.stdout, done.stderr]).encode())


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Runs programs side by side."""

    daemon_threads = True


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """The variables of the environment that make jobs and kernels forks, for as long as the context lasts."""
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
