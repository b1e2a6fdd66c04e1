"""Reading the configuration: presets, `like`, places of mistakes, and names from the source code.

Types and limits are tested in tests/unit/test_settings.py, messages in test_mistakes.py.
"""

import copy
import os
import re
import subprocess
import sys

import pytest
import yaml

from configurations import DEFAULT, STUDY, changed, combined, default
from weight_importance.settings import known, reading
from weight_importance.settings.merging import merged, own_estimators

REPOSITORY = known.REPOSITORY


@pytest.mark.parametrize("preset", sorted((REPOSITORY / "presets").glob("*.yaml")), ids=lambda preset: preset.name)
def test_the_default_and_every_preset_are_valid(preset):
    config = combined(default(), yaml.safe_load(preset.read_text(encoding="utf-8")))
    assert reading.configuration_problems(default(), [DEFAULT]) == []
    assert reading.configuration_problems(config, [DEFAULT, preset]) == []


def test_mistakes_of_all_kinds_are_reported_at_once():
    """One mistake each in keys, values, dependent values, references and names, without consequential errors."""
    config = changed("seeds", 0) | {"shard_sise": 2}
    studies = config["studies"]
    studies[f"{STUDY}_published"]["like"] = "nothing"
    studies[f"{STUDY}_stabilised"]["retention"]["clamp_negative"] = False
    studies[STUDY]["network"] = "mpl"
    studies["cnn_mnist_fashion"]["tasks"]["count"] = 9
    studies["cnn_mnist_fashion_frozen"]["companion_of"] = "nothing"
    config["estimators"].append("gone.py")
    problems = reading.configuration_problems(config, [DEFAULT])
    expected = [
        "seeds: must be",
        "shard_sise: unknown key",
        f"studies.{STUDY}_published.like: unknown study",
        f"studies.{STUDY}_stabilised.retention.clamp_negative: must be true",
        f"studies.{STUDY}.network: unknown network",
        "studies.cnn_mnist_fashion.tasks.count: must be at most 8",
        "studies.cnn_mnist_fashion_frozen.companion_of: unknown study",
        "estimators[7]: there is no file",
        f"studies.{STUDY}.retention.lambdas.gone: is missing",
        "studies.cnn_mnist_fashion.retention.lambdas.gone: is missing",
    ]
    assert all(any(problem.startswith(start) for problem in problems) for start in expected), problems
    assert len(problems) == len(expected), problems


@pytest.mark.parametrize("value", ["7", ".nan"])
def test_the_reported_place_is_file_and_line_of_the_value(value, tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text(
        f"# mine\nstudies:\n  mlp_permuted_mnist:\n    pruning:\n      fractions:\n        - 0.5\n        - {value}\n"
    )
    config = combined(default(), yaml.safe_load(preset.read_text()))
    place = re.escape(os.path.relpath(preset))
    [problem] = reading.configuration_problems(config, [DEFAULT, preset])
    assert re.search(rf"fractions\[1\]: .* Fix it in {place}, line 7\.$", problem)

    [problem] = reading.configuration_problems(changed("seeds", 0), [DEFAULT, preset])
    assert problem.endswith("Fix it in the --config option on the command line.")


def test_missing_strengths_are_reported_where_the_estimator_is_listed(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(f"studies:\n  {STUDY}:\n    estimators:\n      - mas\n      - masx\n", encoding="utf-8")
    config = combined(default(), yaml.safe_load(file.read_text(encoding="utf-8")))
    problems = reading.configuration_problems(config, [DEFAULT, file])
    [problem] = [problem for problem in problems if problem.startswith(f"studies.{STUDY}.retention.lambdas.masx")]
    assert problem.endswith(f"Fix it in {os.path.relpath(file)}, line 5.")


@pytest.mark.parametrize("path", ["*.training.epochs", "seeds"])
def test_an_inherited_mistake_is_reported_once(path):
    [problem] = reading.configuration_problems(changed(path, 0), [DEFAULT])
    assert problem.startswith(f"{path.replace('*', f'studies.{STUDY}')}: must be at least 1, found 0.")


def test_like_copies_missing_settings():
    config = default()
    studies = merged(config)["studies"]
    published, base = studies[f"{STUDY}_published"], config["studies"][STUDY]
    assert published["training"] == base["training"] and published["images"] == base["images"] | {"training": None}
    assert "like" not in published
    lambdas = config["studies"][f"{STUDY}_published"]["retention"]["lambdas"]
    assert published["retention"] == base["retention"] | config["studies"][f"{STUDY}_published"]["retention"]
    assert published["retention"]["lambdas"] == lambdas, "lists of strengths are not merged"


def test_like_replaces_tasks_of_another_kind():
    config = changed("*_published.tasks", {"kind": "rotated", "count": 4})
    assert merged(config)["studies"][f"{STUDY}_published"]["tasks"] == {"kind": "rotated", "count": 4}


def test_sections_of_unlisted_analyses_are_not_checked():
    config = changed("*.analyses", ["retention", "variants"])
    config["studies"][STUDY]["explanation"]["images"] = 60000
    assert reading.configuration_problems(config, [DEFAULT]) == []


def test_names_read_from_the_source_equal_imported_names():
    from weight_importance.data.catalogue import DATASETS
    from weight_importance.estimators.registry import load, names
    from weight_importance.learning.networks import NETWORKS

    assert known.estimators() == names()
    assert known.networks() == sorted(NETWORKS)
    assert known.datasets() == sorted(DATASETS)
    assert {name: known.label(name, {}) for name in names()} == {name: load(name).label for name in names()}
    records = {name: list(getattr(load(name), "records", ())) for name in names()}
    assert {name: known.records(name, {}) for name in names()} == records


def test_every_source_is_in_the_bibliography():
    from weight_importance.estimators.registry import load, names

    bibliography = (REPOSITORY / "paper/references.bib").read_text(encoding="utf-8")
    assert [name for name in names() if f"{{{load(name).source}," not in bibliography] == []


def test_every_key_of_the_default_configuration_has_a_comment():
    keys, commented = set(), set()
    for line in DEFAULT.read_text(encoding="utf-8").splitlines():
        key = re.match(r"( *)(\w+):", line)
        if key and not (len(key[1]) >= 8 and key[2] in known.estimators()):
            keys.add(key[2])
            if "#" in line:
                commented.add(key[2])
    assert keys - commented == {"studies"}


def test_reading_the_configuration_loads_no_heavy_library():
    """Planning must be fast; Snakemake loads some libraries anyway."""
    code = "import sys, weight_importance.settings.reading; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "pandas", "scipy", "matplotlib", "snakemake"}
    assert not heavy & {name.split(".")[0] for name in run.stdout.split()}


def test_an_own_estimator_is_named_after_its_file(tmp_path):
    file = tmp_path / "mine.py"
    arguments = 'label="mine", formula="g", source="zenke2017continual", cotangents=None, power=1'
    file.write_text(f"ESTIMATOR = MomentEstimator({arguments})\n", encoding="utf-8")
    config = changed("estimators", [*default()["estimators"], str(file)])
    for study in config["studies"].values():
        if study["retention"] and "lambdas" in study["retention"]:
            study["retention"]["lambdas"]["mine"] = []
    assert reading.configuration_problems(config) == []
    assert own_estimators(config) == {"mine": str(file)}
    assert reading.read(copy.deepcopy(config), []).studies[STUDY].estimators[-1] == "mine"
    assert known.label("mine", {"mine": str(file)}) == "mine"
