"""The smallest workflow with every rule, as killable processes, and its files."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from checkout import commit_all, copy_repository
from weight_importance.files.provenance import record_of

HERE = Path(__file__).parents[1] / "faults"
COMMAND = [sys.executable, "-m", "snakemake", "--cores", "2"]
"""The command of every run."""

FINAL = ("summary/**/*.csv", "runs/**/*.csv", "runs/**/*.safetensors", "data/*.safetensors", "figures/*.pdf")
FINAL += ("tables/*.tex", "paper/numbers.tex", "paper/main.pdf", "explorer.html")
"""Files that must be identical, with their records; notebooks and pages contain execution times."""

LEFTOVERS = ("*.partial", ".*.checkpoint", "*.altered")

EVERYTHING, SNAKEMAKE, STARTER = "everything", "Snakemake alone", "the process that starts jobs"
PROGRAM, SHELL = "a job's program", "a job's shell"
KINDS = (EVERYTHING, SNAKEMAKE, STARTER, PROGRAM, SHELL)

TO_DIE = 60.0
"""Seconds within which all processes of a killed run must end, on a busy machine: programs check once loaded."""


def small_checkout(folder: Path) -> Path:
    """A checkout with the small configuration in place of ``config.yaml``, and a paper of one page."""
    copy_repository(folder)
    shutil.copy(HERE / "config.yaml", folder / "config.yaml")
    main = folder / "paper/main.tex"
    head, _, _ = main.read_text(encoding="utf-8").partition("\\begin{document}")
    main.write_text(head.replace("{mlp_permuted_mnist/", "{small/") + (HERE / "paper.tex").read_text(encoding="utf-8"))
    commit_all(folder)
    return folder


def forget(folder: Path) -> None:
    """Delete earlier runs."""
    shutil.rmtree(folder / "results", ignore_errors=True)
    shutil.rmtree(folder / ".snakemake", ignore_errors=True)


def digests(folder: Path) -> dict[str, str]:
    """Name → SHA-256 of every final file and of its record."""
    results = folder / "results"
    files = {file for pattern in FINAL for file in results.glob(pattern) if not file.name.startswith(".")}
    files |= {record_of(file) for file in files}
    return {str(file.relative_to(results)): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


def leftovers(folder: Path) -> list[Path]:
    """Temporary files that a finished run must not have."""
    return [file for pattern in LEFTOVERS for file in (folder / "results").rglob(pattern)]


@dataclass(frozen=True)
class Kill:
    """Kind of a kill, and the jobs that were running."""

    kind: str
    running: list[str]


class Run:
    """A run of the workflow in a separate session, with its output in a file."""

    def __init__(self, folder: Path, output: Path, *targets: str, wrapper: Sequence[str] = ()) -> None:
        self.output, self._begin = output, time.monotonic()
        command = [*wrapper, *COMMAND, *targets]
        environment = os.environ | {"PYTHONPATH": str(folder / "src")}  # the package of that checkout
        with open(output, "wb") as file:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
            )

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit status, or ``None`` if the run has not ended after ``seconds``."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def screen(self) -> str:
        """The output of the run."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def seconds(self) -> float:
        """Seconds since the start of the run."""
        return time.monotonic() - self._begin

    def kill(self, wanted: str, chance: random.Random) -> Kill:
        """Kill processes of the wanted kind by SIGKILL, or everything if no job is running."""
        root = psutil.Process(self._process.pid)
        tree = root.children(recursive=True)
        clients = [process for process in tree if job(process)]
        starters = [process for process in root.children() if "workflow/rules/preload.py" in " ".join(line(process))]
        programs = [process for process in tree if process.ppid() in {starter.pid for starter in starters}]
        shells = [process for process in tree if process.pid in {client.ppid() for client in clients}]
        kinds = {SNAKEMAKE: [root], STARTER: starters, PROGRAM: programs, SHELL: shells}
        kinds[EVERYTHING] = [root, *tree]
        kind = wanted if clients and kinds[wanted] else EVERYTHING
        running = [job(client) for client in clients]
        for process in kinds[kind] if kind == EVERYTHING else [chance.choice(kinds[kind])]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if kind in (EVERYTHING, SNAKEMAKE):
            self._process.wait()
            _, alive = psutil.wait_procs(tree, timeout=TO_DIE)
            assert not alive, f"outlived the kill of {kind}: {[process.cmdline() for process in alive]}"
        return Kill(kind, running)


def line(process: psutil.Process) -> list[str]:
    """The command line of a process; empty if it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def job(process: psutil.Process) -> str:
    """A short name of a job's program; empty for another process."""
    words = line(process)
    program = next((word for word in words if word.startswith("workflow/scripts/")), "")
    if not program or words[0].endswith("sh"):
        return ""
    name = Path(program).stem
    options = dict(pairwise(words))
    more = next((options[key] for key in ("--estimator", "--criterion", "--table", "--notebook") if key in options), "")
    return f"{name} {Path(more).stem if more.endswith('.ipynb') else more}".strip()
