"""Files and jobs of a configuration: shards, shared networks, tables, notebooks, settings of jobs."""

import json
from pathlib import Path

import pytest

import grid
import jobs
import notebooks
from studies import LEARNING
from weight_importance.settings import (
    KUTALEV_LAPINA,
    Configuration,
    DecompositionJob,
    EvaluationJob,
    PruningJob,
    TrajectoriesJob,
)
from weight_importance.settings.merging import merged

BASE = {
    "analyses": ["correlation", "retention", "pruning", "variants"],
    "network": "mlp",
    "datasets": ["mnist", "fashion_mnist"],
    "tasks": {"kind": "permuted", "count": 4, "seed": 1},
    "images": {"training": 500, "validation": 100, "test": 200},
    "training": {"epochs": 2, "batch_size": 20, "learning_rate": 0.001},
    "importance": {"samples": 50},
    "retention": {
        "seeds": 2,
        "images": None,
        **LEARNING,
        "unpenalised": True,
        "lambdas": {"mas": [1, 10], "si": []},
    },
    "pruning": {"fractions": [0.0, 0.5]},
}
SHARING = {
    "like": "base",
    "analyses": ["retention", "pruning"],
    "networks_of": "base",
    "companion_of": "base",
    "estimators": ["si", "magnitude"],
    "seeds": 2,
    "retention": {"lambdas": {"si": [1], "magnitude": [1]}},
}
PUBLISHED = {
    "like": "base",
    "analyses": ["pruning"],
    "protocol": {"pruning_importance_on": "test", "select_lambda_on": "test"},
    "retention": None,
}
ABLATED = {
    "like": "base",
    "analyses": ["ablations"],
    "first_seed": 100,
    "estimators": ["mas"],
    "retention": {"lambdas": {"mas": [1]}, "ablations": ["shuffled(mas)"], "ablation_lambdas": [3]},
}
MAPPED = {"like": "base", "analyses": ["atlas"], "first_seed": 200, "retention": None, "pruning": None}
STUDIES = {"base": BASE, "sharing": SHARING, "published": PUBLISHED, "ablated": ABLATED, "mapped": MAPPED}


def configuration(**changes: dict) -> Configuration:
    """Five studies; ``changes`` by study, merged one level deep."""
    studies = {name: settings | changes.get(name, {}) for name, settings in STUDIES.items()}
    return Configuration.model_validate(
        merged(
            {
                "seeds": 3,
                "first_seed": 0,
                "shard_size": 2,
                "estimators": ["mas", "si"],
                "studies": studies,
                "correlation": {"permutations": 5},
            }
        )
    )


CONFIGURATION = configuration()
REGISTRY = notebooks.read()


def test_shards_are_groups_of_seeds_in_order():
    assert grid.shards(CONFIGURATION.studies["base"]) == ["seeds-0-1", "seeds-2-2"]
    assert grid.shards(CONFIGURATION.studies["ablated"]) == ["seeds-100-101", "seeds-102-102"]
    assert grid.seeds("seeds-100-102") == (100, 101, 102)


@pytest.mark.parametrize(
    ("study", "stages"),
    [
        ("base", {"evaluation", "correlation", "retention", "pruning"}),
        ("sharing", {"retention", "pruning"}),
        ("published", {"evaluation", "pruning"}),
        ("ablated", {"evaluation", "retention"}),
        ("mapped", {"evaluation", "correlation"}),
    ],
)
def test_stages_follow_from_analyses_and_sections(study, stages):
    assert grid.stages(CONFIGURATION.studies[study]) == stages


def test_every_analysis_has_stages_and_a_notebook():
    analyses = set(
        json.loads(Path("workflow/schemas/config.schema.json").read_text())["$defs"]["Study"]["properties"]["analyses"][
            "items"
        ]["enum"]
    )
    assert analyses == set(grid.STAGES) == {notebook.analysis for notebook in REGISTRY.values()}


