"""The commands of the pages, run as a reader would type them (make test-docs).

All run in one checkout, in the order of the table (commands.yaml). Its ``config.yaml`` contains the tiny preset, so
that commands need no change. ``DOCS_FOLDER`` keeps the checkout for further attempts.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

import documents
from checkout import commit_all, copy_repository

WITHIN_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the tiny preset as configuration and an environment that ``make environment`` accepts."""
    kept = os.environ.get("DOCS_FOLDER")
    folder = (Path(kept).resolve() if kept else tmp_path_factory.mktemp("docs")) / "copy"
    if not folder.exists():
        copy_repository(folder)
        config = read(folder / "config.yaml")
        update_config(config, read(folder / "presets/tiny.yaml"))
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        commit_all(folder)
        give_environment(folder)
    return folder


def read(file: Path) -> dict:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def give_environment(folder: Path) -> None:
    """Link the running environment into the checkout, with the stamp of envs/install-python.sh."""
    environment = folder / ".venv"
    environment.mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != ".made-from":
            (environment / part.name).symlink_to(part)
    stamp = "{ pwd -P; cat envs/requirements.lock; } | sha256sum >.venv/.made-from"
    subprocess.run(["sh", "-c", stamp], cwd=folder, check=True)


@pytest.mark.parametrize("command", documents.to_run("scratch"), ids=lambda command: command.name)
def test_commands_of_the_pages(scratch: Path, command: documents.Command) -> None:
    print(f"\n$ {command.runs}", flush=True)
    # make finds the environment itself; the other commands are documented to run in it
    line = command.runs if command.name.startswith("make ") else f"source .venv/bin/activate && {command.runs}"
    # as on a reader's terminal, not within make
    environment = {name: value for name, value in os.environ.items() if name not in WITHIN_MAKE}
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=scratch,
        env=environment,
        stdin=subprocess.DEVNULL,  # no input
        capture_output=True,
        text=True,
        check=False,
    )
    command.assert_done(done)
