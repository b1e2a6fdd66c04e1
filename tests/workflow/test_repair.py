"""Damaged results are named and set aside before planning; whole ones, and what is not ours, are left alone."""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

import repair
from command_line import LOCAL, asked
from weight_importance.files.integrity import seal_of
from weight_importance.files.provenance import record_of
from weight_importance.files.storage import write_text

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


RUN = asked(["--cores", "2"])


def look_over(results, *arguments):
    """What a start of Snakemake does about damage that has no other run beside it."""
    repair.set_damaged_aside(results.parent, results, asked(["--cores", "2", *arguments]) if arguments else RUN)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", RESULTS)
def test_a_damaged_file_is_named_and_set_aside(name, damage, tmp_path, capsys):
    file = results(tmp_path) / name
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    found = file.read_bytes()
    look_over(tmp_path)
    assert capsys.readouterr().err.startswith(f"{file}: is not what was written")
    assert [other for other in RESULTS if not (tmp_path / other).exists()] == [name]
    assert file.with_name(f"{file.name}.altered").read_bytes() == found


def test_no_later_damage_overwrites_what_was_set_aside(tmp_path, capsys):
    file = tmp_path / "a.csv"
    names = ["a.csv.altered", "a.csv.2.altered", "a.csv.3.altered"]
    for name in names:
        write_text(file, "x\n")
        file.write_text(f"a person's edit, kept as {name}")
        look_over(tmp_path)
        assert f"renamed to {name};" in capsys.readouterr().err
    assert all(name in (tmp_path / name).read_text() for name in names)


RECORD_DAMAGE = {
    "is gone": lambda record: record.unlink(),
    "is damaged": lambda record: record.write_bytes(record.read_bytes()[:-5]),
    "is of other content": lambda record: record.write_text(json.dumps({"sha256": "0"})),
}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("damage", RECORD_DAMAGE)
def test_a_result_without_its_record_is_made_anew(damage, name, tmp_path, capsys):
    file = results(tmp_path) / name
    RECORD_DAMAGE[damage](record_of(file))
    look_over(tmp_path)
    said = capsys.readouterr().err
    assert said.startswith(
        f"{file}: what it was made from is not known (.{file.name}.provenance.json {damage}): renamed"
    )
    assert [other for other in RESULTS if not (tmp_path / other).exists()] == [name]


@pytest.fixture
def read(monkeypatch):
    """The files whose content is looked at."""
    names, judged = [], repair.judged
    monkeypatch.setattr(repair, "judged", lambda file: names.append(file.name) or judged(file))
    return names


def test_what_was_found_whole_is_not_read_again(tmp_path, read, monkeypatch):
    monkeypatch.setattr(repair, "SETTLED", -time.time_ns())
    (tmp_path / "results").mkdir()
    results(tmp_path / "results")
    look_over(tmp_path / "results", "--dry-run")
    assert len(read) == len(RESULTS)
    look_over(tmp_path / "results")
    assert len(read) == len(RESULTS)
    (tmp_path / repair.WHOLE).write_text("{")
    look_over(tmp_path / "results")
    assert len(read) == 2 * len(RESULTS)


def test_what_was_written_just_now_is_read_again(tmp_path, read):
    for _ in range(2):
        look_over(results(tmp_path / "results"))
    assert len(read) == 2 * len(RESULTS)


def same_size_and_date(file):
    """What an editor cannot do, and a program that means to go unnoticed can."""
    about = file.stat()
    file.write_bytes(file.read_bytes().replace(b"1", b"2"))
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


LATER = {
    "the result": (lambda file: file.write_text("x"), "is not what was written"),
    "the result, its date put back": (same_size_and_date, "is not what was written"),
    "its seal": (lambda file: seal_of(file).write_text("0"), "is not what was written"),
    "its record": (lambda file: record_of(file).unlink(), "is gone"),
}


