"""The workflow in another folder, as a module of another workflow, and with results on another disk."""

import os
import subprocess
import sys

import pytest

import places
import presets
import programs
from configurations import changed
from weight_importance.runtime.errors import UserError
from weight_importance.settings import Configuration
from weight_importance.settings.merging import merged

TINY = ["presets/tiny.yaml", "tests/workflow/two-shards.yaml"]

TARGET = "results/runs/cnn_mnist_fashion/baseline/seeds-0-1.csv"
OTHER = """
configfile: "{folder}/config.yaml"

rule own:
    input: "results/runs/cnn_mnist_fashion/baseline/seeds-0-1.csv"
    output: "own.csv"
    shell: "cp {{input}} {{output}}"

module atlas:
    snakefile: "{folder}/workflow/Snakefile"
    config: config

use rule * from atlas as atlas_*
"""


def test_the_workflow_as_a_module_and_in_a_folder_with_a_space_and_linked_results(fresh, tmp_path):
    elsewhere, disk = tmp_path / "another folder", tmp_path / "disk"
    elsewhere.mkdir()
    disk.mkdir()
    (elsewhere / "results").symlink_to(disk)
    (elsewhere / "Snakefile").write_text(OTHER.format(folder=fresh.folder))
    presets = ["--configfile", *(str(fresh.folder / name) for name in TINY)]

    def run(*arguments: str) -> str:
        environment = os.environ | fresh.preloaded | fresh.own_package
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments, *presets],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("--cores", "2", "own.csv")
    assert (elsewhere / "own.csv").read_text().startswith("study,")
    assert (disk / TARGET.removeprefix("results/")).is_file()
    again = run("-s", str(fresh.folder / "Snakefile"), "--cores", "2", TARGET)
    assert "nothing to be done" in again.lower(), "a module has the same jobs as the workflow"


def test_clean_empties_linked_results(fresh, tmp_path):
    disk = tmp_path / "disk"
    (disk / "runs").mkdir(parents=True)
    (disk / "README.md").touch()
    (disk / ".presets.json").touch()
    (tmp_path / "results").symlink_to(disk)
    subprocess.run(["make", "-C", tmp_path, "-f", fresh.folder / "Makefile", "clean"], check=True, capture_output=True)
    assert (tmp_path / "results").is_symlink() and [file.name for file in disk.iterdir()] == ["README.md"]


def test_another_preset_replaces_no_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny, own = places.ROOT / "presets/tiny.yaml", tmp_path / "own.yaml"
    small, large = (Configuration.model_validate(merged(changed("seeds", count))) for count in (2, 3))
    presets.claim(small, ["config.yaml", tiny])
    presets.claim(large, ["config.yaml", tiny, own])  # a changed setting
    with pytest.raises(
        UserError, match=r"results of config\.yaml with presets/tiny\.yaml, and this run, of config\.yaml,"
    ):
        presets.claim(small, ["config.yaml"])
    presets.claim(large, ["config.yaml"])  # the same settings from other files


def test_own_packages_and_pictures_are_inputs_of_the_paper(fresh):
    paper = fresh.folder / "paper"
    (paper / "pictures").mkdir()
    for name in ("own.sty", "pictures/own.png", "main.pdf"):
        (paper / name).touch()
    planned = fresh.run("--dry-run", "--printshellcmds", "results/paper/main.pdf").stdout
    text = planned.partition("--text ")[2].partition(" --figures")[0].split()
    assert {"paper/own.sty", "paper/pictures/own.png"} <= {*text} and text[0] == "paper/main.tex"
    assert "paper/main.pdf" not in text


def test_a_run_starts_the_process_whose_forks_are_the_jobs(fresh, tmp_path):
    """Without the variables by which the runs of other tests share one."""
    target = "results/data/mnist_subset.safetensors"
    options = ["-s", str(fresh.folder / "Snakefile"), "--directory", str(tmp_path), "--cores", "1", target]
    options += ["--max-jobs-per-timespan", "100/1s"]  # ends a second after its last job
    done = programs.run_module("snakemake", *options, cwd=tmp_path, env=os.environ | fresh.own_package)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / target).is_file()
    assert (tmp_path / ".snakemake/preloaded").is_socket()
