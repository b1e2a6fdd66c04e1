"""Mistakes in the configuration: each is named with its key, the value found, the remedy and the place."""

import copy
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

import configuration

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


MISTAKES = [
    # unknown and misspelt keys at every level
    ("seedz", 4, r"^seedz: unknown key\. Did you mean 'seeds'\?"),
    ("*.trainin", {}, rf"^studies\.{STUDY}\.trainin: unknown key\. Did you mean 'training'\?"),
    ("*.tasks.cuont", 3, r"tasks\.cuont: unknown key\. Did you mean 'count'\?"),
    ("*.images.tset", 3, r"images\.tset: unknown key\. Did you mean 'test'\?"),
    ("*.training.epoch", 3, r"training\.epoch: unknown key\. Did you mean 'epochs'\?"),
    ("*.importance.sample", 3, r"importance\.sample: unknown key\. Did you mean 'samples'\?"),
    ("*.retention.lambda", {}, r"retention\.lambda: unknown key\. Did you mean 'lambdas'\?"),
    ("*.pruning.fraction", [], r"pruning\.fraction: unknown key\. Did you mean 'fractions'\?"),
    ("*.explanation.sampels", 3, r"explanation\.sampels: unknown key\. Did you mean 'samples'\?"),
    ("correlation.permutation", 3, r"correlation\.permutation: unknown key\. Did you mean 'permutations'\?"),
    # missing keys
    ("seeds", GONE, r"^seeds: missing\. How many networks"),
    ("*.pruning", GONE, r"pruning: missing\."),
    ("*.explanation.epochs", GONE, r"explanation\.epochs: missing\. Numbers of passes"),
    ("*.retention.lambdas.mas", GONE, r"lambdas\.mas: missing: 'mas' is listed under estimators"),
    # wrong types
    ("seeds", "four", r"^seeds: expected a whole number, found 'four'\."),
    ("seeds", True, r"^seeds: expected a whole number, found true\."),
    ("shard_size", 2.0, r"^shard_size: expected a whole number, found 2\.0\."),
    ("estimators", "mas", r"^estimators: expected a list, found 'mas'\."),
    ("estimators.0", 3, r"^estimators\[0\]: expected text, found 3\."),
    ("studies", [], r"^studies: expected a mapping \(key: value\), found \[\]\."),
    ("*", None, rf"^studies\.{STUDY}: expected a mapping \(key: value\), found null\."),
    ("*.images.training", "all", r"images\.training: expected a whole number or null, found 'all'\."),
    ("*.training.learning_rate", "1e-3", r"learning_rate: expected a number, found '1e-3'\. .* write 0\.001 in"),
    ("*.retention.clamp_negative", "yes", r"clamp_negative: expected true or false, found 'yes'\."),
    ("*.explanation", 3, r"explanation: expected a mapping \(key: value\) or null, found 3\."),
    ("*.explanation.temperatures", 2, r"temperatures: expected a list, found 2\."),
    ("*.explanation.epochs.0", 1.5, r"epochs\[0\]: expected a whole number, found 1\.5\."),
    ("*.retention.lambdas.mas", 4.5, r"lambdas\.mas: expected a list, found 4\.5\."),
    # out of range
    ("seeds", 0, r"^seeds: must be at least 1, found 0\."),
    ("seeds", -3, r"^seeds: must be at least 1, found -3\."),
    ("shard_size", 0, r"^shard_size: must be at least 1, found 0\."),
    ("*.tasks.count", 1, r"tasks\.count: must be at least 2, found 1\."),
    ("*.images.validation", 0, r"images\.validation: must be at least 1, found 0\."),
    ("*.training.learning_rate", 0, r"learning_rate: must be greater than 0, found 0\."),
    ("*.retention.lambdas.mas.1", -4.5, r"lambdas\.mas\[1\]: must be greater than 0, found -4\.5\."),
    ("*.retention.lambdas.mas.1", float("inf"), r"lambdas\.mas\[1\]: expected a number, found \.inf\."),
    ("*.pruning.fractions.1", 1.5, r"fractions\[1\]: must be at most 1, found 1\.5\."),
    ("*.pruning.fractions.0", -0.1, r"fractions\[0\]: must be at least 0, found -0\.1\."),
    ("*.explanation.samples", 1, r"explanation\.samples: must be at least 2, found 1\."),
    ("*.explanation.temperatures.0", 0, r"temperatures\[0\]: must be greater than 0, found 0\."),
    ("*.explanation.label_smoothing.1", 1.5, r"label_smoothing\[1\]: must be at most 1, found 1\.5\."),
    ("correlation.permutations", 0, r"^correlation\.permutations: must be at least 1, found 0\."),
    # empty and repeated
    ("estimators", [], r"^estimators: needs at least 2 entries, found 0\."),
    ("*.explanation.estimators", ["mas"], r"estimators: needs at least 2 entries, found 1\."),
    ("*.explanation.epochs", [], r"epochs: needs at least 1 entry, found 0\."),
    ("studies", {}, r"^studies: needs at least 1 entry, found 0\."),
    ("estimators", ["mas", "si", "mas"], r"^estimators: lists 'mas' more than once\."),
    ("*.retention.lambdas.si", [1, 1.0], r"lambdas\.si: lists .*1.* more than once\."),
    ("*.pruning.fractions", [0.5, 0.5], r"fractions: lists 0\.5 more than once\."),
    # controls
    ("*_controls.retention.control", [], r"retention\.control: unknown key\. Did you mean 'controls'\?"),
    ("*_controls.retention.controls", "uniform(mas)", r"controls: expected a list, found 'uniform\(mas\)'\."),
    ("*_controls.retention.controls.1", "mas", r"controls\[1\]: 'mas' is not a control\. Allowed: transform\("),
    ("*_controls.retention.controls.1", "shufled(mas)", r"unknown control 'shufled'\. Did you mean 'shuffled'\?"),
    ("*_controls.retention.controls.1", "uniform(mass)", r"unknown estimator 'mass'\. Did you mean 'mas'\?"),
    (
        "*_controls.retention.controls.1",
        "uniform(si)",
        r"controls\[1\]: 'si' is not among the estimators of the study: f",
    ),
    ("*_controls.retention.controls.1", "power_0(mas)", r"needs an exponent above zero, such as power_0\.5, found '0'"),
    ("*_controls.retention.controls.1", "power_x(mas)", r"needs an exponent above zero, such as power_0\.5, found 'x'"),
    ("*_controls.retention.controls.1", "values_of(mas)_in_ranks_of(mas)", r"changes nothing: name two different"),
    ("*_controls.retention.controls.1", "values_of(mas)_in_ranks_of(si)", r"'si' is not among the estimators"),
    ("*_controls.retention.controls", ["uniform(mas)"] * 2, r"controls: lists 'uniform\(mas\)' more than once\."),
    ("*_controls.retention.lambdas.uniforn(mas)", [1], r"unknown control 'uniforn'\. Did you mean 'uniform'\?"),
    ("*_controls.retention.lambdas.uniform(mass)", [1], r"unknown estimator 'mass'\. Did you mean 'mas'\?"),
    ("*_controls.retention.lambdas.mas", [], r"controls\[9\]: '.*' is compared with 'mas', which needs strengths"),
    ("*_controls.retention.control_lambdas", GONE, r"controls\[0\]: needs strengths for 'uniform\(fisher_empirical\)'"),
    ("*_controls.retention.control_lambdas.0", 0, r"control_lambdas\[0\]: must be greater than 0, found 0\."),
    ("*_controls.retention.clamp_negative", False, r"clamp_negative: must be true with controls"),
    ("*_controls.retention.unpenalised", False, r"unpenalised: must be true with controls, found false"),
    # seeds
    ("first_seed", -1, r"^first_seed: must be at least 0, found -1\."),
    ("first_seed", GONE, r"^first_seed: missing\. The first of these seeds"),
    ("*_controls.first_sed", 3, r"first_sed: unknown key\. Did you mean 'first_seed'\?"),
    # unknown names
    ("estimators.2", "mass", r"^estimators\[2\]: unknown estimator 'mass'\. Did you mean 'mas'\? Known: .*, si,"),
    ("*.retention.lambdas.sii", [1], r"lambdas\.sii: unknown estimator 'sii'\. Did you mean 'si'\?"),
    ("*.network", "mpl", r"network: unknown network 'mpl'\. Did you mean 'mlp'\?"),
    ("*.datasets.0", "minst", r"datasets\[0\]: unknown dataset 'minst'\. Did you mean 'mnist'\?"),
    ("*.estimators", ["mas", "sii"], r"estimators\[1\]: unknown estimator 'sii'\. Did you mean 'si'\?"),
    ("*.explanation.estimators", ["mas", "sii"], r"estimators\[1\]: unknown estimator 'sii'\. Did you mean 'si'\?"),
    ("*.protocol", "publisht", r"protocol: unknown value 'publisht'\. Did you mean 'published'\?"),
    ("*.retention.penalty", "stabilized", r"penalty: unknown value 'stabilized'\. Did you mean 'stabilised'\?"),
    ("*.retention.batch_norm", "fixed", r"batch_norm: unknown value 'fixed'\. Allowed: running, frozen\."),
    ("studies.mlp_permuted_mnst", {"training": {"epochs": 3}}, r"unknown study\. Did you mean 'mlp_permuted_mnist'\?"),
    # likeness
    ("*_published.like", "mlp_permuted", r"_published\.like: unknown study 'mlp_permuted'\. Did you mean '\w+'\?"),
    (
        "*_published.like",
        "cnn_mnist_fashion_frozen",
        r"like: 'cnn_mnist_fashion_frozen' is itself like 'cnn_mnist_fashion'",
    ),
    ("*_published.like", 3, r"_published\.like: unknown study '3'\."),
    ("*_published.training", {"epocs": 1}, r"_published\.training\.epocs: unknown key\. Did you mean 'epochs'\?"),
    # one value against another
    ("*.retention.unpenalised", False, r"retention\.unpenalised: must be true, found false"),
    ("*_stabilised.retention.clamp_negative", False, r"clamp_negative: must be true with penalty 'stabilised'"),
    ("*.tasks", {"kind": "permuted", "count": 2}, r"tasks\.seed: missing\. Seed of the permutations"),
    ("*.tasks.kind", "rotated", r"tasks\.seed: not used by kind 'rotated'"),
    ("studies.cnn_mnist_fashion.tasks.count", 9, r"tasks\.count: must be at most 8, four quarter turns"),
    ("*.images.training", 4000, r"importance\.samples: must be at most images\.training, 4000, found 5000\."),
    ("*.images.training", 50, r"training\.batch_size: must be at most images\.training, 50, found 100\."),
    ("*.explanation.images", 99, r"explanation\.images: must be at least training\.batch_size, 100, found 99\."),
    ("*.explanation.samples", 2001, r"explanation\.samples: must be at most explanation\.images, 2000, found 2001\."),
    (
        "studies.cnn_mnist_fashion.explanation.images",
        4001,
        r"explanation\.images: must be at most images\.training, 4000, found 4001\.",
    ),
    (
        "*_stabilised.explanation",
        {"samples": 10},
        r"_stabilised\.explanation: has no effect: only 'mlp_permuted_mnist'",
    ),
    ("*.explanation.trajectories.tasks", 11, r"trajectories\.tasks: must be at most tasks\.count, 10, found 11\."),
    ("*.explanation.trajectories.images", 999, r"images: must be at least explanation\.samples, 1000, found 999\."),
    ("*.explanation.trajectories.strengths.mass", 1, r"strengths\.mass: not one of explanation\.estimators"),
    ("*.explanation.trajectories.strengths", {"mas": 1}, r"strengths: needs at least 2 entries, found 1\."),
    ("*.tasks.kind", "permutd", r"tasks\.kind: unknown value 'permutd'\. Did you mean 'permuted'\?"),
    ("studies.A-B", {}, r"^studies\.A-B: not a usable name: use lower-case"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES, ids=[f"{path}={value}" for path, value, _ in MISTAKES])
def test_every_mistake_is_named(path, value, message):
    found = configuration.problems(changed(path, value), [DEFAULT])
    assert any(re.search(message, problem) for problem in found), found
    assert all("Mend it in" in problem for problem in found)


@pytest.mark.parametrize("value", [None, GONE])
def test_a_study_need_not_be_explained(value):
    assert configuration.problems(changed("*.explanation", value), [DEFAULT]) == []


def test_several_mistakes_are_told_at_once():
    config = changed("seeds", 0) | {"shard_sise": 2}
    assert len(configuration.problems(config, [DEFAULT])) == 2


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


def test_controls_are_those_of_the_study_that_lists_them():
    config = changed("*.retention.controls", ["uniform(si)"])
    config["studies"][STUDY]["retention"]["control_lambdas"] = [1]
    whole = configuration.resolved(config)["studies"]
    assert whole[STUDY]["retention"]["controls"] == ["uniform(si)"]
    assert "controls" not in whole[f"{STUDY}_stabilised"]["retention"]
    assert configuration.problems(config, [DEFAULT]) == []


def test_strengths_of_controls_that_are_not_run_stay_without_harm():
    """A preset that changes the list of controls cannot remove strengths that the default gives them."""
    assert configuration.problems(changed("*_controls.retention.controls", ["shuffled(mas)"]), [DEFAULT]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('ESTIMATOR = Kind(label="SI")\n', "'mine' and 'si' have the same label, 'SI'"),
        ("", "does not define ESTIMATOR"),
    ],
)
def test_an_estimator_needs_a_label_of_its_own(text, message, tmp_path, monkeypatch):
    package = tmp_path / "package"
    shutil.copytree(configuration.PACKAGE, package)
    (package / "estimators/catalogue/mine.py").write_text(text)
    monkeypatch.setattr(configuration, "PACKAGE", package)
    config = changed("estimators", ["si", "mine"])
    for settings in config["studies"].values():
        settings.pop("estimators", None)
        settings.get("retention", {}).get("lambdas", {})["mine"] = [1]
    found = configuration.problems(config, [DEFAULT])
    assert any(message in problem for problem in found), found