@pytest.mark.parametrize("changed", LATER)
def test_what_was_found_whole_and_changed_later_is_noticed(changed, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(repair, "SETTLED", -time.time_ns())
    folder = results(tmp_path / "results")
    look_over(folder)
    assert capsys.readouterr().err == "" and len(json.loads((tmp_path / repair.WHOLE).read_text())) == len(RESULTS)
    time.sleep(0.02)  # what the dates of this disk are told in
    change, problem = LATER[changed]
    change(folder / RESULTS[0])
    look_over(folder)
    said = capsys.readouterr().err
    assert said.startswith(f"{folder / RESULTS[0]}: ") and problem in said and said.count("\n") == 1
    assert not (folder / RESULTS[0]).exists()


def test_with_a_damaged_notebook_goes_its_page(tmp_path):
    write_text(tmp_path / "a.ipynb", "{}")
    write_text(tmp_path / "a.html", "<html></html>")
    (tmp_path / "a.ipynb").write_text("{")
    look_over(tmp_path)
    assert not (tmp_path / "a.html").exists()


def test_whole_results_and_files_of_others_are_left_alone(tmp_path, capsys):
    results(tmp_path)
    (tmp_path / "summary" / "notes.csv").write_text("")
    look_over(tmp_path)
    assert capsys.readouterr().err == ""
    assert all((tmp_path / name).exists() for name in [*RESULTS, "summary/notes.csv"])


TELLING = [
    *("-n", "-np", "-Fn", "--dry-run", "--dryrun", "--lint", "--report=x.html", "--dag", "--unlock", "-S", "-t"),
    *("--list-conda-envs", "--conda-create-envs-only", "--executor=dryrun"),
]
RUNNING = [
    *("-F", "--forceall", "-R", "-Rretention", "--keep-going", "--report-after-run", "--conda-prefix=n"),
    *("--conda-frontend=conda", "--use-conda", "-sSnakefile-n", "--rerun-triggers=mtime"),
]


@pytest.mark.parametrize("option", TELLING)
def test_where_nothing_runs_nothing_is_renamed(option, tmp_path, capsys):
    (results(tmp_path) / RESULTS[0]).write_text("x")
    look_over(tmp_path, option)
    assert capsys.readouterr().err.count("would be renamed") == 1
    assert all((tmp_path / name).exists() for name in RESULTS)


@pytest.mark.parametrize("option", RUNNING)
def test_where_something_runs_damage_is_set_aside(option, tmp_path):
    (results(tmp_path) / RESULTS[0]).write_text("x")
    look_over(tmp_path, option)
    assert not (tmp_path / RESULTS[0]).exists()


def test_who_runs_the_jobs_is_known_from_profiles_too():
    assert asked(["--cores", "2"]).executor == LOCAL
    assert asked(["-e", "slurm"]).executor == "slurm"
    profiles = Path(repair.__file__).parents[2] / "profiles"
    assert asked(["--profile", str(profiles / "slurm")]).executor == "slurm"
    assert asked(["--profile", str(profiles / "kubernetes"), "-n"]).executor == "cluster-generic"


def test_where_the_arguments_are_of_another_program_nothing_is_touched():
    """Such as of one that calls Snakemake's library."""
    assert not asked(["--no-option-of-snakemake"]).runs


@pytest.fixture
def killed(tmp_path):
    """What a run leaves that was killed: its name, Snakemake's lock, a half-written file."""
    state = tmp_path / ".snakemake"
    (state / "locks").mkdir(parents=True)
    (state / "locks" / "0.output.lock").write_text("results/a.csv\n")
    (state / repair.ALIVE).write_text(f"process 1 on {socket.gethostname()}, executor local\n")
    results(tmp_path / "results")
    (tmp_path / "results" / "summary" / ".a.csv.abc.partial").write_text("x,")
    yield state
    ended()


def left(state):
    return (state / "locks").exists(), bool([*state.parent.rglob("*.partial")])


def begin(state, *arguments):
    """Whether this run was found to be alone is seen by a damaged result: only then it is set aside."""
    damaged = state.parent / "results" / RESULTS[0]
    write_text(damaged, "whole")
    damaged.write_text("damaged")
    repair.begin(state, state.parent / "results", arguments)
    return not damaged.exists()


def test_what_a_killed_run_left_is_cleared_away(killed, capsys):
    assert begin(killed, "--cores", "2")
    assert left(killed) == (False, False)
    said = capsys.readouterr().err
    assert "locks: left by a run that was killed; removed" in said and ".partial: left half-written" in said
    assert all((killed.parent / "results" / name).exists() for name in RESULTS[1:])


def test_beside_a_run_that_lives_everything_is_left(killed, capsys):
    assert begin(killed, "--cores", "2")
    (killed / "locks").mkdir()
    (killed / "locks" / "0.output.lock").write_text("results/a.csv\n")
    (killed.parent / "results" / ".b.csv.abc.partial").write_text("x,")
    capsys.readouterr()
    damaged = killed.parent / "results" / RESULTS[1]
    damaged.write_text("as it is for a moment while it is written")
    for _ in range(2):  # the second stands beside two
        program = (
            "import sys, repair; from pathlib import Path; "
            "repair.begin(Path(sys.argv[1]), Path(sys.argv[2]), ['--cores', '2'])"
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
        assert left(killed) == (True, True) and damaged.exists()


def ended():
    """As if the process had ended that called."""
    while repair._held:
        repair._held.pop().close()


@pytest.mark.parametrize("last", ["process 1 on another-machine, executor local\n", "unknown\n", None])
def test_a_run_on_another_machine_or_of_before_is_not_judged_however_often_it_is_tried(last, killed):
    (killed / repair.ALIVE).unlink() if last is None else (killed / repair.ALIVE).write_text(last)
    for _ in range(3):
        assert not begin(killed, "--cores", "2")
        assert left(killed) == (True, True)
        ended()
    shutil.rmtree(killed / "locks")  # it has come to its end
    assert begin(killed, "--cores", "2")
    ended()
    assert begin(killed, "--cores", "2") and left(killed) == (False, False)


def test_where_a_cluster_ran_the_jobs_nothing_is_cleared_and_it_is_said_what_to_do(killed, capsys):
    shutil.rmtree(killed / "locks")
    assert begin(killed, "--executor", "slurm", "--jobs", "9")
    ended()
    (killed / "locks").mkdir()
    (killed / "locks" / "0.output.lock").write_text("results/a.csv\n")
    job = killed.parent / "results" / ".c.csv.abc.partial"
    job.write_text("a job lives and writes")
    capsys.readouterr()
    for arguments in (["--executor", "slurm", "--jobs", "9"], ["--cores", "2"]):
        assert not begin(killed, *arguments)
        ended()
        assert left(killed) == (True, True) and job.exists()
        said = capsys.readouterr().err
        assert f"(process {os.getpid()} on {socket.gethostname()}, executor slurm)" in said
        assert "squeue --me, then scancel" in said and "'snakemake --unlock'" in said
    shutil.rmtree(killed / "locks")  # what snakemake --unlock does
    assert begin(killed, "--executor", "slurm", "--jobs", "9")
    assert job.exists(), "its job may have been forgotten"


def test_where_files_cannot_be_locked_snakemake_s_own_locks_decide(killed, monkeypatch):
    def refuse(file, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert not begin(killed, "--cores", "2")
    assert left(killed) == (True, True)
    shutil.rmtree(killed / "locks")
    assert begin(killed, "--cores", "2")


@pytest.mark.parametrize("option", TELLING)
def test_where_nothing_runs_nothing_is_cleared_away(option, killed):
    assert not begin(killed, "--cores", "2", option)
    assert left(killed) == (True, True) and not repair._held


def test_on_a_full_disk_nothing_is_begun(killed, monkeypatch):
    usage = namedtuple("usage", ["free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**20))
    with pytest.raises(SystemExit, match=r"results cannot be written: the disk mounted at / is full \(1\.0 MB free\)"):
        begin(killed, "--cores", "2")
    begin(killed, "--dry-run")


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