def test_networks_of_names_the_study_of_the_networks():
    of_base = grid.networks(CONFIGURATION, "base", "seeds-0-1")
    assert of_base["parameters"] == "results/runs/base/baseline/seeds-0-1.safetensors"
    assert of_base["path"] == "results/runs/base/baseline/seeds-0-1.path.safetensors"
    assert grid.networks(CONFIGURATION, "sharing", "seeds-0-1") == of_base
    assert grid.networks(CONFIGURATION, "published", "seeds-0-1") != of_base, "equal settings do not share networks"


def test_importances_are_shared_if_the_other_study_lists_the_estimator():
    assert grid.importance(CONFIGURATION, "sharing", "seeds-0-1", "si") == [
        "results/runs/base/importance/si/seeds-0-1.safetensors"
    ]
    assert grid.importance(CONFIGURATION, "sharing", "seeds-0-1", "magnitude") == [
        "results/runs/sharing/importance/magnitude/seeds-0-1.safetensors"
    ]
    assert grid.importance(CONFIGURATION, "sharing", "seeds-0-1", "none") == []
    assert grid.named_importances(CONFIGURATION, "sharing", "seeds-0-1") == [
        "magnitude=results/runs/sharing/importance/magnitude/seeds-0-1.safetensors",
        "si=results/runs/base/importance/si/seeds-0-1.safetensors",
    ]


def test_networks_record_for_the_estimators_of_all_studies_that_use_them():
    assert grid.users(CONFIGURATION, "base") == ["magnitude", "mas", "si"]
    assert grid.users(CONFIGURATION, "ablated") == ["mas"]


def test_pruning_uses_the_images_that_the_protocol_names():
    assert grid.pruning_importance(CONFIGURATION, "base", "seeds-0-1", "mas") == [
        "results/runs/base/importance/mas/seeds-0-1.safetensors"
    ]
    assert grid.pruning_importance(CONFIGURATION, "published", "seeds-0-1", "mas") == [
        "results/runs/published/importance_test/mas/seeds-0-1.safetensors"
    ]
    assert grid.pruning_importance(CONFIGURATION, "published", "seeds-0-1", "random") == []


def test_the_penalty_of_an_ablation_reads_its_estimators():
    of_mas = ["results/runs/ablated/importance/mas/seeds-100-101.safetensors"]
    assert grid.condition(CONFIGURATION, "shuffled.mas") == "shuffled(mas)"
    for folder, files in (("shuffled.mas", of_mas), ("mas", of_mas), ("none", [])):
        assert grid.penalty_importances(CONFIGURATION, "ablated", "seeds-100-101", folder) == files
    assert grid.penalised_by("values_of(mas)_in_ranks_of(si)") == ("mas", "si")


def test_tables_concatenate_their_shards():
    runs = "results/runs/base"
    assert grid.shard_tables(CONFIGURATION, "base", "baseline") == [
        f"{runs}/baseline/seeds-0-1.csv", f"{runs}/baseline/seeds-2-2.csv",
    ]  # fmt: skip
    retained = [f"{runs}/retention/{name}/seeds-0-1.csv" for name in ("none", "mas")]
    assert grid.shard_tables(CONFIGURATION, "base", "retention") == retained, "two networks retain, nothing under SI"
    assert len(grid.shard_tables(CONFIGURATION, "base", "pruning")) == 2 * 3
    assert f"{runs}/pruning/random/seeds-2-2.csv" in grid.shard_tables(CONFIGURATION, "base", "pruning")


def test_summaries_concatenate_the_studies_with_rows():
    assert grid.study_tables(CONFIGURATION, "selected_lambda") == [
        f"results/summary/{study}/selected_lambda.csv" for study in ("base", "sharing", "ablated")
    ]
    assert "results/summary/explanation_noise.csv" not in grid.summaries(CONFIGURATION)


