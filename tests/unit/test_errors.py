"""The frame of every program: it ends with its run, cleans up, and reports errors that users can fix in one message."""

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
    """The run is not the parent of the program, as Snakemake is not the parent of a job's program."""
    with subprocess.Popen(["sleep", "60"]) as run:
        job = subprocess.Popen(
            program(WAITS), cwd=tmp_path, env=environment(**{RUN: named(run.pid)}), stdout=-1, stderr=-1, text=True
        )
        assert job.stdout.readline() == "begun\n"
        run.kill()
        run.wait()
        _, output = job.communicate(timeout=20)
    assert job.returncode == 1 and output.startswith("interrupted: no half-written file was kept")
    assert (tmp_path / "tidied").exists()


def test_a_program_ends_when_its_shell_is_killed(tmp_path):
    command = [sys.executable, "-c", f"import subprocess; subprocess.run({program(WAITS)!r})"]
    shell = subprocess.Popen(command, cwd=tmp_path, env=environment(**{RUN: this_run()}), stdout=-1, text=True)
    assert shell.stdout.readline() == "begun\n"
    shell.kill()
    shell.wait()
    assert shell.stdout.read() == ""  # returns once the program has also ended
    assert (tmp_path / "tidied").exists()


def test_a_program_does_not_start_if_its_run_has_died(tmp_path):
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
        ("raise UserError('fix it')", "fix it"),
    ],
)
def test_errors_that_a_user_can_fix_are_one_line(body, message, tmp_path):
    job = subprocess.run(program(body), cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert job.returncode == 1
    (line,) = job.stderr.splitlines()
    assert re.match(f"error: {message}", line), line


def test_other_errors_keep_their_traceback(tmp_path):
    job = subprocess.run(program("raise RuntimeError('a bug')"), env=environment(), capture_output=True, text=True)
    assert "Traceback" in job.stderr and job.stderr.endswith("RuntimeError: a bug\n")


def test_a_full_disk_is_reported_with_its_free_space(tmp_path):
    output = str(full_disk(tmp_path / "not yet" / "x.csv"))
    assert f"{tmp_path}/not yet/x.csv" in output and "MB free" in output and "the same command again" in output
