"""`make report` creates the report again only if a file shown in it is newer."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SHOWN = [
    *("results/notebooks/a-study.html", "results/figures/a.pdf", "results/paper/main.pdf", "results/explorer.html"),
    *("workflow/report/style.css", "workflow/report/paper.rst", "notebooks/registry.yaml"),
]
SNAKEMAKE = '#!/bin/sh\necho "snakemake $*"\ntouch results/.report.html\n'


@pytest.fixture
def folder(tmp_path):
    """A finished run and its report, with a mock of Snakemake."""
    for file in (*SHOWN, "envs/install-python.sh", "envs/install-latex.sh", ".venv/bin/snakemake"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / ".venv/bin/snakemake").write_text(SNAKEMAKE)
    (tmp_path / ".venv/bin/snakemake").chmod(0o755)
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    for path in tmp_path.rglob("*"):
        os.utime(path, (1000, 1000))
    (tmp_path / "results/report.html").touch()
    os.utime(tmp_path / "results/report.html", (2000, 2000))
    return tmp_path


def report(folder, target="report", **variables):
    """Whether the report is created."""
    arguments = [target, *(f"{name}={value}" for name, value in variables.items())]
    run = subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return "snakemake --report results/.report.html" in run.stdout


def test_it_is_kept_if_no_file_is_newer(folder):
    assert not report(folder)


@pytest.mark.parametrize("file", SHOWN)
def test_it_is_created_again_if_a_file_shown_in_it_is_newer(file, folder):
    os.utime(folder / file, (3000, 3000))
    assert report(folder)
    assert not report(folder)


def test_it_is_created_if_missing(folder):
    (folder / "results/report.html").unlink()
    assert report(folder)


@pytest.mark.parametrize(("options", "made"), [("-np", False), ("--dry-run", False), ("--configfile new.yaml", True)])
def test_it_is_created_after_the_paper_except_in_a_dry_run(options, made, folder):
    os.utime(folder / SHOWN[0], (3000, 3000))
    assert report(folder, "paper", ARGS=options) == made
