"""Describe a finished run as a Provenance Run Crate: ro-crate-metadata.json in the root of the checkout.

A crate is a folder with such a file. Here it is the whole checkout, so nothing is copied; to pack the crate, pack the
folder. The profile (https://w3id.org/ro/wfrun/provenance/0.5) requires every job as an action with its inputs, code and
outputs. These come from the provenance records of the results; job times come from Snakemake. A run consists of
everything that the paper and the explorer depend on; results of earlier configurations are not part of the crate. The
crate omits who ran the workflow, where and with which command, because this is not recorded.
"""

import argparse
import fnmatch
import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import yaml
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from entities import as_text, as_time, context, entities_of, licences
from recorded_jobs import SHOWN, Job, jobs_of, part_of_run
from shelf import Shelf, is_elsewhere
from weight_importance.runtime.errors import run_program
from weight_importance.runtime.optional import present

METADATA = "ro-crate-metadata.json"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
"""Defines ``sha256``, which RO-Crate 1.1 lacks."""

WORKFLOW = "Snakefile"
NUMBERS = "results/paper/numbers.tex"
"""Its record holds the whole configuration."""

DOCUMENTS = ("README.md", "CITATION.cff", "LICENSE", "DATA_LICENCES.md", "config.yaml", "envs/requirements.lock")
LICENCES = "DATA_LICENCES.md"
"""Table of files and their licences; all other files are code."""

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


def described(shelf: Shelf, jobs: list[Job]) -> ROCrate:
    """The crate of these jobs."""
    about = yaml.safe_load((shelf.root / "CITATION.cff").read_text(encoding="utf-8"))
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    files = _add_files(crate, shelf, jobs)
    code_licence = context(
        crate, f"https://spdx.org/licenses/{about['license']}", "CreativeWork", name=about["license"]
    )
    _license(crate, shelf, files, code_licence)
    developers = context(crate, "#developers", "Organization", name=about["authors"][0]["name"])
    engine = context(
        crate, "https://snakemake.github.io", "SoftwareApplication", name="Snakemake",
        softwareVersion=version("snakemake"), url="https://snakemake.github.io",
    )  # fmt: skip
    ends = [job.times["endtime"] for job in jobs if "endtime" in job.times]
    finished = as_time(max(ends)) if ends else datetime.now(UTC).isoformat(timespec="seconds")
    root = crate.root_dataset
    root["name"], root["description"] = f"{about['title']}: a run of the workflow", " ".join(about["abstract"].split())
    files["README.md"]["about"] = root
    root["license"], root["author"], root["datePublished"] = files[LICENCES], developers, finished
    root["conformsTo"] = [
        context(crate, profile, "CreativeWork", name=name, version=profile.rpartition("/")[2])
        for profile, name in PROFILES.items()
    ]

    workflow = _workflow(crate, shelf, jobs, files)
    workflow["license"], workflow["author"] = code_licence, developers
    actions = {job.name: _action(crate, job, files) for job in jobs}
    run = context(
        crate, "#run", "CreateAction", name="Run of the whole workflow", endTime=finished,
        actionStatus="http://schema.org/CompletedActionStatus",
    )  # fmt: skip
    configuration = context(
        crate, "#configuration", "PropertyValue", name="configuration",
        description="the whole configuration of the run, after all files were merged",
        value=as_text(present(shelf.record(NUMBERS))["settings"]),
    )  # fmt: skip
    starts = [job.times["starttime"] for job in jobs if "starttime" in job.times]
    run["startTime"] = as_time(min(starts)) if starts else finished
    made = {file for job in jobs for file in job.made}
    read = {file: sha256 for job in jobs for file, sha256 in (job.inputs | _elsewhere(job.code)).items()}
    run["instrument"] = workflow
    run["object"] = [configuration, *entities_of(files, (file for file in read if file not in made))]
    run["result"] = entities_of(files, made - read.keys())
    controls = [
        context(
            crate, f"#control/{job.name}", "ControlAction", name=f"Orchestrate {job.name}",
            instrument=crate.dereference(f"#step/{job.rule}"), object=actions[job.name],
        )
        for job in jobs
    ]  # fmt: skip
    organised = context(
        crate, "#organise", "OrganizeAction", name=f"Run of Snakemake {version('snakemake')}", instrument=engine,
        object=controls, result=run, startTime=run["startTime"], endTime=finished,
    )  # fmt: skip
    root["mentions"] = [run, organised, *actions.values()]
    return crate


