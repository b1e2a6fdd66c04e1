"""The jobs of a finished run, from the provenance records of their results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shelf import PAPER, Shelf
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.optional import present

SHOWN = 10
"""Number of files of each kind to print."""


@dataclass(frozen=True)
class Job:
    """One process: its command, and the records of its output files by path."""

    name: str
    rule: str
    program: str
    made: Mapping[str, dict]
    times: Mapping[str, float]

    @property
    def inputs(self) -> dict[str, str]:
        """All input files."""
        return {file: sha256 for record in self.made.values() for file, sha256 in record["inputs"].items()}

    @property
    def code(self) -> dict[str, str]:
        """All code that it ran, including the user's own estimators."""
        return {file: sha256 for record in self.made.values() for file, sha256 in record["code"]["files"].items()}


def part_of_run(shelf: Shelf) -> set[str]:
    """The results that the paper and the explorer depend on, and the other results of the same jobs.

    The other results count if the job's command names them, or if they agree with their records: a figure that a
    notebook no longer draws may still exist.

    Raises:
        UserError: there is no finished run, or a result of it differs from its record.
    """
    if missing := [file for file in PAPER if not (shelf.root / file).is_file()]:
        raise UserError(f"there is no finished run: {missing[0]} is missing. Run the workflow first (make paper)")
    made: dict[tuple[str, ...], list[str]] = {}
    for file in shelf.all_results():
        made.setdefault(_command(shelf, file), []).append(file)
    seen: set[tuple[str, str | None]] = set()
    wrong: dict[str, list[str]] = {}
    waiting: list[tuple[str, str | None]] = [(file, None) for file in PAPER]
    while waiting:
        file, sha256 = waiting.pop()
        if (file, sha256) in seen:
            continue
        seen.add((file, sha256))
        if problems := shelf.problems(file, sha256):
            wrong[file] = list(dict.fromkeys([*wrong.get(file, ()), *problems]))
        if shelf.record(file):
            command = _command(shelf, file)
            waiting += shelf.made_from(file).items()
            waiting += [
                (other, None) for other in made.get(command, ()) if other in command or not shelf.problems(other)
            ]
    if wrong:
        lines = [f"  {file} {'; '.join(problems)}" for file, problems in sorted(wrong.items())[:SHOWN]]
        raise UserError(
            f"{len(wrong)} results differ from their records and cannot be described:\n"
            + "\n".join(lines)
            + "\nRun the workflow again first (make paper): it makes these results again."
        )
    return {file for file, _ in seen if shelf.record(file)}


def _command(shelf: Shelf, file: str) -> tuple[str, ...]:
    """The command that made a result."""
    record = present(shelf.record(file))
    return (record["program"], *record["arguments"])


def jobs_of(shelf: Shelf, run: Iterable[str]) -> list[Job]:
    """The jobs that made the results of a run, by name."""
    made: dict[tuple[str, ...], dict[str, dict]] = {}
    for file in sorted(run):
        made.setdefault(_command(shelf, file), {})[file] = present(shelf.record(file))
    jobs = []
    for command, files in made.items():
        # an executed notebook is a log, for which Snakemake keeps no metadata
        noted = next(filter(None, map(shelf.job, files)), {})
        rule = noted.get("rule") or Path(command[0]).stem
        name = min(files, key=lambda file: (file.count("."), file)).removeprefix("results/")
        times = {key: noted[key] for key in ("starttime", "endtime") if noted.get(key)}
        jobs.append(Job(name, rule, command[0], files, times))
    return sorted(jobs, key=lambda job: job.name)
