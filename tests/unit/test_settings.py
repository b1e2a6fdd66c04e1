"""Settings: every type, limit and key of the models is enforced with a message; jobs contain only what they need.

Cases are generated from the models, so that new keys are tested without new cases.
"""

import argparse
import copy
import json
import tomllib

import pytest
import yaml

from weight_importance.settings import (
    KUTALEV_LAPINA,
    UNPENALISED,
    ConfidenceJob,
    Configuration,
    DecompositionJob,
    EvaluationJob,
    ImportanceJob,
    PruningJob,
    RetentionJob,
    Study,
    TrainingJob,
    TrajectoriesJob,
)
from weight_importance.settings.configuration import OF_ALL_STUDIES, completed
from weight_importance.settings.known import REPOSITORY
from weight_importance.settings.merging import merged
from weight_importance.settings.messages import dotted
from weight_importance.settings.page import page
from weight_importance.settings.reading import configuration_problems
from weight_importance.settings.schema import schema

DEFAULT = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
STUDY = "mlp_permuted_mnist"
LAMBDAS = DEFAULT["studies"][STUDY]["retention"]["lambdas"]
SCHEMA = Configuration.model_json_schema()
NAMES = {"studies": STUDY, "lambdas": "mas", "strengths": "mas"}
"""An entry of each mapping whose keys are names."""
WRONG_TYPES = {
    "integer": ("x", "expected a whole number"),
    "number": ("x", "expected a number"),
    "boolean": ("x", "expected true or false"),
    "string": (3, "expected text"),
    "array": (3, "expected a list"),
    "object": (3, "expected a mapping (key: value)"),
}
REMOVED = object()


def nodes(node, path=()):
    """Every value of the configuration as ``(key path, schema)``."""
    [alternative] = [one for one in node.get("anyOf", [node]) if one.get("type") != "null"]
    node = {"description": node.get("description")} | alternative
    if "oneOf" in node:  # the study has the first alternative, such as the first kind of tasks
        node = {"description": node.get("description")} | node["oneOf"][0]
    if "$ref" in node:
        node = SCHEMA["$defs"][node["$ref"].rpartition("/")[2]]
    yield path, node
    for key, inner in node.get("properties", {}).items():
        yield from nodes(inner, (*path, key))
    for inner in [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]:
        if isinstance(inner, dict):
            yield from nodes(inner, (*path, NAMES[path[-1]]))
    if "items" in node:
        yield from nodes(node["items"], (*path, 0))


def mistakes(path, node):
    """Changes that a schema refuses, as ``(key path, value, beginning of the message)``."""
    value, message = WRONG_TYPES[node.get("type", "string")]
    yield path, value, message if "enum" not in node and "const" not in node else "unknown value 3. Allowed: "
    if "minimum" in node:
        value = node["minimum"] - 1
        yield path, value, f"must be at least {node['minimum']:g}, found {value}."
    if "exclusiveMinimum" in node:
        yield path, 0, f"must be greater than {node['exclusiveMinimum']:g}, found 0."
    if "maximum" in node:
        yield path, node["maximum"] + 1, f"must be at most {node['maximum']:.10g}, found"
    if "minItems" in node or "minProperties" in node:
        empty = [] if "minItems" in node else {}
        yield path, empty, f"needs at least {node.get('minItems', node.get('minProperties'))} entr"
    if "properties" in node:
        yield (*path, "unknown"), 1, "unknown key. Allowed here: "
    for key in node.get("required", ()):
        if not (path == ("studies", STUDY) and key in OF_ALL_STUDIES):
            yield (*path, key), REMOVED, "missing. "


NODES = dict(nodes(SCHEMA))
CASES = [case for path, node in NODES.items() for case in mistakes(path, node) if path or case[0]]


def changed(path, value):
    """The default configuration with one value replaced, added or removed."""
    if type(path[-1]) is int:
        path, value = path[:-1], [value]
    config = copy.deepcopy(DEFAULT)
    place = config
    for key in path[:-1]:
        place = place[key]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return config


