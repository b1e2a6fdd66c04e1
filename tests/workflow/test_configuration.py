"""The configuration: studies made whole, places of mistakes, and that code, schema and files agree.

The mistakes themselves are in test_mistakes.py.
"""

import copy
import os
import re
import shutil
import subprocess
import sys

import configuration
import pytest
import yaml
from configuration import known, schema

REPOSITORY = configuration.REPOSITORY
DEFAULT = REPOSITORY / "config.yaml"
STUDY = "mlp_permuted_mnist"
GONE = "(removed)"


def default():
    return yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))


def changed(path, value):
    """The default configuration with one value replaced, or removed; ``path`` is dotted, ``*`` stands for the study."""
    config = copy.deepcopy(default())
    *parents, last = [int(key) if key.isdigit() else key for key in path.replace("*", f"studies.{STUDY}").split(".")]
    place = config
    for key in parents:
        place = place[key]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return config


@pytest.mark.parametrize("value", [None, GONE])
def test_a_study_need_not_be_explained(value):
    assert configuration.problems(changed("*.explanation", value), [DEFAULT]) == []


def test_mistakes_of_all_kinds_are_told_at_once():
    """Of keys, values, one value against another, likeness and names: one each, and nothing that only follows."""
    config = changed("seeds", 0) | {"shard_sise": 2}
    studies = config["studies"]
    studies[f"{STUDY}_published"]["like"] = "nothing"
    studies[f"{STUDY}_stabilised"]["retention"]["clamp_negative"] = False
    studies[STUDY]["network"] = "mpl"
    studies["cnn_mnist_fashion"]["tasks"]["count"] = 9
    config["estimators"].append("gone.py")
    found = configuration.problems(config, [DEFAULT])
    expected = [
        "seeds: must be",
        "shard_sise: unknown key",
        f"studies.{STUDY}_published.like: unknown study",
        f"studies.{STUDY}_stabilised.retention.clamp_negative: must be true",
        f"studies.{STUDY}.network: unknown network",
        "studies.cnn_mnist_fashion.tasks.count: must be at most 8",
        "estimators[7]: there is no file",
        f"studies.{STUDY}.retention.lambdas.gone: missing",
        "studies.cnn_mnist_fashion.retention.lambdas.gone: missing",
    ]
    assert len(found) == len(expected), found
    assert all(any(one.startswith(start) for one in found) for start in expected), found


@pytest.mark.parametrize("preset", sorted((REPOSITORY / "presets").glob("*.yaml")), ids=lambda preset: preset.name)
def test_the_default_and_every_preset_are_sound(preset):
    merged = merge(default(), yaml.safe_load(preset.read_text(encoding="utf-8")))
    assert configuration.problems(default(), [DEFAULT]) == []
    assert configuration.problems(merged, [DEFAULT, preset]) == []


def merge(config, changes):
    """As Snakemake merges configuration files: mappings key by key, all else replaced."""
    if not isinstance(config, dict) or not isinstance(changes, dict):
        return changes
    return config | {key: merge(config.get(key), value) for key, value in changes.items()}


def test_the_place_is_the_file_and_line_that_hold_the_value(tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text(
        "# mine\nstudies:\n  mlp_permuted_mnist:\n    pruning:\n      fractions:\n        - 0.5\n        - 7\n"
    )
    config = merge(default(), yaml.safe_load(preset.read_text()))
    place = re.escape(os.path.relpath(preset))
    [problem] = configuration.problems(config, [DEFAULT, preset])
    assert re.search(rf"fractions\[1\]: .* Mend it in {place}, line 7\.$", problem)

    [problem] = configuration.problems(changed("seeds", 0), [DEFAULT, preset])
    assert problem.endswith("Mend it in the --config option on the command line.")


def test_what_a_study_takes_from_another_or_from_all_is_told_once():
    [problem] = configuration.problems(changed("*.training.epochs", 0), [DEFAULT])
    assert problem.startswith(f"studies.{STUDY}.training.epochs: must be at least 1, found 0.")
    [problem] = configuration.problems(changed("seeds", 0), [DEFAULT])
    assert problem.startswith("seeds: ")


def test_a_study_like_another_gives_only_what_differs():
    config = default()
    whole = configuration.resolved(config)["studies"]
    mine, model = whole[f"{STUDY}_published"], whole[STUDY]
    assert mine["retention"]["lambdas"] == config["studies"][f"{STUDY}_published"]["retention"]["lambdas"]
    assert mine["training"] == model["training"] and mine["pruning"] == model["pruning"]
    assert (mine["seeds"], model["seeds"]) == (3, config["seeds"])
    assert configuration.resolved({"studies": whole} | config)["studies"] == whole


def test_ablations_are_those_of_the_study_that_lists_them():
    config = changed("*.retention.ablations", ["uniform(si)"])
    config["studies"][STUDY]["retention"]["ablation_lambdas"] = [1]
    whole = configuration.resolved(config)["studies"]
    assert whole[STUDY]["retention"]["ablations"] == ["uniform(si)"]
    assert "ablations" not in whole[f"{STUDY}_stabilised"]["retention"]
    assert configuration.problems(config, [DEFAULT]) == []


def test_strengths_of_ablations_that_are_not_run_are_refused_or_emptied():
    """A preset that changes the list of ablations cannot remove strengths of the default, but it can empty them."""
    config = changed("*_ablations.retention.ablations", ["shuffled(mas)"])
    [problem] = configuration.problems(config, [DEFAULT])
    assert "'values_of(mas)_in_ranks_of(fisher_empirical)' is not among the study's ablations" in problem
    config["studies"][f"{STUDY}_ablations"]["retention"]["lambdas"]["values_of(mas)_in_ranks_of(fisher_empirical)"] = []
    assert configuration.problems(config, [DEFAULT]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('ESTIMATOR = Kind(label="SI")\n', "'mine' and 'si' have the same label, 'SI'"),
        ("", "does not define ESTIMATOR"),
    ],
)
def test_an_estimator_needs_a_label_of_its_own(text, message, tmp_path, monkeypatch):
    package = tmp_path / "package"
    shutil.copytree(known.PACKAGE, package)
    (package / "estimators/catalogue/mine.py").write_text(text)
    monkeypatch.setattr(known, "PACKAGE", package)
    config = changed("estimators", ["si", "mine"])
    for settings in config["studies"].values():
        settings.pop("estimators", None)
        settings.get("retention", {}).get("lambdas", {})["mine"] = [1]
    found = configuration.problems(config, [DEFAULT])
    assert any(message in problem for problem in found), found


