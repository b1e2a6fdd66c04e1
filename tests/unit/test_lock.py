"""Only one run at a time works in a folder; a killed run leaves no lock, except for its jobs on a cluster."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from weight_importance.runtime.errors import UserError, require_space
from weight_importance.runtime.lock import RunLock

HOLD = """
import sys
from weight_importance.runtime.lock import RunLock
lock = RunLock(sys.argv[1])
lock.acquire(cluster=sys.argv[2] == "cluster")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".snakemake/run.lock"


@pytest.fixture
def run(path):
    """Start a run in another process."""
    runs = []

    def start(where="here"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, path, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        runs.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield start
    for process in runs:
        process.kill()
        process.communicate()


def test_a_second_run_is_refused_until_the_first_is_killed(path, run):
    first = run()
    with pytest.raises(UserError, match=rf"another run is at work in this folder \(process {first.pid} on .*Wait"):
        RunLock(path).acquire()
    first.kill()
    first.wait()
    RunLock(path).acquire()
    assert f"process {os.getpid()} " in path.read_text()


def test_a_released_lock_is_free(path):
    for _ in range(2):
        lock = RunLock(path)
        lock.acquire(cluster=True)
        lock.release()


def test_after_a_killed_run_its_jobs_on_a_cluster_are_reported(path, run):
    first = run("cluster")
    first.kill()
    first.wait()
    for _ in range(2):
        with pytest.raises(UserError, match=rf"process {first.pid} on .* cluster\) was killed.*squeue --me.*delete"):
            RunLock(path).acquire()
    path.unlink()
    RunLock(path).acquire()


def test_a_file_system_without_locks_gives_a_warning(path, monkeypatch, capsys):
    def refuse(file, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    RunLock(path).acquire()
    assert f"warning: cannot lock {path}: No locks available" in capsys.readouterr().err


def test_a_run_does_not_start_on_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", ["free"])(2**20))
    with pytest.raises(UserError, match=r"results: the disk mounted at .* is full \(1\.0 MB free"):
        require_space(tmp_path / "results")