@pytest.mark.parametrize(("path", "value", "message"), CASES, ids=[f"{dotted(path)}-{text}" for path, _, text in CASES])
def test_a_mistake_is_reported_with_its_key_and_the_allowed_values(path, value, message):
    problems = configuration_problems(changed(path, value))
    assert any(problem.startswith(f"{dotted(path)}: {message}") for problem in problems), problems
    assert all(" Fix it in " in problem for problem in problems)


def test_version_and_date_are_the_same_everywhere():
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version
    log = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {version} ({citation['date-released']})\n" in log


def test_every_key_is_described_and_the_schema_file_is_current():
    named = {
        path: node for path, node in NODES.items() if path and type(path[-1]) is str and path[-2:-1] != ("studies",)
    }
    assert [dotted(path) for path, node in named.items() if not node.get("description") and path[-1] != "mas"] == []
    file = REPOSITORY / "workflow/schemas/config.schema.json"
    assert json.loads(file.read_text(encoding="utf-8")) == schema(), "run make schema"
    assert (REPOSITORY / "config/README.md").read_text(encoding="utf-8") == page(), "run make schema"


def study(**changes):
    """The fully connected study with some settings changed, by dotted key."""
    settings = completed(merged(DEFAULT))["studies"][STUDY]
    for key, value in changes.items():
        section, _, name = key.partition("__")
        settings[section] = settings[section] | {name: value}
    return Study.model_validate(settings)


def jobs(settings):
    """The settings of every job of the first shard, as text."""
    seeds = settings.shards()[0]
    return {
        "training": TrainingJob.of("mine", settings, seeds, ["path_integral"]),
        "evaluation": EvaluationJob.of("mine", settings, seeds),
        "importance": ImportanceJob.of("mine", settings, seeds),
        "test importance": ImportanceJob.of("mine", settings, seeds, "test"),
        "pruning": PruningJob.of("mine", settings, seeds),
        "retention": RetentionJob.of("mine", settings, seeds, "mas"),
        "temperature": ConfidenceJob.of("mine", settings, seeds, "temperature"),
        "epochs": ConfidenceJob.of("mine", settings, seeds, "epochs"),
        "smoothing": ConfidenceJob.of("mine", settings, seeds, "label_smoothing"),
        "decomposition": DecompositionJob.of("mine", settings, seeds),
        "trajectories": TrajectoriesJob.of("mine", settings, seeds),
    }


def retention_of(settings, condition):
    """The settings of learning later tasks under a condition, for the first shard."""
    return RetentionJob.of("mine", settings, settings.shards()[0], condition).sorted_json()


EXPLAINED = {"temperature", "epochs", "smoothing", "decomposition", "trajectories"}


@pytest.mark.parametrize(
    ("change", "changed_jobs"),
    [
        ({"tasks__count": 5}, {"retention"}),
        ({"tasks__seed": 1}, {"retention", "trajectories"}),
        ({"images__validation": 4000}, {"evaluation", "retention"}),
        ({"images__test": 900}, {"evaluation", "test importance", "pruning", "retention"}),
        ({"images__training": 50000}, {"training", "evaluation", "importance", "retention"} | EXPLAINED),
        ({"training__epochs": 2}, {"training"}),
        ({"training__batch_size": 50}, {"training", "retention", "epochs", "smoothing", "trajectories"}),
        ({"importance__samples": 100}, {"importance", "retention"}),
        ({"retention__epochs": 2}, {"retention", "trajectories"}),
        ({"retention__images": 20000}, {"retention"}),
        ({"retention__penalty": "halved"}, {"retention", "trajectories"}),
        ({"retention__lambdas": LAMBDAS | {"mas": [7]}}, {"retention"}),
        ({"retention__lambdas": LAMBDAS | {"si": [7]}}, set()),
        ({"pruning__fractions": [0.5]}, {"pruning"}),
        ({"explanation__samples": 100}, EXPLAINED),
        ({"explanation__temperatures": [3]}, {"temperature"}),
        ({"explanation__epochs": [3, 16]}, {"epochs"}),
        ({"explanation__epochs": [3]}, {"epochs", "smoothing"}),
        ({"explanation__label_smoothing": [0.0, 0.5]}, {"smoothing"}),
        ({"explanation__label_smoothing": [0.1, 0.3]}, {"epochs"}),
        ({"protocol__carry_adam": True}, {"training", "retention", "trajectories"}),
        ({"protocol__reused_adam": True}, {"training"}),
        ({"protocol__penalised_path": True}, {"retention", "trajectories"}),
        ({"protocol__select_lambda_on": "test"}, set()),
        ({"protocol__pruning_importance_on": "test"}, set()),
    ],
    # sorted, so that parallel test processes use the same names
    ids=lambda value: str(value if isinstance(value, dict) else sorted(value)),
)
def test_a_setting_changes_the_jobs_that_depend_on_it(change, changed_jobs):
    before, after = jobs(study()), jobs(study(**change))
    assert {name for name in before if before[name].sorted_json() != after[name].sorted_json()} == changed_jobs


