"""A checkout of the repository to run the workflow in, and one finished run of the tiny preset in it."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import programs
from checkout import commit_all, copy_repository

REPOSITORY = Path(__file__).parents[2]
TINY = ["presets/tiny.yaml", "tests/workflow/two-shards.yaml"]
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
PROMPT = ["--max-jobs-per-timespan", "100/1s"]
"""Ends a run one second after its last job (profiles/default: five seconds)."""
MANY_JOBS = ["--max-jobs-per-timespan", "1000/10s"]
"""Selects jobs less often (profiles/default)."""


@dataclass(frozen=True)
class Workflow:
    """A copy of the repository, run with the tiny preset; the variables ``preloaded`` make its jobs forks."""

    folder: Path
    preloaded: dict[str, str]

    @property
    def own_package(self) -> dict[str, str]:
        """The environment variable that selects the package of this copy."""
        return {"PYTHONPATH": str(self.folder / "src")}

    def command(self, *arguments: str, change: dict | None = None) -> list[str]:
        """Snakemake's command line with a changed configuration; targets come first, to be no further presets."""
        (self.folder / "change.yaml").write_text(yaml.safe_dump(change or {}), encoding="utf-8")
        return [*SNAKEMAKE, *PROMPT, *arguments, "--configfile", *TINY, "change.yaml"]

    def run(self, *arguments: str, change: dict | None = None, **environment: str) -> programs.Done:
        """Run Snakemake to its end."""
        return self._snakemake(self.command(*arguments, change=change), self.preloaded | environment)

    def _snakemake(self, command: list[str], environment: dict[str, str]) -> programs.Done:
        variables = os.environ | environment | self.own_package
        return programs.run_module("snakemake", *command[len(SNAKEMAKE) :], cwd=self.folder, env=variables)

    def plan(self, *arguments: str, change: dict | None = None) -> set[str]:
        """The messages of the jobs that would run."""
        dry = self._snakemake(self.command("--dry-run", *arguments, change=change), {})
        assert dry.returncode == 0, dry.stdout + dry.stderr
        return set(re.findall(r"^Job \d+: (.*)$", dry.stdout + dry.stderr, re.MULTILINE))

    @contextmanager
    def edited(self, file: str) -> Iterator[None]:
        """Append a comment to a file within the context."""
        path = self.folder / file
        before = path.read_bytes()
        path.write_bytes(before + (b"% edited\n" if path.suffix == ".tex" else b"# edited\n"))
        try:
            yield
        finally:
            path.write_bytes(before)


@pytest.fixture(scope="session")
def forks() -> Iterator[dict[str, str]]:
    """The environment variables that make the jobs of several runs forks of one process (workflow/rules/preload.py)."""
    with preloaded() as variables:
        yield variables


@contextmanager
def preloaded(**environment: str) -> Iterator[dict[str, str]]:
    """Start the process with an environment."""
    python = str(Path(sys.executable).parent / "python")
    with tempfile.TemporaryDirectory() as folder:
        command = [python, str(REPOSITORY / "workflow/rules/preload.py"), f"{folder}/socket"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | environment, start_new_session=True):
            yield {"IMPORTANCE_ATLAS_PYTHON": python, "IMPORTANCE_ATLAS_PRELOADED": f"{folder}/socket"}


@pytest.fixture(scope="module")
def fresh(forks: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A checkout of the repository with one commit, without results."""
    folder = tmp_path_factory.mktemp("repository") / "copy"
    copy_repository(folder)
    commit_all(folder)
    return Workflow(folder, forks)


@pytest.fixture(scope="module")
def tiny_run(fresh: Workflow) -> Workflow:
    """The checkout with a finished run; its logs list the modules that each job imported."""
    with preloaded(PYTHONPROFILEIMPORTTIME="1") as variables:
        run = fresh.run("--cores", "2", *MANY_JOBS, **variables)
    output = [line for line in (run.stdout + run.stderr).splitlines() if not line.startswith("import time")]
    assert run.returncode == 0, "\n".join(output)[-10000:]
    return fresh
