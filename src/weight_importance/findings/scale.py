"""Settings behind the results of a run, and how they differ from those of another run.

Read from the provenance records of each study's networks, retention and pruning. Keys are those of the configuration.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from weight_importance.files.provenance import record_of
from weight_importance.settings import FullyConnected, described

Scale = dict[str, object]
"""Values by key of the configuration, such as ``images.training``; ``networks`` is the number of seeds."""

SECTIONS = {
    "optimisation": "training",
    "duration": "training",
    "learning": "retention",
    "samples": "importance.samples",
    "carry_adam": "protocol.carry_adam",
    "reused_adam": "protocol.reused_adam",
    "penalised_path": "protocol.penalised_path",
    "train_on_validation": "protocol.train_on_validation",
    "after_every_task": "retention.after_every_task",
    "earlier_test_images": "retention.earlier_test_images",
    "fractions": "pruning.fractions",
}
"""Keys of the configuration for keys of job settings, where they differ."""

LEFT_OUT = ("study", "seeds", "lambdas", "records", "dataset", "first_task")
"""Job settings that follow from others, or that tables contain."""


def of_run(results: Path) -> dict[str, Scale]:
    """The settings of every study in a folder of results."""
    studies = {folder.name: folder for folder in sorted((results / "runs").glob("*"))}
    return {name: scale for name, folder in studies.items() if (scale := of_jobs(*_jobs(folder)))}


def of_jobs(*jobs: Mapping[str, object]) -> Scale:
    """The settings of jobs by key of the configuration; later jobs take precedence."""
    scale: Scale = {}
    for job in jobs:
        for key, value in job.items():
            name = SECTIONS.get(key, key)
            if key in LEFT_OUT:
                continue
            if isinstance(value, Mapping) and key != "network":
                scale |= {f"{name}.{inner}": one for inner, one in value.items()}
            else:
                scale["images.training" if key == "images" else name] = value
    return scale


def _jobs(folder: Path) -> Iterator[dict]:
    """Settings of one job each of training, retention and pruning, if the study has them."""
    for pattern in ("baseline/*.path.safetensors", "retention/*/*.csv", "pruning/*/*.csv"):
        records = [record_of(file) for file in sorted(folder.glob(pattern))]
        for record in [record for record in records if record.is_file()][:1]:
            settings = json.loads(record.read_text(encoding="utf-8"))["settings"]
            if "fractions" in settings:  # a job of pruning, whose images are those of the test
                settings["images"] = {"test": settings["images"]}
            yield settings


def differences(reference: Mapping[str, Scale], rerun: Mapping[str, Scale]) -> list[str]:
    """Every setting that differs, with the studies in which it does: ``tasks.count: 3 (reference: 10) in mine``."""
    shared = [study for study in rerun if study in reference]
    found: dict[str, list[str]] = {}
    for study in shared:
        before, now = reference[study], rerun[study]
        for key in now:
            if key in before and now[key] != before[key]:
                text = f"{key}: {_shown(now[key])} (reference: {_shown(before[key])})"
                found.setdefault(text, []).append(study)
    return [
        f"{text} in {'every study' if len(studies) == len(shared) else ', '.join(studies)}"
        for text, studies in found.items()
    ]


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, Mapping):  # a network
        return described(FullyConnected.model_validate_json(json.dumps(value)))
    return "all" if value is None else value if isinstance(value, str) else json.dumps(value)