@pytest.mark.parametrize("condition", UNPENALISED)
@pytest.mark.parametrize(
    "change",
    [
        {"importance__samples": 100},
        {"protocol__penalised_path": True},
        {"retention__accumulation": "mean"},
        {"retention__clamp_negative": False},
        {"retention__decay": 0.5},
        {"retention__penalty": "halved"},
        {"retention__task_weights": "equal"},
    ],
    ids=str,
)
def test_a_job_without_a_penalty_depends_neither_on_importances_nor_on_the_penalty(condition, change):
    assert retention_of(study(), condition) == retention_of(study(**change), condition)
    assert retention_of(study(), "mas") != retention_of(study(**change), "mas")


@pytest.mark.parametrize("condition", UNPENALISED)
@pytest.mark.parametrize(
    "change",
    [
        {"images__training": 50000},
        {"protocol__carry_adam": True},
        {"retention__batch_norm": "frozen"},
        {"retention__epochs": 2},
        {"retention__images": 20000},
        {"tasks__count": 5},
        {"training__batch_size": 50},
    ],
    ids=str,
)
def test_a_job_without_a_penalty_depends_on_tasks_and_training(condition, change):
    assert retention_of(study(), condition) != retention_of(study(**change), condition)


def test_a_program_parses_the_settings_of_its_rule():
    for job in jobs(study()).values():
        assert type(job).parse(job.sorted_json()) == job
    with pytest.raises(argparse.ArgumentTypeError, match=r"seeds: missing\. The seeds of the shard\..*snakemake -n -p"):
        TrainingJob.parse('{"study": "mine"}')
    with pytest.raises(argparse.ArgumentTypeError, match="is not JSON"):
        TrainingJob.parse("{")


def test_numbers_keep_their_form():
    """Tables show a penalty strength as in the configuration."""
    strengths = study(
        retention__lambdas=dict(DEFAULT["studies"][STUDY]["retention"]["lambdas"], mas=[1, 2.5])
    ).retention
    assert [repr(value) for value in strengths.strengths("mas")] == ["1", "2.5"]
    assert strengths.strengths("none") == (0.0,)


def test_shards_and_conditions_of_a_study():
    settings = study(retention__seeds=2)
    assert settings.shards() == [(0, 1), (2, 3)] and settings.retention_shards() == [(0, 1)]
    assert settings.retained() == ["none", "joint", "l2", "depth_100(l2)", *settings.estimators]
    assert settings.retention.strengths("depth_100(l2)") == (0.01, 0.03, 0.1)
    same = study(retention__l2={"lambdas": [1, 2], "depth_ratios": [5], "depth_lambdas": None}).retention
    assert same.strengths("l2") == same.strengths("depth_5(l2)") == (1, 2)
    whole = Configuration.model_validate(merged(DEFAULT))
    assert whole.studies[f"{STUDY}_published"].protocol == KUTALEV_LAPINA
    assert whole.studies[f"{STUDY}_published"].retained() == ["fisher_empirical"]
    companions = [f"{STUDY}_{name}" for name in ("stabilised", "published", "published_pruning")]
    assert whole.companions(STUDY) == companions


def test_a_study_inherits_the_settings_of_shared_networks_and_defaults():
    config = copy.deepcopy(DEFAULT)
    config["studies"] = {STUDY: config["studies"][STUDY], "mine": {"networks_of": STUDY, "analyses": ["correlation"]}}
    mine = Configuration.model_validate(merged(config)).studies["mine"]
    assert (mine.seeds, mine.network, mine.training) == (4, "mlp", study().training)
    assert mine.retention is None