def test_tables_of_the_explanation_concatenate_the_conditions_with_levels():
    explained = configuration(base=EXPLAINED)
    for table, parts in (
        ("agreement", ["confidence/temperature", "confidence/epochs"]),
        ("noise", ["decomposition"]),
        ("shared", ["trajectories"]),
    ):
        files = [
            f"results/runs/base/{part}/{shard}.{table}.csv" for part in parts for shard in ("seeds-0-1", "seeds-2-2")
        ]
        assert grid.shard_tables(explained, "base", f"explanation_{table}") == files
    smoothed = configuration(base=EXPLAINED | {"explanation": EXPLANATION | {"label_smoothing": [0.0, 0.1]}})
    files = grid.shard_tables(smoothed, "base", "explanation_confidence")
    assert files[-1] == "results/runs/base/confidence/label_smoothing/seeds-2-2.confidence.csv"
    assert grid.changed_networks(smoothed, *SHARD, "epochs") == {}
    assert grid.changed_networks(smoothed, *SHARD, "temperature") == grid.networks(smoothed, *SHARD)
    assert grid.explorer_tables(CONFIGURATION) == [
        f"results/summary/{name}.csv"
        for name in ("correlation", "correlation_null", "retention", "selected_lambda", "pruning")
    ]


def test_all_results_include_importances_that_only_another_study_reads():
    results = grid.shard_results(CONFIGURATION)
    assert "results/runs/published/importance_test/si/seeds-2-2.safetensors" in results
    assert "results/runs/sharing/importance/magnitude/seeds-0-1.safetensors" in results
    assert not any("sharing/baseline" in file or "sharing/correlation" in file for file in results)
    assert len(results) == len(set(results))


def test_a_notebook_is_executed_for_studies_that_list_its_analysis():
    executed = {name: notebooks.studies(CONFIGURATION, notebook) for name, notebook in REGISTRY.items()}
    assert executed == {name: [] for name in REGISTRY} | {
        "correlation": ["base"],
        "retention": ["base"],
        "pruning": ["base", "published"],
        "variants": ["base"],
        "ablations": ["ablated"],
        "atlas": ["mapped"],
    }


def test_a_notebook_reads_existing_tables_and_those_of_companions():
    summary = "results/summary"
    assert notebooks.summaries(CONFIGURATION, REGISTRY["variants"], "base") == [
        f"{summary}/base/retention.csv", f"{summary}/sharing/retention.csv",
    ]  # fmt: skip
    assert notebooks.summaries(CONFIGURATION, REGISTRY["atlas"], "mapped") == [f"{summary}/mapped/correlation.csv"]
    followed = configuration(published={"companion_of": "base", "protocol": KUTALEV_LAPINA.model_dump()})
    assert notebooks.summaries(followed, REGISTRY["reproduction"], "base") == [f"{summary}/published/pruning.csv"]
    parameters = json.loads(jobs.notebook(CONFIGURATION, REGISTRY["variants"], "base"))
    assert parameters["summary"] == summary and list(parameters["settings"]) == ["base", "sharing"]
    parameters = json.loads(jobs.notebook(CONFIGURATION, REGISTRY["atlas"], "mapped"))
    assert parameters["summary"] == f"{summary}/mapped" and "settings" not in parameters


def test_importances_are_read_if_the_registry_requests_them():
    files = notebooks.importances(CONFIGURATION, REGISTRY["estimators"], "sharing")
    assert files == grid.importances(CONFIGURATION, "sharing", "seeds-0-1")
    assert notebooks.importances(CONFIGURATION, REGISTRY["atlas"], "mapped") == []
    assert "shards" in json.loads(jobs.notebook(CONFIGURATION, REGISTRY["estimators"], "base"))


def test_the_registry_contains_exactly_the_existing_notebooks_and_figures():
    assert sorted(REGISTRY) == sorted(file.stem for file in Path("notebooks").glob("*.ipynb"))
    for name, notebook in REGISTRY.items():
        text = Path(f"notebooks/{name}.ipynb").read_text(encoding="utf-8")
        for figure in notebook.figures:
            assert f'/ f\\"{figure}-{{study}}.pdf\\"' in text, f"notebooks/{name}.ipynb does not save {figure}"
        for table in notebook.tables:
            assert f'/ f\\"{table}-{{study}}.tex\\"' in text, f"notebooks/{name}.ipynb does not write {table}"