def test_a_key_given_twice_is_named(tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text("seeds: 3\nshard_size: 1\nseeds: 4\n")
    config = merge(default(), yaml.safe_load(preset.read_text()))
    [problem] = configuration.problems(config, [DEFAULT, preset])
    assert re.search(r"mine\.yaml, line 3: seeds is there twice, first on line 1", problem)


def test_names_read_from_the_source_are_those_of_the_import():
    from weight_importance.datasets import DATASETS
    from weight_importance.estimators.registry import load, names
    from weight_importance.networks import NETWORKS

    assert configuration.estimators() == names()
    assert configuration.networks() == sorted(NETWORKS)
    assert {name: configuration.label(name, {}) for name in names()} == {name: load(name).label for name in names()}
    needed = {name: list(getattr(load(name), "records", ())) for name in names()}
    assert {name: configuration.records(name, {}) for name in names()} == needed
    assert configuration.datasets() == sorted(DATASETS)


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


SCHEMA = yaml.safe_load(configuration.SCHEMA.read_text(encoding="utf-8"))


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seedz=3"], "seedz: unknown key. Did you mean 'seeds'?"),
        (["seeds=0"], "seeds: must be at least 1, found 0."),
        (["estimators=[mass, si]"], "unknown estimator 'mass'. Did you mean 'mas'?"),
    ],
)
def test_snakemake_shows_one_message_and_no_trace(arguments, message):
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--nolock", "--config", *arguments]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.count(message) == 1
    assert "Traceback" not in run.stderr and "WorkflowError" not in run.stderr


