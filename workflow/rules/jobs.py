"""The settings of every job as one line of sorted JSON: exactly those that its result depends on.

Snakemake compares these lines with those of the last run: a change of settings runs the jobs again whose line changes.
What a stage needs of a study is defined in :mod:`weight_importance.settings.jobs`; ``study`` and ``shard`` are names.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grid
import notebooks
from weight_importance.settings import (
    KUTALEV_LAPINA,
    Configuration,
    CorrelationJob,
    EvaluationJob,
    ExplanationJob,
    ImportanceJob,
    PruningJob,
    RetentionJob,
    Study,
    TrainingJob,
)

Likes = Mapping[str, str]
"""By study, the study whose settings it has where it gives none."""

NO_RETENTION = {
    "seeds": None,
    "images": None,
    "clamp_negative": True,
    "unpenalised": False,
    "penalty": "plain",
    "batch_norm": "running",
}


def training(configuration: Configuration, records: Callable[[str], Sequence[str]], study: str, shard: str) -> str:
    """Settings of training on the first task; ``records``: the records of the path that an estimator needs."""
    recorded = {record for name in grid.users(configuration, study) for record in records(name)}
    return TrainingJob.of(study, configuration.studies[study], grid.seeds(shard), sorted(recorded)).sorted_json()


def evaluation(configuration: Configuration, study: str, shard: str) -> str:
    """Settings of the evaluation of trained networks on validation and test images of the first task."""
    return EvaluationJob.of(study, configuration.studies[study], grid.seeds(shard)).sorted_json()


def importance(configuration: Configuration, study: str, shard: str, part: str) -> str:
    """Settings of importances on training images (``importance``) or test images (``importance_test``)."""
    images = "test" if part == "importance_test" else "training"
    return ImportanceJob.of(study, configuration.studies[study], grid.seeds(shard), images).sorted_json()


def pruning(configuration: Configuration, study: str, shard: str) -> str:
    """Settings of pruning, which is measured on test images."""
    return PruningJob.of(study, configuration.studies[study], grid.seeds(shard)).sorted_json()


def correlation(configuration: Configuration, study: str, shard: str) -> str:
    """Settings of the correlation between estimators."""
    permutations = configuration.correlation.permutations
    return CorrelationJob(study=study, seeds=grid.seeds(shard), permutations=permutations).sorted_json()


def retention(configuration: Configuration, study: str, shard: str, estimator: str) -> str:
    """Settings of learning the later tasks under one estimator or ablation, with its penalty strengths."""
    condition = grid.condition(configuration, estimator)
    return RetentionJob.of(study, configuration.studies[study], grid.seeds(shard), condition).sorted_json()


def explanation(configuration: Configuration, study: str, shard: str) -> str:
    """Settings of the explanation of agreement."""
    return ExplanationJob.of(study, configuration.studies[study], grid.seeds(shard)).sorted_json()


def selected_on(configuration: Configuration, study: str) -> str:
    """The images whose accuracy selects the penalty strength: ``validation`` or ``test``."""
    return configuration.studies[study].protocol.select_lambda_on


def notebook(configuration: Configuration, likes: Likes, notebook: notebooks.Notebook, study: str) -> str:
    """Values of a notebook's parameters cell: the study, its companions if it shows them, and folders."""
    values: dict[str, Any] = {"study": study, "figures": "results/figures", "tables": "results/tables"}
    values["summary"] = grid.SUMMARY if notebook.companions else f"{grid.SUMMARY}/{study}"
    if notebook.runs:
        values |= {"runs": grid.RUNS, "shards": grid.shards(configuration.studies[study])}
    if notebook.companions:
        shown = [study, *configuration.companions(study)]
        values["settings"] = {name: _readable(configuration, likes, name) for name in shown}
    if notebook.published:
        values["published"] = str(notebooks.PUBLISHED)
    return _line(values)


def explorer(configuration: Configuration, likes: Likes) -> str:
    """What the explorer shows of every study, and the shards of those that train networks."""
    keys = ("like", "network", "datasets", "protocol", "seeds", "estimators", "tasks", "retention")

    def shown(name: str, study: Study) -> dict[str, Any]:
        settings = _readable(configuration, likes, name)
        shards = [] if study.networks_of else grid.shards(study)
        return {key: settings[key] for key in keys if key in settings} | {"shards": shards}

    return _line({name: shown(name, study) for name, study in configuration.studies.items()})


def paper(configuration: Configuration, likes: Likes) -> str:
    """The whole configuration, of which the paper states numbers."""
    studies = {name: _readable(configuration, likes, name) for name in configuration.studies}
    return _line(configuration.model_dump(mode="json") | {"studies": studies})


def _readable(configuration: Configuration, likes: Likes, name: str) -> dict[str, Any]:
    """The settings of a study in the form that notebooks, explorer and paper read."""
    study = configuration.studies[name]
    settings = study.model_dump(mode="json", exclude={"analyses", "networks_of", "companion_of"})
    settings["protocol"] = "published" if study.protocol == KUTALEV_LAPINA else "held_out"
    settings["pruning"] = settings["pruning"] or {"fractions": []}
    settings["retention"] = settings["retention"] or NO_RETENTION | {"lambdas": {key: [] for key in study.estimators}}
    if "explanation" not in study.analyses:
        settings["explanation"] = None
    like = study.companion_of or likes.get(name)
    return settings | ({"like": like} if like else {})


def _line(settings: dict[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)
