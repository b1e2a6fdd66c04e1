"""The frame of every program: it ends with its run, tidied up, and says in one message what a person can mend."""

import errno
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from weight_importance.runtime.errors import RUN, full_disk, this_run

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
PROGRAM = """
import os, sys, time
from weight_importance.runtime.errors import UserError, run_program
def main():
    {body}
run_program(main)
"""
WAITS = """
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        open("tidied", "w").close()
"""


def program(body: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(body=textwrap.dedent(body).strip().replace("\n", "\n    "))]


def named(process: int) -> str:
    return this_run().replace(str(os.getpid()), str(process), 1)


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(SCRIPTS)} | more


def test_a_program_ends_when_its_run_is_killed(tmp_path):
    """The run is a process apart from the one that started the program, as Snakemake is from a job's shell."""
    with subprocess.Popen(["sleep", "60"]) as run:
        job = subprocess.Popen(
            program(WAITS), cwd=tmp_path, env=environment(**{RUN: named(run.pid)}), stdout=-1, stderr=-1, text=True
        )
        assert job.stdout.readline() == "begun\n"
        run.kill()
        run.wait()
        _, said = job.communicate(timeout=20)
    assert job.returncode == 1 and said.startswith("interrupted: no half-written file was kept")
    assert (tmp_path / "tidied").exists()


def test_a_program_ends_when_its_shell_is_killed(tmp_path):
    command = [sys.executable, "-c", f"import subprocess; subprocess.run({program(WAITS)!r})"]
    shell = subprocess.Popen(command, cwd=tmp_path, env=environment(**{RUN: this_run()}), stdout=-1, text=True)
    assert shell.stdout.readline() == "begun\n"
    shell.kill()
    shell.wait()
    assert shell.stdout.read() == ""  # at its end, when the program has ended, too
    assert (tmp_path / "tidied").exists()


def test_a_program_whose_run_died_before_does_not_begin(tmp_path):
    with subprocess.Popen(["true"]) as gone:
        pass
    job = subprocess.run(program(WAITS), cwd=tmp_path, env=environment(**{RUN: named(gone.pid)}), capture_output=True)
    assert job.returncode == 1 and job.stdout == b""


def test_a_process_of_another_namespace_is_not_watched(tmp_path):
    job = subprocess.run(program("print('done')"), env=environment(**{RUN: "99999999 pid:[1]"}), capture_output=True)
    assert job.returncode == 0 and job.stdout == b"done\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise MemoryError", "memory ran out"),
        ("raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory: 1 byte')", "memory ran out .*1 byte"),
        (
            f"raise OSError({errno.ENOSPC}, 'No space left on device', 'x.csv')",
            r"cannot write x\.csv: the disk mounted",
        ),
        (f"raise OSError({errno.EDQUOT}, 'Disk quota exceeded')", r"cannot write \.: the disk mounted"),
        ("raise UserError('mend it')", "mend it"),
    ],
)
def test_what_a_person_can_mend_is_one_line(body, message, tmp_path):
    job = subprocess.run(program(body), cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert job.returncode == 1
    (line,) = job.stderr.splitlines()
    assert re.match(f"error: {message}", line), line


def test_another_error_keeps_its_traceback(tmp_path):
    job = subprocess.run(program("raise RuntimeError('a bug')"), env=environment(), capture_output=True, text=True)
    assert "Traceback" in job.stderr and job.stderr.endswith("RuntimeError: a bug\n")


def test_a_full_disk_is_named_with_what_is_free(tmp_path):
    said = str(full_disk(tmp_path / "not yet" / "x.csv"))
    assert f"{tmp_path}/not yet/x.csv" in said and "MB free" in said and "the same command again" in said
