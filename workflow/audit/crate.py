"""Describe a finished run as a Provenance Run Crate: ro-crate-metadata.json in the root of the checkout.

A crate is a folder with such a file: here the whole checkout, so nothing is copied; to pack the crate, pack the folder.
The profile (https://w3id.org/ro/wfrun/provenance/0.5) requires every job as an action with what it read, ran and
made. All of it comes from the provenance records of the results, and the times of jobs from Snakemake. A run consists
of all that the paper and the explorer depend on; results of earlier configurations are not part of the crate. Who ran
the workflow, where and with which command is not recorded, so the crate does not say it.
"""

import argparse
import fnmatch
import json
import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from shelf import PAPER, Shelf, is_elsewhere
from weight_importance.runtime.errors import UserError, run_program

METADATA = "ro-crate-metadata.json"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
"""Defines what RO-Crate 1.1 does not: ``sha256``."""

WORKFLOW = "Snakefile"
NUMBERS = "results/paper/numbers.tex"
"""Its record holds the whole configuration."""

DOCUMENTS = ("README.md", "CITATION.cff", "LICENSE", "DATA_LICENCES.md", "config.yaml", "envs/requirements.lock")
LICENCES = "DATA_LICENCES.md"
"""Says in a table which files are under which licence; all others are code."""

SHOWN = 10
"""Number of files of each kind that are named on the screen."""

TYPES = {
    ".safetensors": "application/octet-stream",
    ".ipynb": "application/x-ipynb+json",
    ".tex": "text/x-tex",
    ".bib": "text/x-bibtex",
    ".yaml": "application/yaml",
    ".cff": "application/yaml",
    ".md": "text/markdown",
    ".lock": "text/plain",
}