def test_names_read_from_the_source_are_those_of_the_import():
    from weight_importance.data.catalogue import DATASETS
    from weight_importance.estimators.registry import load, names
    from weight_importance.learning.networks import NETWORKS

    assert configuration.estimators() == names()
    assert known.networks() == sorted(NETWORKS)
    assert {name: configuration.label(name, {}) for name in names()} == {name: load(name).label for name in names()}
    needed = {name: list(getattr(load(name), "records", ())) for name in names()}
    assert {name: configuration.records(name, {}) for name in names()} == needed
    assert known.datasets() == sorted(DATASETS)


def test_every_source_stands_in_the_bibliography():
    from weight_importance.estimators.registry import load, names

    bibliography = (REPOSITORY / "paper/references.bib").read_text(encoding="utf-8")
    assert [name for name in names() if f"{{{load(name).source}," not in bibliography] == []


def schema_keys(schema, path=()):
    """Every key that the schema knows, as a path, with its description; a study's name is ``*``."""
    for key, content in schema.get("properties", {}).items():
        yield (*path, key), content
        yield from schema_keys(content, (*path, key))
    if isinstance(schema.get("additionalProperties"), dict):
        yield (*path, "*"), schema["additionalProperties"]
        yield from schema_keys(schema["additionalProperties"], (*path, "*"))
    if "items" in schema:
        yield (*path, "[]"), schema["items"]


SCHEMA = yaml.safe_load(schema.SCHEMA.read_text(encoding="utf-8"))


def test_schema_and_default_configuration_know_the_same_keys():
    def keys(content, schema, path=()):
        for key, value in content.items() if isinstance(content, dict) else ():
            known = key in schema.get("properties", {})
            name = key if known else "*"
            yield (*path, name)
            yield from keys(
                value, schema["properties"][key] if known else schema["additionalProperties"], (*path, name)
            )

    documented = {path for path, _ in schema_keys(SCHEMA) if path[-1] != "[]"}
    assert documented == set(keys(default(), SCHEMA))


def test_every_key_is_described_in_the_schema_and_commented_in_the_file():
    undescribed = [path for path, content in schema_keys(SCHEMA) if not content.get("description")]
    assert not undescribed

    keys, commented = set(), set()
    for line in DEFAULT.read_text(encoding="utf-8").splitlines():
        key = re.match(r"( *)(\w+):", line)
        if key and not (len(key[1]) >= 8 and key[2] in configuration.estimators()):
            keys.add(key[2])
            if "#" in line:
                commented.add(key[2])
    assert keys - commented == {"studies"}, "keys of config.yaml without a comment where they stand, once at least"


def strict(schema):
    """All mappings of the schema."""
    if "object" in schema.get("type", ()):
        yield schema
    for inner in [*schema.get("properties", {}).values(), schema.get("additionalProperties"), schema.get("items")]:
        if isinstance(inner, dict):
            yield from strict(inner)


def test_no_mapping_accepts_unknown_keys():
    assert all("additionalProperties" in mapping for mapping in strict(SCHEMA))


def test_reading_the_workflow_is_quick_because_it_loads_no_heavy_library():
    """Beyond what Snakemake itself loads, with its plugins (the one for Slurm loads pandas)."""
    rules = REPOSITORY / "workflow/rules"
    names = [*(file.stem for file in rules.glob("*.py")), "configuration"]
    known = "import sys, snakemake.cli; known = {*sys.modules}"
    code = f"{known}; import {', '.join(names)}; print(*{{*sys.modules}} - known)"
    command = [sys.executable, "-c", code]
    path = os.pathsep.join([str(rules), str(REPOSITORY / "workflow/scripts")])
    run = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "scipy", "matplotlib"} & {name.split(".")[0] for name in run.stdout.split()}


GOOD = """from weight_importance.estimators.kinds import MomentEstimator

ESTIMATOR = MomentEstimator(
    label="mine", formula="g", source="zenke2017continual", power=1,
    cotangents=lambda logits, labels, generator: (logits[None], logits.new_ones(1, len(logits))),
)
"""


def test_an_estimator_of_ones_own_goes_by_the_name_of_its_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(GOOD, encoding="utf-8")
    config = changed("estimators", [*default()["estimators"], str(file)])
    for study in config["studies"].values():
        if "lambdas" in study["retention"]:
            study["retention"]["lambdas"]["mine"] = []
    assert configuration.problems(config) == []
    assert configuration.own_estimators(config) == {"mine": str(file)}
    assert configuration.resolved(config)["studies"][STUDY]["estimators"][-1] == "mine"
    assert configuration.label("mine", {"mine": str(file)}) == "mine"
