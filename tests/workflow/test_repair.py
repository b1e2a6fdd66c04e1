"""Damaged results are named and set aside before planning; whole ones, and what is not ours, are left alone."""

import fcntl
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

import repair
from weight_importance.storage import write_text

RESULTS = [
    "data/a.safetensors",
    "summary/a.csv",
    "notebooks/a.ipynb",
    "figures/a.pdf",
    "tables/a.tex",
    "paper/numbers.tex",
    "runs/study/importance/mas/seeds-0-0.safetensors",
]
DAMAGE = {
    "cut off within a line": lambda content: content[:-3],
    "cut off after a line": lambda content: content[: content.index(b"\n") + 1],
    "altered": lambda content: content.replace(b"1", b"2"),
    "emptied": lambda content: b"",
}


def results(folder):
    for name in RESULTS:
        write_text(folder / name, "x,y\n1,2\n3,4\n")
    return folder


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", RESULTS)
def test_a_damaged_file_is_named_and_set_aside(name, damage, tmp_path, capsys):
    file = results(tmp_path) / name
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    found = file.read_bytes()
    repair.set_damaged_aside(tmp_path, ["--cores", "2"])
    assert capsys.readouterr().err.startswith(f"{file}: is not what was written")
    assert [other for other in RESULTS if not (tmp_path / other).exists()] == [name]
    assert file.with_name(f"{file.name}.altered").read_bytes() == found


def test_with_a_damaged_notebook_goes_its_page(tmp_path):
    write_text(tmp_path / "a.ipynb", "{}")
    write_text(tmp_path / "a.html", "<html></html>")
    (tmp_path / "a.ipynb").write_text("{")
    repair.set_damaged_aside(tmp_path, [])
    assert not (tmp_path / "a.html").exists()


def test_whole_results_and_files_of_others_are_left_alone(tmp_path, capsys):
    results(tmp_path)
    (tmp_path / "summary" / "notes.csv").write_text("")
    repair.set_damaged_aside(tmp_path, [])
    assert capsys.readouterr().err == ""
    assert all((tmp_path / name).exists() for name in [*RESULTS, "summary/notes.csv"])


@pytest.mark.parametrize(
    "option", ["-n", "-np", "--dry-run", "--dryrun", "--lint", "--report=x.html", "--dag", "--unlock"]
)
def test_where_nothing_runs_nothing_is_renamed(option, tmp_path, capsys):
    (results(tmp_path) / RESULTS[0]).write_text("x")
    repair.set_damaged_aside(tmp_path, ["--cores", "all", option])
    assert capsys.readouterr().err.count("would be renamed") == 1
    assert all((tmp_path / name).exists() for name in RESULTS)


@pytest.mark.parametrize("option", ["-F", "--forceall", "-R", "--keep-going", "--report-after-run"])
def test_where_something_runs_damage_is_set_aside(option, tmp_path):
    (results(tmp_path) / RESULTS[0]).write_text("x")
    repair.set_damaged_aside(tmp_path, ["--cores", "all", option])
    assert not (tmp_path / RESULTS[0]).exists()


@pytest.fixture
def killed(tmp_path):
    """What a run leaves that was killed: its name, Snakemake's lock, a half-written file."""
    state = tmp_path / ".snakemake"
    (state / "locks").mkdir(parents=True)
    (state / "locks" / "0.output.lock").write_text("results/a.csv\n")
    (state / repair.ALIVE).write_text(f"process 1 on {socket.gethostname()}\n")
    results(tmp_path / "results")
    (tmp_path / "results" / "summary" / ".a.csv.abc.partial").write_text("x,")
    yield state
    while repair._held:
        repair._held.pop().close()


def left(state):
    return (state / "locks").exists(), bool([*state.parent.rglob("*.partial")])


def take_over(state, *arguments):
    repair.take_over(state, state.parent / "results", arguments)


def test_what_a_killed_run_left_is_cleared_away(killed, capsys):
    take_over(killed, "--cores", "2")
    assert left(killed) == (False, False)
    said = capsys.readouterr().err
    assert "locks: left by a run that was killed; removed" in said and ".partial: left half-written" in said
    assert all((killed.parent / "results" / name).exists() for name in RESULTS)


def test_beside_a_run_that_lives_everything_is_left(killed, capsys):
    take_over(killed, "--cores", "2")
    (killed / "locks").mkdir()
    (killed / "locks" / "0.output.lock").write_text("results/a.csv\n")
    (killed.parent / "results" / ".b.csv.abc.partial").write_text("x,")
    capsys.readouterr()
    for _ in range(2):  # the second stands beside two
        program = (
            "import sys, repair; from pathlib import Path; "
            "repair.take_over(Path(sys.argv[1]), Path(sys.argv[2]), ['--cores', '2'])"
        )
        rules = Path(repair.__file__).parent
        scripts = rules.parent / "scripts"
        other = subprocess.run(
            [sys.executable, "-c", program, killed, killed.parent / "results"],
            env={"PYTHONPATH": f"{rules}:{scripts}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "another run is at work here (process " in other.stderr
        assert left(killed) == (True, True)


@pytest.mark.parametrize("last", ["process 1 on another-machine\n", None])
def test_a_run_on_another_machine_or_of_before_is_not_judged(last, killed):
    (killed / repair.ALIVE).unlink() if last is None else (killed / repair.ALIVE).write_text(last)
    take_over(killed, "--cores", "2")
    assert left(killed) == (True, True)


def test_where_files_cannot_be_locked_snakemake_s_own_locks_decide(killed, monkeypatch):
    def refuse(file, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    take_over(killed, "--cores", "2")
    assert left(killed) == (True, True)


@pytest.mark.parametrize("option", ["--dry-run", "-n", "--unlock", "--lint"])
def test_where_nothing_runs_nothing_is_cleared_away(option, killed):
    take_over(killed, "--cores", "all", option)
    assert left(killed) == (True, True) and not repair._held


def test_on_a_full_disk_nothing_is_begun(killed, monkeypatch):
    usage = namedtuple("usage", ["free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**20))
    with pytest.raises(SystemExit, match=r"results cannot be written: the disk mounted at / is full \(1\.0 MB free\)"):
        take_over(killed, "--cores", "2")
    take_over(killed, "--dry-run")


JOB = Path(repair.__file__).with_name("job.sh")


def job(folder, command):
    """As Snakemake runs a job; what stands on the screen, and in the log."""
    command = f"set -euo pipefail; . {JOB};  {command} > job.log 2>&1 "
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, (folder / "job.log").read_text()


def test_a_job_that_is_killed_says_so_and_what_to_do(tmp_path):
    status, screen, log = job(tmp_path, "bash -c 'echo begun; kill -9 $$'")
    assert status == 137
    for said in (screen, log.removeprefix("begun\n")):
        assert "error: the job was killed (signal 9), as the system does when memory runs out" in said
        assert "--cores 1" in said and "shard_size" in said and "the same command again" in said


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("false", 1), ("bash -c 'exit 3'", 3)])
def test_a_job_that_ends_by_itself_speaks_for_itself(command, status, tmp_path):
    assert job(tmp_path, command) == (status, "", "")


def test_a_job_that_fails_on_a_full_disk_says_so(tmp_path):
    (tmp_path / "df").write_text("#!/bin/sh\necho header; echo tmpfs 100 100 0 100% /small\n")
    (tmp_path / "df").chmod(0o755)
    status, screen, _ = job(tmp_path, f"PATH={tmp_path}:$PATH; false")
    assert status == 1
    assert "job.log, may end early: the disk is full (0 KB free on the disk mounted at /small)" in screen