@dataclass(frozen=True)
class Job:
    """One process: the command that ran, and the records of the files that it made, by their paths."""

    name: str
    rule: str
    program: str
    made: Mapping[str, dict]
    times: Mapping[str, float]

    @property
    def inputs(self) -> dict[str, str]:
        """All that it read."""
        return {file: sha256 for record in self.made.values() for file, sha256 in record["inputs"].items()}

    @property
    def code(self) -> dict[str, str]:
        """All code of the project, and the user's own estimators, that it ran."""
        return {file: sha256 for record in self.made.values() for file, sha256 in record["code"]["files"].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    shelf = Shelf(Path())
    run = part_of_run(shelf)
    crate = described(shelf, jobs_of(shelf, run))
    crate.metadata.write(shelf.root)
    reread = ROCrate(shelf.root)
    actions = len(reread.get_by_type("CreateAction"))
    files = len(reread.get_by_type("File"))
    print(f"{METADATA}: {actions - 1} jobs, {files} files; read back and checked")
    report("are not part of this run and are left out", sorted({*shelf.all_results()} - run))
    report("have no provenance record and are left out", sorted(shelf.without_record()))


def report(problem: str, files: Sequence[str]) -> None:
    """Print a problem with some results."""
    if files:
        more = [f"  and {len(files) - SHOWN} more"] if len(files) > SHOWN else []
        print("\n".join([f"{len(files)} results {problem}:", *(f"  {file}" for file in files[:SHOWN]), *more]))


def part_of_run(shelf: Shelf) -> set[str]:
    """The results that the paper and the explorer depend on, and the other results of the same jobs.

    Of the latter, those named in the job's command; others, such as the figures of a notebook, only if they agree with
    their records: a figure that a notebook no longer draws may still exist.

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
        if found := shelf.problems(file, sha256):
            wrong[file] = list(dict.fromkeys([*wrong.get(file, ()), *found]))
        if shelf.record(file):
            command = _command(shelf, file)
            waiting += shelf.made_from(file).items()
            waiting += [
                (other, None) for other in made.get(command, ()) if other in command or not shelf.problems(other)
            ]
    if wrong:
        lines = [f"  {file} {'; '.join(found)}" for file, found in sorted(wrong.items())[:SHOWN]]
        raise UserError(
            f"{len(wrong)} results differ from their records and cannot be described:\n"
            + "\n".join(lines)
            + "\nRun the workflow again first (make paper): it makes these results again."
        )
    return {file for file, _ in seen if shelf.record(file)}


def _command(shelf: Shelf, file: str) -> tuple[str, ...]:
    """The command that made a result."""
    record = shelf.record(file)
    return (record["program"], *record["arguments"])


def jobs_of(shelf: Shelf, run: Iterable[str]) -> list[Job]:
    """The jobs that made the results of a run, by their names."""
    made: dict[tuple[str, ...], dict[str, dict]] = {}
    for file in sorted(run):
        made.setdefault(_command(shelf, file), {})[file] = shelf.record(file)
    jobs = []
    for command, files in made.items():
        # an executed notebook is a log, for which Snakemake keeps no metadata
        noted = next(filter(None, map(shelf.job, files)), {})
        rule = noted.get("rule") or Path(command[0]).stem
        name = min(files, key=lambda file: (file.count("."), file)).removeprefix("results/")
        times = {key: noted[key] for key in ("starttime", "endtime") if noted.get(key)}
        jobs.append(Job(name, rule, command[0], files, times))
    return sorted(jobs, key=lambda job: job.name)


def described(shelf: Shelf, jobs: list[Job]) -> ROCrate:
    """The crate of these jobs."""
    about = yaml.safe_load((shelf.root / "CITATION.cff").read_text(encoding="utf-8"))
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    files = _add_files(crate, shelf, jobs)
    code_licence = _context(
        crate, f"https://spdx.org/licenses/{about['license']}", "CreativeWork", name=about["license"]
    )
    _license(crate, shelf, files, code_licence)
    developers = _context(crate, "#developers", "Organization", name=about["authors"][0]["name"])
    engine = _context(
        crate, "https://snakemake.github.io", "SoftwareApplication", name="Snakemake",
        softwareVersion=version("snakemake"), url="https://snakemake.github.io",
    )  # fmt: skip
    ends = [job.times["endtime"] for job in jobs if "endtime" in job.times]
    finished = _time(max(ends)) if ends else datetime.now(UTC).isoformat(timespec="seconds")
    root = crate.root_dataset
    root["name"], root["description"] = f"{about['title']}: a run of the workflow", " ".join(about["abstract"].split())
    files["README.md"]["about"] = root
    root["license"], root["author"], root["datePublished"] = files[LICENCES], developers, finished
    root["conformsTo"] = [
        _context(crate, profile, "CreativeWork", name=name, version=profile.rpartition("/")[2])
        for profile, name in PROFILES.items()
    ]

    workflow = _workflow(crate, shelf, jobs, files)
    workflow["license"], workflow["author"] = code_licence, developers
    actions = {job.name: _action(crate, job, files) for job in jobs}
    run = _context(
        crate, "#run", "CreateAction", name="Run of the whole workflow", endTime=finished,
        actionStatus="http://schema.org/CompletedActionStatus",
    )  # fmt: skip
    configuration = _context(
        crate, "#configuration", "PropertyValue", name="configuration",
        description="the whole configuration of the run, after all files were merged",
        value=_text(shelf.record(NUMBERS)["settings"]),
    )  # fmt: skip
    starts = [job.times["starttime"] for job in jobs if "starttime" in job.times]
    run["startTime"] = _time(min(starts)) if starts else finished
    made = {file for job in jobs for file in job.made}
    read = {file: sha256 for job in jobs for file, sha256 in (job.inputs | _elsewhere(job.code)).items()}
    run["instrument"] = workflow
    run["object"] = [configuration, *_of(files, (file for file in read if file not in made))]
    run["result"] = _of(files, made - read.keys())
    controls = [
        _context(
            crate, f"#control/{job.name}", "ControlAction", name=f"Orchestrate {job.name}",
            instrument=crate.dereference(f"#step/{job.rule}"), object=actions[job.name],
        )
        for job in jobs
    ]  # fmt: skip
    organised = _context(
        crate, "#organise", "OrganizeAction", name=f"Run of Snakemake {version('snakemake')}", instrument=engine,
        object=controls, result=run, startTime=run["startTime"], endTime=finished,
    )  # fmt: skip
    root["mentions"] = [run, organised, *actions.values()]
    return crate


def _add_files(crate: ROCrate, shelf: Shelf, jobs: Sequence[Job]) -> dict[str, Entity]:
    """Every file that some job made, read or ran, and what explains them, each with its checksum.

    Files outside the checkout are named, too, though they are not in the crate.
    """
    wanted = {file for job in jobs for file in (*job.made, *job.inputs, *job.code)}
    programs = {job.program for job in jobs}
    found = {}
    for file, sha256 in _elsewhere({name: of for job in jobs for name, of in (job.inputs | job.code).items()}).items():
        found[file] = _context(
            crate, f"#elsewhere/{sha256[:12]}/{Path(file).name}", "CreativeWork", name=Path(file).name, sha256=sha256,
            description="A file outside the checkout, not part of this crate; identified by its name and SHA-256.",
        )  # fmt: skip
    for file in sorted({*wanted, *DOCUMENTS} - found.keys()):
        path = shelf.root / file
        if path.is_file():
            properties = {
                "name": Path(file).name,
                "contentSize": str(path.stat().st_size),
                "sha256": shelf.checksum(file),
                "encodingFormat": TYPES.get(path.suffix) or mimetypes.guess_type(file)[0] or "text/plain",
            }
            if file in programs:
                properties |= {
                    "@type": ["File", "SoftwareSourceCode"],
                    "programmingLanguage": "Python",
                    "description": _first_sentence(path),
                }
            if file == LICENCES:
                properties |= {
                    "@type": ["File", "CreativeWork"],
                    "name": "MIT for code, and for each other part the licence that this file states",
                    "description": "Which licence every part of this folder is under.",
                }
            found[file] = crate.add_file(path, file, properties=properties)
    return found


def _elsewhere(files: Mapping[str, str]) -> dict[str, str]:
    """The files that are outside the checkout."""
    return {file: sha256 for file, sha256 in files.items() if is_elsewhere(file)}


def licences(text: str) -> dict[str, tuple[str, str | None]]:
    """The content of DATA_LICENCES.md: pattern of paths → name and address (or ``None``) of the licence.

    Later patterns take precedence; a pattern that ends in ``/`` means everything in the folder.
    """
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|") and "---" not in line]
    found = {}
    for _, what, licence, *_ in rows[1:]:
        stated = re.search(r"\[(.*?)\]\((.*?)\)", licence)
        for pattern in re.findall(r"`(.*?)`", what):
            found[f"{pattern}*" if pattern.endswith("/") else pattern] = (
                stated.groups() if stated else (licence.strip(), None)
            )
    return found


def _license(crate: ROCrate, shelf: Shelf, files: Mapping[str, Entity], code: Entity) -> None:
    """Give every file its licence, or state that there is none."""
    stated = licences((shelf.root / LICENCES).read_text(encoding="utf-8"))
    for file, entity in files.items():
        if is_elsewhere(file):
            continue
        pattern = next((pattern for pattern in reversed(stated) if fnmatch.fnmatch(file, pattern)), None)
        name, address = stated.get(pattern, ("", None))
        if pattern is None:
            entity["license"] = code
        elif address:
            entity["license"] = crate.dereference(address) or _context(crate, address, "CreativeWork", name=name)
        else:
            entity["description"] = f"Licence: {name}; see {LICENCES}."


def _first_sentence(program: Path) -> str:
    return re.search(r'"""(.*)', program.read_text(encoding="utf-8"))[1].rstrip('"')


def _workflow(crate: ROCrate, shelf: Shelf, jobs: Iterable[Job], files: Mapping[str, Entity]) -> Entity:
    """The workflow with its steps, one for each rule, and the programs that they run."""
    workflow = crate.add_workflow(
        shelf.root / WORKFLOW, WORKFLOW, main=True, lang="snakemake", lang_version=version("snakemake"),
        properties={
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": "Importance Atlas", "sha256": shelf.checksum(WORKFLOW), "encodingFormat": "text/plain",
            "description": "Trains networks, computes importances, and makes every figure and number of the paper.",
        },
    )  # fmt: skip
    programs = {job.rule: job.program for job in jobs}
    steps = [
        _context(crate, f"#step/{rule}", "HowToStep", name=rule, position=str(position), workExample=files[program])
        for position, (rule, program) in enumerate(sorted(programs.items()))
    ]
    workflow["step"], workflow["hasPart"] = steps, [files[program] for program in sorted(set(programs.values()))]
    workflow["softwareRequirements"] = files["envs/requirements.lock"]
    workflow["conformsTo"] = _context(
        crate, "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE", "CreativeWork",
        name="Bioschemas ComputationalWorkflow", version="1.0-RELEASE",
    )  # fmt: skip
    return workflow


def _action(crate: ROCrate, job: Job, files: Mapping[str, Entity]) -> Entity:
    """A job as an action: inputs, code, outputs, settings, device, times."""
    record = next(iter(job.made.values()))
    about = {
        "settings": record["settings"], "versions": record["versions"], "device": record["device"],
        "code": record["code"]["sha256"],
    }  # fmt: skip
    values = [
        _context(crate, f"#{key}/{job.name}", "PropertyValue", name=key, value=_text(value))
        for key, value in about.items()
        if value
    ]
    action = _context(
        crate, f"#job/{job.name}", "CreateAction", name=f"{job.rule}: {job.name}", instrument=files[job.program],
        object=[*_of(files, job.inputs | _elsewhere(job.code)), *values], result=_of(files, job.made),
        description=" ".join(["python", record["program"], *record["arguments"]]),
        actionStatus="http://schema.org/CompletedActionStatus",
    )  # fmt: skip
    for key, name in (("starttime", "startTime"), ("endtime", "endTime")):
        if key in job.times:
            action[name] = _time(job.times[key])
    return action


def _context(crate: ROCrate, identifier: str, kind: str, **properties: object) -> Entity:
    """A new entity that is not a file; its properties may refer to other entities."""
    entity = crate.add(ContextEntity(crate, identifier, properties={"@type": kind}))
    for name, value in properties.items():
        entity[name] = _unwrapped(value)
    return entity


def _unwrapped(value: object) -> object:
    """The only element of a list of one, as RO-Crate recommends."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _of(files: Mapping[str, Entity], names: Iterable[str]) -> list[Entity]:
    return [files[name] for name in sorted(names) if name in files]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    run_program(main)
