"""The shell code around every job: a killed job and a full disk are explained on the screen and in the log."""

import subprocess
from pathlib import Path

import pytest

JOB = Path(__file__).parents[2] / "workflow/rules/job.sh"


def job(folder, command):
    """Run a job like Snakemake: exit status, screen and log."""
    command = f"set -euo pipefail; . {JOB};  {command} > job.log 2>&1 "
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, (folder / "job.log").read_text()


def test_a_killed_job_is_explained(tmp_path):
    status, screen, log = job(tmp_path, "bash -c 'echo begun; kill -9 $$'")
    assert status == 137
    for output in (screen, log.removeprefix("begun\n")):
        assert "error: the job was killed (signal 9), as the system does when memory runs out" in output
        assert "--cores 1" in output and "shard_size" in output and "the same command again" in output


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("false", 1), ("bash -c 'exit 3'", 3)])
def test_nothing_is_added_to_a_job_that_ends_normally(command, status, tmp_path):
    assert job(tmp_path, command) == (status, "", "")


def test_a_full_disk_is_explained(tmp_path):
    (tmp_path / "df").write_text("#!/bin/sh\necho header; echo tmpfs 100 100 0 100% /small\n")
    (tmp_path / "df").chmod(0o755)
    status, screen, _ = job(tmp_path, f"PATH={tmp_path}:$PATH; false")
    assert status == 1
    assert "job.log, may be incomplete: the disk is full (0 KB free on the disk mounted at /small)" in screen