def test_captions_are_written_for_the_report_once(tmp_path):
    notebooks.write_captions(REGISTRY, tmp_path)
    files = {file.stem: file.stat().st_mtime_ns for file in tmp_path.glob("*.rst")}
    assert sorted(files) == sorted(figure for notebook in REGISTRY.values() for figure in notebook.figures)
    assert (tmp_path / "pruning.rst").read_text(encoding="utf-8").startswith("Test accuracy")
    notebooks.write_captions(REGISTRY, tmp_path)
    assert files == {file.stem: file.stat().st_mtime_ns for file in tmp_path.glob("*.rst")}


SHARD = ("base", "seeds-0-1")
LINES = {
    "baseline": lambda given: jobs.training(given, lambda name: ["path_integral"] * (name == "si"), *SHARD),
    "evaluation": lambda given: jobs.of_shard(given, EvaluationJob, *SHARD),
    "importance": lambda given: jobs.importance(given, *SHARD, "importance"),
    "importance_test": lambda given: jobs.importance(given, *SHARD, "importance_test"),
    "pruning": lambda given: jobs.of_shard(given, PruningJob, *SHARD),
    "correlation": lambda given: jobs.correlation(given, *SHARD),
    "none": lambda given: jobs.retention(given, *SHARD, "none"),
    "mas": lambda given: jobs.retention(given, *SHARD, "mas"),
    "temperature": lambda given: jobs.confidence(given, *SHARD, "temperature"),
    "epochs": lambda given: jobs.confidence(given, *SHARD, "epochs"),
    "decomposition": lambda given: jobs.of_shard(given, DecompositionJob, *SHARD),
    "trajectories": lambda given: jobs.of_shard(given, TrajectoriesJob, *SHARD),
}
"""The settings of every kind of job of one shard, including two conditions of retention."""

ALL_RETENTION = {"none", "mas"}
EXPLANATION = {
    "estimators": ["mas", "si"],
    "samples": 50,
    "temperatures": [2],
    "images": 100,
    "epochs": [1],
    "label_smoothing": [0.0],
    "trajectories": {"tasks": 2, "images": 100, "strengths": {"mas": 1, "si": 1}},
}
EXPLAINED = {"explanation": EXPLANATION, "analyses": [*BASE["analyses"], "explanation"]}


def changed(key: str, value: object) -> dict:
    """The first study with the value at a path changed."""
    section, _, inner = key.partition(".")
    return {section: BASE[section] | {inner: value} if inner else value}


@pytest.mark.parametrize(
    ("key", "value", "affected"),
    [
        ("tasks.seed", 2, ALL_RETENTION | {"trajectories"}),
        ("images.test", 100, ALL_RETENTION | {"evaluation", "pruning", "importance_test"}),
        ("retention.lambdas", {"mas": [1, 10, 100], "si": []}, {"mas"}),
        ("retention.seeds", None, set()),
        ("seeds", 5, set()),
        ("analyses", ["correlation", "variants"], set()),
    ],
)
def test_a_setting_changes_the_jobs_that_depend_on_it(key, value, affected):
    """Further settings: tests/unit/test_settings.py."""
    before, after = configuration(base=EXPLAINED), configuration(base=EXPLAINED | changed(key, value), sharing={})
    lines = {name: (line(before), line(after)) for name, line in LINES.items()}
    assert {name for name, (old, new) in lines.items() if old != new} == affected


def test_the_explorer_shows_every_study_and_the_shards_of_those_that_train_networks():
    shown = json.loads(jobs.explorer(CONFIGURATION))
    assert shown["base"]["shards"] == ["seeds-0-1", "seeds-2-2"] and shown["sharing"]["shards"] == []
    assert shown["sharing"]["networks_of"] == "base" and shown["mapped"]["retention"] is None
    assert shown["base"]["retention"] == {"seeds": 2, "penalty": "plain", "batch_norm": "running"}


def test_settings_are_one_line_of_sorted_json_with_the_seeds_of_the_shard():
    for line in LINES.values():
        text = line(configuration(base=EXPLAINED))
        settings = json.loads(text)
        assert text == json.dumps(settings, sort_keys=True)
        assert settings["seeds"] == [0, 1] and settings["study"] == "base"
