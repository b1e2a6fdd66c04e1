"""The settings of every job as one line of sorted JSON: exactly those that its result depends on.

Snakemake compares these lines with the last run and reruns the jobs whose line has changed.
:mod:`weight_importance.settings.jobs` defines the settings of each stage; ``study`` and ``shard`` are names.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

import grid
import notebooks
from weight_importance.settings import (
    ConfidenceJob,
    Configuration,
    CorrelationJob,
    DecompositionJob,
    EvaluationJob,
    ImportanceJob,
    PruningJob,
    RetentionJob,
    Study,
    TrainingJob,
    TrajectoriesJob,
)
from weight_importance.settings.explanation_jobs import Condition

OfShard = EvaluationJob | PruningJob | DecompositionJob | TrajectoriesJob


def training(configuration: Configuration, records: Callable[[str], Sequence[str]], study: str, shard: str) -> str:
    """Settings of training on the first task; ``records`` returns the path records that an estimator needs."""
    recorded = {record for name in grid.users(configuration, study) for record in records(name)}
    return TrainingJob.of(study, configuration.studies[study], grid.seeds(shard), sorted(recorded)).sorted_json()


def of_shard(configuration: Configuration, job: type[OfShard], study: str, shard: str) -> str:
    """Settings of a kind of job that depend on the study and the shard alone."""
    return job.of(study, configuration.studies[study], grid.seeds(shard)).sorted_json()


def importance(configuration: Configuration, study: str, shard: str, part: str) -> str:
    """Settings of importances on training images (``importance``) or test images (``importance_test``)."""
    images: Literal["test", "training"] = "test" if part == "importance_test" else "training"
    return ImportanceJob.of(study, configuration.studies[study], grid.seeds(shard), images).sorted_json()


def correlation(configuration: Configuration, study: str, shard: str) -> str:
    """Settings of the correlation between estimators."""
    permutations = configuration.correlation.permutations
    return CorrelationJob(study=study, seeds=grid.seeds(shard), permutations=permutations).sorted_json()


def retention(configuration: Configuration, study: str, shard: str, estimator: str) -> str:
    """Settings of learning the later tasks under one estimator or ablation, with its penalty strengths."""
    condition = grid.condition(configuration, estimator)
    return RetentionJob.of(study, configuration.studies[study], grid.seeds(shard), condition).sorted_json()


def confidence(configuration: Configuration, study: str, shard: str, condition: Condition) -> str:
    """Settings of agreement under a condition that changes the networks' confidence."""
    return ConfidenceJob.of(study, configuration.studies[study], grid.seeds(shard), condition).sorted_json()


def selected_on(configuration: Configuration, study: str) -> str:
    """The images whose accuracy selects the penalty strength: ``validation`` or ``test``."""
    return configuration.studies[study].protocol.select_lambda_on


def notebook(configuration: Configuration, notebook: notebooks.Notebook, study: str) -> str:
    """Values for a notebook's parameters cell: the study, its companions if it shows them, and folders."""
    values: dict[str, Any] = {"study": study, "figures": "results/figures", "tables": "results/tables"}
    values["summary"] = grid.SUMMARY if notebook.companions else f"{grid.SUMMARY}/{study}"
    if notebook.runs:
        values |= {"runs": grid.RUNS, "shards": grid.shards(configuration.studies[study])}
    if notebook.companions:
        shown = notebooks.shown(configuration, notebook, study)
        values["settings"] = {name: configuration.studies[name].model_dump(mode="json") for name in shown}
    if notebook.published:
        values["published"] = str(notebooks.PUBLISHED)
    return _line(values)


def explorer(configuration: Configuration) -> str:
    """Settings of every computed study, and shards of the studies that train networks."""
    return _line({name: _shown(study) for name, study in grid.computed(configuration).items()})


def _shown(study: Study) -> dict[str, Any]:
    whole = ("networks_of", "network", "datasets", "seeds", "estimators", "protocol")
    parts = {"tasks": {"kind", "count"}, "retention": {"seeds", "penalty", "batch_norm"}}
    keys = dict.fromkeys(whole, True) | parts
    return study.model_dump(mode="json", include=keys) | {"shards": [] if study.networks_of else grid.shards(study)}


def _line(settings: dict[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)