def test_reading_the_workflow_is_quick_because_it_loads_no_heavy_library():
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", "--list-rules"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in run.stderr.splitlines() if "|" in line}
    assert not loaded & {"torch", "pandas", "scipy", "matplotlib"}


PATH = """from weight_importance.estimators.kinds import PathEstimator

ESTIMATOR = PathEstimator(
    label="mine", formula="g", source="zenke2017continual", records=("path_integral",), importance=lambda path_integral:
    path_integral, published={"path_integral": "penalised_path_integral"},
)
"""

GOOD = """from weight_importance.estimators.kinds import MomentEstimator

ESTIMATOR = MomentEstimator(
    label="mine", formula="g", source="zenke2017continual", power=1,
    cotangents=lambda logits, labels, generator: (logits[None], logits.new_ones(1, len(logits))),
)
"""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gone.py", None, r"there is no file '.*gone\.py'"),
        ("mas.py", GOOD, r"would be called 'mas', as an estimator that is there; rename the file"),
        ("Mine.py", GOOD, r"'Mine', of .*, is no usable name"),
        ("mine.py", "ESTIMATOR = (", r"is not valid Python"),
        ("mine.py", "import os", r"must define ESTIMATOR = one of MomentEstimator\(\.\.\.\), CurvatureEstimator"),
        ("mine.py", GOOD.replace('label="mine", ', ""), r"must give ESTIMATOR a label, a text in quotes"),
        (
            "mine.py",
            GOOD.replace("zenke2017continual", "me"),
            r"source 'me', which paper/references\.bib does not hold",
        ),
        (
            "mine.py",
            GOOD.replace("MomentEst", "PathEst"),
            r"must give ESTIMATOR its records, a tuple of texts of: absolute_gradient, ",
        ),
        (
            "mine.py",
            PATH.replace("penalised_path_integral", "penalised_path"),
            r"has records: unknown record 'penalised_path'\. Did you mean 'penalised_path_integral'",
        ),
        ("mine.py", PATH.replace('{"path', '{"squared'), r"published, if at all, as {one of its records: "),
        ("mine.py", GOOD.replace('"mine"', '"MASX"'), r"'mine' and 'masx' have the same label, 'MASX'"),
    ],
)
def test_an_estimator_of_ones_own_is_checked_without_being_run(name, text, message, tmp_path):
    file = tmp_path / name
    if text:
        file.write_text(text, encoding="utf-8")
    config = changed("estimators", [*default()["estimators"], "masx", str(file)])
    for study in config["studies"].values():
        if "lambdas" in study["retention"]:
            study["retention"]["lambdas"] |= {"masx": [], file.stem: []}
    found = configuration.problems(config)
    assert len(found) == 1 and found[0].startswith("estimators["), found
    assert re.search(message, found[0]), found


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
