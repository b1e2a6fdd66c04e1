"""Describe a finished run as a Provenance Run Crate: ro-crate-metadata.json in the root of the checkout.

A crate is a folder with such a file: here the whole checkout, so nothing is copied, and who packs the folder packs the
crate. The profile (https://w3id.org/ro/wfrun/provenance/0.5) wants every job as an action with what it read, ran and
made. All of it is taken from the records beside the results; only when jobs ran, from Snakemake.
"""

import argparse
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

from shelf import Shelf
from weight_importance.errors import UserError, run_program

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
DOCUMENTS = ("README.md", "CITATION.cff", "LICENSE", "DATA_LICENCES.md", "config.yaml", "envs/requirements.lock")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    shelf = Shelf(Path())
    jobs = jobs_of(shelf)
    if not jobs:
        raise UserError("there are no results with records here: run the workflow first (make paper)")
    wrong = {file: found for job in jobs for file in job.made if (found := shelf.problems(file))}
    if wrong:
        lines = [f"  {file} {'; '.join(found)}" for file, found in list(wrong.items())[:10]]
        raise UserError(
            f"{len(wrong)} results are not what their records say, and cannot be described truly:\n"
            + "\n".join(lines)
            + "\nRun the workflow again first (make paper): it makes anew what has changed."
        )
    crate = described(shelf, jobs)
    crate.metadata.write(shelf.root)
    reread = ROCrate(shelf.root)
    actions = len(reread.get_by_type("CreateAction"))
    files = len(reread.get_by_type("File"))
    print(f"{METADATA}: {actions - 1} jobs, {files} files; read again with the library, and whole")


def jobs_of(shelf: Shelf) -> list[Job]:
    """All jobs that made the results that lie here, by their names."""
    made: dict[tuple[str, ...], dict[str, dict]] = {}
    for file in shelf.all_results():
        record = shelf.record(file)
        made.setdefault((record["program"], *record["arguments"]), {})[file] = record
    jobs = []
    for command, files in made.items():
        # of an executed notebook Snakemake keeps nothing, as it is a log
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
    licence = _context(
        crate, f"https://spdx.org/licenses/{about['license'][0]}", "CreativeWork", name=about["license"][0]
    )
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
    root["license"], root["author"], root["datePublished"] = licence, developers, finished
    root["publisher"] = developers
    root["conformsTo"] = [
        _context(crate, profile, "CreativeWork", name=name, version=profile.rpartition("/")[2])
        for profile, name in PROFILES.items()
    ]

    workflow = _workflow(crate, shelf, jobs, files)
    workflow["license"], workflow["author"] = licence, developers
    actions = {job.name: _action(crate, job, files, developers) for job in jobs}
    run = _context(
        crate, "#run", "CreateAction", name="Run of the whole workflow", endTime=finished, agent=developers,
        description="snakemake --cores all",
        actionStatus="http://schema.org/CompletedActionStatus",
    )  # fmt: skip
    starts = [job.times["starttime"] for job in jobs if "starttime" in job.times]
    run["startTime"] = _time(min(starts)) if starts else finished
    made = {file for job in jobs for file in job.made}
    run["instrument"] = workflow
    run["object"] = [files["config.yaml"], *_of(files, {file for job in jobs for file in job.inputs} - made)]
    run["result"] = _of(files, made - {file for job in jobs for file in job.inputs})
    controls = [
        _context(
            crate, f"#control/{job.name}", "ControlAction", name=f"Orchestrate {job.name}",
            instrument=crate.dereference(f"#step/{job.rule}"), object=actions[job.name],
        )
        for job in jobs
    ]  # fmt: skip
    organised = _context(
        crate, "#organise", "OrganizeAction", name=f"Run of Snakemake {version('snakemake')}", instrument=engine,
        object=controls, result=run, agent=developers, startTime=run["startTime"], endTime=finished,
    )  # fmt: skip
    root["mentions"] = [run, organised, *actions.values()]
    return crate


def _add_files(crate: ROCrate, shelf: Shelf, jobs: Sequence[Job]) -> dict[str, Entity]:
    """Every file that some job made, read or ran, and what explains them, each with its checksum."""
    wanted = {file for job in jobs for file in (*job.made, *job.inputs)}
    wanted |= {file for job in jobs for record in job.made.values() for file in record["code"]["files"]}
    programs = {job.program for job in jobs}
    found = {}
    for file in sorted({*wanted, *DOCUMENTS}):
        path = shelf.root / file
        if path.is_file() and not Path(file).is_absolute():
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
            found[file] = crate.add_file(path, file, properties=properties)
    return found


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


def _action(crate: ROCrate, job: Job, files: Mapping[str, Entity], agent: Entity) -> Entity:
    """A job: what it read, ran and made, with which settings, on what, when."""
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
        object=[*_of(files, job.inputs), *values], result=_of(files, job.made),
        description=" ".join(["python", record["program"], *record["arguments"]]),
        actionStatus="http://schema.org/CompletedActionStatus", agent=agent,
    )  # fmt: skip
    for key, name in (("starttime", "startTime"), ("endtime", "endTime")):
        if key in job.times:
            action[name] = _time(job.times[key])
    return action


def _context(crate: ROCrate, identifier: str, kind: str, **properties: object) -> Entity:
    """A new entity that is no file; entities among its properties are referred to."""
    entity = crate.add(ContextEntity(crate, identifier, properties={"@type": kind}))
    for name, value in properties.items():
        entity[name] = _unwrapped(value)
    return entity


def _unwrapped(value: object) -> object:
    """A list of one as its only element, as RO-Crate would have it."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _of(files: Mapping[str, Entity], names: Iterable[str]) -> list[Entity]:
    return [files[name] for name in sorted(names) if name in files]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    run_program(main)