def _add_files(crate: ROCrate, shelf: Shelf, jobs: Sequence[Job]) -> dict[str, Entity]:
    """Add every file that a job made, read or ran, and their documentation, with checksums.

    Files outside the checkout are named but not included.
    """
    wanted = {file for job in jobs for file in (*job.made, *job.inputs, *job.code)}
    programs = {job.program for job in jobs}
    entities = {}
    for file, sha256 in _elsewhere(
        {name: checksum for job in jobs for name, checksum in (job.inputs | job.code).items()}
    ).items():
        entities[file] = context(
            crate, f"#elsewhere/{sha256[:12]}/{Path(file).name}", "CreativeWork", name=Path(file).name, sha256=sha256,
            description="A file outside the checkout, not part of this crate; identified by its name and SHA-256.",
        )  # fmt: skip
    for file in sorted({*wanted, *DOCUMENTS} - entities.keys()):
        path = shelf.root / file
        if path.is_file():
            properties: dict[str, object] = {
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
                    "name": "MIT for code; this file states the licence of every other part",
                    "description": "The licence of every part of this folder.",
                }
            entities[file] = crate.add_file(path, file, properties=properties)
    return entities


def _elsewhere(files: Mapping[str, str]) -> dict[str, str]:
    """Files outside the checkout."""
    return {file: sha256 for file, sha256 in files.items() if is_elsewhere(file)}


def _license(crate: ROCrate, shelf: Shelf, files: Mapping[str, Entity], code: Entity) -> None:
    """Give every file its licence, or state that there is none."""
    stated = licences((shelf.root / LICENCES).read_text(encoding="utf-8"))
    for file, entity in files.items():
        if is_elsewhere(file):
            continue
        pattern = next((pattern for pattern in reversed(stated) if fnmatch.fnmatch(file, pattern)), None)
        if pattern is None:
            entity["license"] = code
            continue
        name, address = stated[pattern]
        if address:
            entity["license"] = crate.dereference(address) or context(crate, address, "CreativeWork", name=name)
        else:
            entity["description"] = f"Licence: {name}; see {LICENCES}."


def _first_sentence(program: Path) -> str:
    return present(re.search(r'"""(.*)', program.read_text(encoding="utf-8")))[1].rstrip('"')


def _workflow(crate: ROCrate, shelf: Shelf, jobs: Iterable[Job], files: Mapping[str, Entity]) -> Entity:
    """Add the workflow, with one step per rule, and the programs that the steps run."""
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
        context(crate, f"#step/{rule}", "HowToStep", name=rule, position=str(position), workExample=files[program])
        for position, (rule, program) in enumerate(sorted(programs.items()))
    ]
    workflow["step"], workflow["hasPart"] = steps, [files[program] for program in sorted(set(programs.values()))]
    workflow["softwareRequirements"] = files["envs/requirements.lock"]
    workflow["conformsTo"] = context(
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
        context(crate, f"#{key}/{job.name}", "PropertyValue", name=key, value=as_text(value))
        for key, value in about.items()
        if value
    ]
    action = context(
        crate, f"#job/{job.name}", "CreateAction", name=f"{job.rule}: {job.name}", instrument=files[job.program],
        object=[*entities_of(files, job.inputs | _elsewhere(job.code)), *values], result=entities_of(files, job.made),
        description=" ".join(["python", record["program"], *record["arguments"]]),
        actionStatus="http://schema.org/CompletedActionStatus",
    )  # fmt: skip
    for key, name in (("starttime", "startTime"), ("endtime", "endTime")):
        if key in job.times:
            action[name] = as_time(job.times[key])
    return action


if __name__ == "__main__":
    run_program(main)
