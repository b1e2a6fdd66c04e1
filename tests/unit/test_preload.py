"""Programs as forks of a process: what they are given, how they end, and what ends them."""

import os
import re
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import preload

RULES = Path(__file__).parents[2] / "workflow/rules"
WITHOUT_LIBRARIES = f"""
import sys
sys.path.insert(0, {str(RULES)!r})
import preload
preload.LIBRARIES, preload.PATIENCE = (), 0.5
preload.main()
"""
CLIENT = [sys.executable, "-IS", str(RULES / "preloaded.py")]

SHOWN = """
import os, sys
print(os.path.basename(sys.argv[0]), sys.argv[1:], os.getcwd(), os.environ["WORD"], sys.stdin.read())
print(os.getppid(), file=sys.stderr)
"""
SLEEPS = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
pathlib.Path("begun").write_text(str(os.getpid()))
time.sleep(60)
"""


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[subprocess.Popen]:
    """The process, without libraries."""
    place = tmp_path / "socket"
    with subprocess.Popen([sys.executable, "-c", WITHOUT_LIBRARIES, place], stdin=subprocess.PIPE) as process:
        monkeypatch.setenv("IMPORTANCE_ATLAS_PYTHON", sys.executable)
        monkeypatch.setenv("IMPORTANCE_ATLAS_PRELOADED", str(place))
        eventually(lambda: accepts(place))
        yield process


def accepts(place: Path) -> bool:
    """Whether a socket has a listener; it ignores this connection, which sends nothing."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(place)) == 0


def eventually(condition):
    """Wait until a condition holds."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def begun(tmp_path, text: str) -> tuple[subprocess.Popen, int]:
    """Start a program that writes its process ID and its parent's; returns the client and its ID.

    The client passes signals on: one that is ended before it does so ends with this signal, and its program with it.
    """
    (tmp_path / "program.py").write_text(text, encoding="utf-8")
    client = subprocess.Popen([*CLIENT, "-m", "program"], cwd=tmp_path)
    file = tmp_path / "begun"
    eventually(lambda: file.exists() and file.read_text())
    process = int(file.read_text())
    assert process != client.pid, "a fork"
    eventually(lambda: handles(client.pid, signal.SIGTERM))
    return client, process


def handles(process: int, number: int) -> bool:
    """Whether a process has a handler for a signal (proc_pid_status(5))."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    (mask,) = re.findall(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("has_server", [True, False])
def test_a_program_receives_what_a_plain_start_gives_it(tmp_path, has_server, request):
    parent = request.getfixturevalue("server").pid if has_server else os.getpid()
    (tmp_path / "shown.py").write_text(SHOWN, encoding="utf-8")
    for program in (["shown.py"], ["-m", "shown"]):
        command = [*CLIENT, *program, "a b", "c"]
        environment = os.environ | {"WORD": "ü", "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, input="in", capture_output=True, text=True)
        assert done.stdout == f"shown.py ['a b', 'c'] {tmp_path} ü in\n"
        assert (done.returncode, done.stderr) == (0, f"{parent}\n")


@pytest.mark.parametrize(
    ("text", "status", "errors"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('error: why')", 1, "error: why\n"),
        ("raise ValueError('why')", 1, "ValueError: why\n"),
        ("import os; os.kill(os.getpid(), 9)", 137, ""),
        ("import atexit; atexit.register(print, 'last')", 0, ""),
    ],
)
def test_the_exit_status_is_that_of_the_program(server, tmp_path, text, status, errors):
    (tmp_path / "program.py").write_text(text, encoding="utf-8")
    done = subprocess.run([*CLIENT, "program.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == status
    assert done.stderr.endswith(errors) and bool(done.stderr) == bool(errors)
    assert done.stdout == ("last\n" if "last" in text else "")


def test_another_python_starts_the_program_itself(server, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPORTANCE_ATLAS_PYTHON", "/usr/bin/another")
    monkeypatch.setenv("WORD", "")
    (tmp_path / "shown.py").write_text(SHOWN, encoding="utf-8")
    done = subprocess.run([*CLIENT, "shown.py"], cwd=tmp_path, input="", capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, f"{os.getpid()}\n")


def test_a_client_that_sends_nothing_or_half_a_request_stops_no_other(server, tmp_path):
    place = os.environ["IMPORTANCE_ATLAS_PRELOADED"]
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as ended:
        silent.connect(place)
        ended.connect(place)
        socket.send_fds(ended, [b"[[1,"], [0, 1, 2])
        ended.close()
        client, _ = begun(tmp_path, SLEEPS)
    client.terminate()
    assert client.wait(20) == 5


def test_a_reported_end_and_a_lost_client_at_the_same_moment_leave_the_server_running():
    """The selector may return the connection of a program whose end has just been reported."""
    with socket.socket(socket.AF_UNIX) as listener:
        jobs = preload.Jobs.__new__(preload.Jobs)
        jobs.listener, jobs.clients, jobs.wake = listener, {}, socket.socketpair()[0]
        events = [selectors.SelectorKey(None, 9, 0, 12345)]
        jobs.selector = SimpleNamespace(select=iter([[(key, 1) for key in events]]).__next__)
        with pytest.raises(StopIteration):
            jobs.serve()


def test_a_program_ends_when_the_shell_of_its_job_is_killed(server, tmp_path):
    (tmp_path / "program.py").write_text(SLEEPS, encoding="utf-8")
    shell = subprocess.Popen(["bash", "-c", f"{shlex.join(CLIENT)} program.py; true"], cwd=tmp_path)
    file = tmp_path / "begun"
    eventually(lambda: file.exists() and file.read_text())
    shell.kill()
    shell.wait()
    eventually(lambda: not is_running(int(file.read_text())))


def test_signals_reach_the_program(server, tmp_path):
    client, _ = begun(tmp_path, SLEEPS)
    client.terminate()
    assert client.wait(20) == 5


def test_a_program_ends_with_its_client(server, tmp_path):
    client, process = begun(tmp_path, SLEEPS)
    client.kill()
    client.wait()
    eventually(lambda: not is_running(process))
    assert server.poll() is None


def test_programs_end_with_the_run(server, tmp_path):
    client, process = begun(tmp_path, SLEEPS)
    server.stdin.close()
    assert server.wait(20) == 0
    eventually(lambda: not is_running(process))
    assert client.wait(20) == 1
