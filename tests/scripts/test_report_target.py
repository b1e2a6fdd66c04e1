"""`make report` makes the report anew when anything that it shows is newer, and only then."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SHOWN = [
    *("results/notebooks/a-study.html", "results/figures/a.pdf", "results/paper/main.pdf", "results/explorer.html"),
    *("workflow/report/style.css", "workflow/report/paper.rst"),
]
SNAKEMAKE = '#!/bin/sh\necho "snakemake $*"\ntouch results/.report.html\n'


@pytest.fixture
def folder(tmp_path):
    """A finished run and its report, with a stand-in for Snakemake."""
    for file in (*SHOWN, "envs/install-python.sh", ".venv/bin/snakemake", ".venv/bin/python"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / ".venv/bin/snakemake").write_text(SNAKEMAKE)
    (tmp_path / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for program in (tmp_path / ".venv/bin").iterdir():
        program.chmod(0o755)
    (tmp_path / "workflow/rules").mkdir()
    (tmp_path / "workflow/rules/command_line.py").touch()  # as if jobs were run, whatever the arguments
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    for path in tmp_path.rglob("*"):
        os.utime(path, (1000, 1000))
    (tmp_path / "results/report.html").touch()
    os.utime(tmp_path / "results/report.html", (2000, 2000))
    return tmp_path


def report(folder, *arguments):
    """Whether it is made."""
    run = subprocess.run(["make", "report", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return "snakemake --report results/.report.html" in run.stdout.replace("\n  ", " ")


def test_it_is_kept_while_it_shows_what_is_there(folder):
    assert not report(folder)


@pytest.mark.parametrize("file", SHOWN)
def test_it_is_made_anew_when_anything_that_it_shows_is_newer(file, folder):
    os.utime(folder / file, (3000, 3000))
    assert report(folder)
    assert not report(folder)


def test_it_is_made_where_there_is_none(folder):
    (folder / "results/report.html").unlink()
    assert report(folder)


@pytest.mark.parametrize(("arguments", "made"), [("-np", False), ("--configfile new.yaml", True)])
def test_it_is_not_made_where_snakemake_only_tells(arguments, made, folder):
    shutil.copy(REPOSITORY / "workflow/rules/command_line.py", folder / "workflow/rules")
    os.utime(folder / SHOWN[0], (3000, 3000))
    (folder / "new.yaml").touch()
    assert report(folder, f"ARGS={arguments}") == made
