"""Files of a configuration: shards, shared networks, tables, and joint results of all studies.

Functions of a :class:`~weight_importance.settings.Configuration`; ``study`` and ``shard`` are names. Independent of
Snakemake, job settings (see :mod:`jobs`) and notebooks (see :mod:`notebooks`).
"""

from collections.abc import Iterable, Sequence

from weight_importance.runtime.optional import present
from weight_importance.settings import L2, UNPENALISED, Configuration, Study
from weight_importance.settings.ablation_names import folder, is_ablation, parse

RUNS, SUMMARY = "results/runs", "results/summary"

WITHOUT_IMPORTANCE = (*UNPENALISED, "random")
"""The references that estimators are compared with: learning without a penalty, random pruning."""

STAGES: dict[str, tuple[str, ...]] = {
    "correlation": ("correlation",),
    "estimators": ("correlation",),
    "pruning": ("pruning",),
    "retention": ("retention",),
    "ablations": ("correlation", "retention"),
    "atlas": ("correlation", "retention", "pruning"),
    "explanation": ("explanation",),
    "variants": ("retention",),
    "reproduction": ("retention", "pruning"),
    "benchmarks": ("retention",),
    "lambda_range": ("retention",),
}
"""The stages whose tables an analysis reads; optional ones run if the study has their settings."""

OPTIONAL = ("retention", "pruning", "explanation")
"""Stages that run only if the study has the section of this name."""

EXPLANATION = {
    "confidence/{name}": ("confidence", "agreement"),
    "decomposition": ("factors", "signal", "reliability", "noise"),
    "trajectories": ("trajectories", "shared"),
}
"""Folders of the stage ``explanation`` and their tables; each condition of confidence has a folder."""

TABLES: dict[str, dict[str, str]] = {
    "evaluation": {"baseline": "baseline/{shard}.csv"},
    "correlation": {
        "correlation": "correlation/{shard}.csv",
        "correlation_null": "correlation/{shard}.null.csv",
        "correlation_used": "correlation/{shard}.used.csv",
    },
    "retention": {"retention": "retention/{name}/{shard}.csv"},
    "pruning": {"pruning": "pruning/{name}/{shard}.csv"},
    "explanation": {
        f"explanation_{table}": f"{folder}/{{shard}}.{table}.csv"
        for folder, tables in EXPLANATION.items()
        for table in tables
    },
}
"""The tables of every stage, each with its files below the folder of a study."""

STAGE_OF = {table: stage for stage, tables in TABLES.items() for table in tables} | {"selected_lambda": "retention"}
"""The stage of every table of the summary."""

SHARD_TABLES = [table for table in STAGE_OF if table != "selected_lambda"]
"""Tables with a part from each shard."""


def stages(study: Study) -> set[str]:
    """The stages of a study whose tables are part of the summary."""
    wanted = {stage for analysis in study.analyses for stage in STAGES[analysis]}
    wanted -= {stage for stage in OPTIONAL if getattr(study, stage) is None}
    if len(study.estimators) == 1:
        wanted -= {"correlation"}
    return wanted | ({"evaluation"} if study.networks_of is None and study.analyses else set())


def has_table(configuration: Configuration, study: str, table: str) -> bool:
    """Whether a study has rows of a table of the summary."""
    return STAGE_OF[table] in stages(configuration.studies[study])


def computed(configuration: Configuration) -> dict[str, Study]:
    """Studies with analyses; the others only serve these."""
    return {name: study for name, study in configuration.studies.items() if study.analyses}


def shards(study: Study) -> list[str]:
    """The shards of a study, named by their first and last seed."""
    return [_shard(group) for group in study.shards()]


def seeds(shard: str) -> tuple[int, ...]:
    """The seeds of a shard."""
    _, first, last = shard.split("-")
    return tuple(range(int(first), int(last) + 1))


def datasets(configuration: Configuration, study: str) -> list[str]:
    """The files of a study's data sets."""
    return [f"results/data/{name}.safetensors" for name in configuration.studies[study].datasets]


def all_datasets(configuration: Configuration) -> list[str]:
    """The files of the data sets of all studies."""
    return sorted({file for study in configuration.studies for file in datasets(configuration, study)})


def network_owner(configuration: Configuration, study: str) -> str:
    """The study that trains a study's networks."""
    return configuration.studies[study].networks_of or study


def networks(configuration: Configuration, study: str, shard: str) -> dict[str, str]:
    """The files of a shard's trained networks: weights, buffers (with Adam's state), records of the path."""
    start = f"{RUNS}/{network_owner(configuration, study)}/baseline/{shard}"
    endings = {"parameters": "", "state": ".state", "path": ".path"}
    return {kind: f"{start}{ending}.safetensors" for kind, ending in endings.items()}


def weights(configuration: Configuration, study: str, shard: str) -> dict[str, str]:
    """The files of a shard's trained networks without the records of the path."""
    return {kind: file for kind, file in networks(configuration, study, shard).items() if kind != "path"}


def changed_networks(configuration: Configuration, study: str, shard: str, condition: str) -> dict[str, str]:
    """Files of trained networks that a condition changes; none if networks are trained under the condition."""
    return networks(configuration, study, shard) if condition == "temperature" else {}


def importance(
    configuration: Configuration, study: str, shard: str, estimator: str, part: str = "importance"
) -> list[str]:
    """The file of a shard's importances by an estimator, in a list; empty for a reference without importance."""
    if estimator in WITHOUT_IMPORTANCE:
        return []
    owner = network_owner(configuration, study)
    owner = owner if estimator in configuration.studies[owner].estimators else study
    return [f"{RUNS}/{owner}/{part}/{estimator}/{shard}.safetensors"]


def importances(configuration: Configuration, study: str, shard: str) -> list[str]:
    """Files of a shard's importances by all estimators of the study, sorted by name."""
    names = sorted(configuration.studies[study].estimators)
    return [file for name in names for file in importance(configuration, study, shard, name)]


def named_importances(configuration: Configuration, study: str, shard: str) -> list[str]:
    """The same files as ``NAME=FILE``."""
    names = sorted(configuration.studies[study].estimators)
    return [f"{name}={file}" for name, file in zip(names, importances(configuration, study, shard), strict=True)]


def pruning_importance(configuration: Configuration, study: str, shard: str, criterion: str) -> list[str]:
    """File of the importances that prune a shard, in a list; empty for random pruning."""
    on_test = configuration.studies[study].protocol.pruning_importance_on == "test"
    return importance(configuration, study, shard, criterion, "importance_test" if on_test else "importance")


def estimators(configuration: Configuration) -> list[str]:
    """The estimators of all studies."""
    return list(dict.fromkeys(name for study in configuration.studies.values() for name in study.estimators))


def used(study: Study) -> set[str]:
    """The estimators in a study's results: listed, explained, and those of penalties (plain L2 need not be listed)."""
    explained = present(study.explanation).estimators if "explanation" in stages(study) else ()
    penalties = (estimator for name in study.retained() for estimator in penalised_by(name))
    return {*study.estimators, *explained, *penalties}


def users(configuration: Configuration, study: str) -> list[str]:
    """Estimators that use a study's networks: its own, and those of sharing studies."""
    sharing = (other for name, other in configuration.studies.items() if network_owner(configuration, name) == study)
    return sorted(set().union(*map(used, sharing)))


def ablations(configuration: Configuration) -> dict[str, str]:
    """Ablations of all studies by folder name, which has no brackets."""
    names = (name for study in configuration.studies.values() for name in study.retained())
    return {folder(name): name for name in names if is_ablation(name)}


def condition(configuration: Configuration, estimator: str) -> str:
    """The estimator, ablation or ``none`` with the retention folder ``estimator``."""
    return ablations(configuration).get(estimator, estimator) if "." in estimator else estimator


def penalised_by(name: str) -> Sequence[str]:
    """Estimators whose importances weight the penalty: one, the sources of an ablation, or none."""
    if is_ablation(name):
        return parse(name).estimators
    return () if name in UNPENALISED else (name,)


def penalty_importances(configuration: Configuration, study: str, shard: str, estimator: str) -> list[str]:
    """Files of the penalty's importances, in the order of :func:`penalised_by`; none for L2 (all ones)."""
    names = [name for name in penalised_by(condition(configuration, estimator)) if name != L2]
    return [file for name in names for file in importance(configuration, study, shard, name)]


def shard_tables(configuration: Configuration, study: str, table: str) -> list[str]:
    """Shard tables that a study's table joins."""
    settings, stage = configuration.studies[study], STAGE_OF[table]
    names: Iterable[str] = [""]
    if stage == "retention":
        names = map(folder, settings.retained())
    elif stage == "pruning":
        names = ["random", *settings.estimators]
    elif TABLES[stage][table].startswith("confidence/"):
        names = present(settings.explanation).conditions()
    groups = settings.retention_shards() if stage == "retention" else settings.shards()
    pattern = f"{RUNS}/{study}/{TABLES[stage][table]}"
    return [pattern.format(name=name, shard=_shard(group)) for name in names for group in groups]


def study_tables(configuration: Configuration, table: str) -> list[str]:
    """Study tables that a table of the summary joins."""
    return [
        f"{SUMMARY}/{study}/{table}.csv" for study in configuration.studies if has_table(configuration, study, table)
    ]


def published_tables(configuration: Configuration) -> list[str]:
    """The tables of every study with the protocol of Kutalev and Lapina (2021)."""
    return [
        f"{SUMMARY}/{name}/{table}.csv"
        for name, study in configuration.studies.items()
        if study.protocol.as_published
        for table in STAGE_OF
        if has_table(configuration, name, table)
    ]


def summaries(configuration: Configuration, tables: Iterable[str] = tuple(STAGE_OF)) -> list[str]:
    """Tables of the summary, without empty ones."""
    return [f"{SUMMARY}/{table}.csv" for table in tables if study_tables(configuration, table)]


def explorer_tables(configuration: Configuration) -> list[str]:
    """Tables of the summary that the explorer reads."""
    return summaries(configuration, ("correlation", "correlation_null", "retention", "selected_lambda", "pruning"))


def explorer_importances(configuration: Configuration) -> list[str]:
    """Importances that the explorer reads, from every study that trains networks."""
    return [
        file
        for name, study in computed(configuration).items()
        if study.networks_of is None
        for shard in shards(study)
        for file in importances(configuration, name, shard)
    ]


def shard_results(configuration: Configuration) -> list[str]:
    """All results of every shard: networks, importances, tables."""
    files: set[str] = set()
    for name, study in computed(configuration).items():
        for shard in shards(study):
            files |= {*networks(configuration, name, shard).values(), *importances(configuration, name, shard)}
            if "pruning" in stages(study):
                for estimator in study.estimators:
                    files |= {*pruning_importance(configuration, name, shard, estimator)}
        present = [table for table in SHARD_TABLES if has_table(configuration, name, table)]
        files |= {file for table in present for file in shard_tables(configuration, name, table)}
    return sorted(files)


def _shard(group: Sequence[int]) -> str:
    return f"seeds-{group[0]}-{group[-1]}"
