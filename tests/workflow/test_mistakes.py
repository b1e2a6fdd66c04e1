"""The catalogue of mistakes, tests/mistakes: each is refused with a message of four parts and without a trace of calls.

The parts are what is wrong (key, file or option), what was found, what is allowed, and where or how to mend it.
"""

import copy
from functools import cache
from pathlib import Path

import pytest
import yaml

import configuration
from configuration import files

CATALOGUE = Path(__file__).parents[1] / "mistakes"
SCRIPTS = configuration.REPOSITORY / "workflow/scripts"
DEFAULT = configuration.REPOSITORY / "config.yaml"
STUDY = "mlp_permuted_mnist"
REMOVED = "(removed)"


def mistakes(name):
    """One file of the catalogue as parameters of a test, each called by what is wrong and what was found."""
    cases = yaml.safe_load((CATALOGUE / f"{name}.yaml").read_text(encoding="utf-8"))
    return pytest.mark.parametrize("case", cases, ids=[f"{case['names']}-{case['found']}"[:70] for case in cases])


def assert_told(case, message):
    """The message, or one of a list of them, holds all four parts, and no trace of calls."""
    messages = [message] if isinstance(message, str) else message
    parts = [str(case[part]) for part in ("names", "found", "allowed", "remedy")]
    assert any(all(part in one for part in parts) for one in messages), (parts, messages)
    assert not any("Traceback" in one for one in messages)


def test_the_catalogue_is_long():
    assert sum(len(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in CATALOGUE.glob("*.yaml")) >= 200


# Values


@cache
def read(file):
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def default():
    return copy.deepcopy(read(DEFAULT))


def changed(config, path, value):
    """A configuration with the value at a dotted path replaced, or removed; ``*`` is the fully connected study."""
    *parents, last = [int(key) if key.isdigit() else key for key in path.replace("*", f"studies.{STUDY}").split(".")]
    place = config
    for key in parents:
        place = place[key]
    if value == REMOVED:
        del place[last]
    else:
        place[last] = value
    return config


@mistakes("values")
def test_values(case):
    [(path, value)] = case["change"].items()
    names = case["names"].replace("*", f"studies.{STUDY}")
    found = configuration.problems(changed(default(), path, value), [DEFAULT])
    assert_told(case | {"names": f"{names}: ", "remedy": "Mend it in"}, found)
    assert all("Mend it in" in problem for problem in found)


# Files of the configuration


def merged(config, changes):
    """As Snakemake merges configuration files: mappings key by key, all else replaced."""
    if not isinstance(config, dict) or not isinstance(changes, dict):
        return changes
    return config | {key: merged(config.get(key), value) for key, value in changes.items()}


@mistakes("files")
def test_files(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(configuration.REPOSITORY)
    file = tmp_path / "mine.yaml"
    if "folder" in case:
        file.mkdir()
    elif "nothing" not in case:
        content = bytes.fromhex(case["bytes"]) if "bytes" in case else case["text"].encode()
        file.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        files.require(files.given(["--cores", "2", "all", "--configfile", str(file)]))
        config = merged(default(), yaml.safe_load(file.read_text(encoding="utf-8")))
        configuration.validate(config, [DEFAULT, file])
    assert_told(case, str(ended.value))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-n"], []),
        (["--configfile", "a.yaml", "b.yaml", "--cores", "2"], ["a.yaml", "b.yaml"]),
        (["all", "--configfile=a.yaml", "-n"], ["a.yaml"]),
        (["--configfiles", "a.yaml", "--config", "seeds=3", "--configfile", "b.yaml"], ["a.yaml", "b.yaml"]),
        (["--cores", "all", "--", "results/paper/main.pdf"], []),
    ],
)
def test_the_files_on_a_command_line_are_found(arguments, expected):
    assert files.given(arguments) == ["config.yaml", *expected]


# Estimators of the user's own

SOUND = """from weight_importance.estimators.kinds import MomentEstimator

ESTIMATOR = MomentEstimator(
    label="mine", formula="g", source="zenke2017continual", power=1,
    cotangents=lambda logits, labels, generator: (logits[None], logits.new_ones(1, len(logits))),
)
"""


@mistakes("estimators")
def test_estimators_of_ones_own(case, tmp_path):
    file = tmp_path / case["file"]
    text = case.get("text", SOUND)
    for found, other in case.get("change", {}).items():
        assert found in text
        text = text.replace(found, other)
    if "nothing" not in case:
        file.write_text(text, encoding="utf-8")
    config = changed(default(), "estimators", [*default()["estimators"], "masx", str(file)])
    for study in config["studies"].values():
        if "lambdas" in study["retention"]:
            study["retention"]["lambdas"] = {"masx": [], file.stem: []} | study["retention"]["lambdas"]
    [problem] = configuration.problems(config)
    assert problem.startswith("estimators[8]: ")
    assert_told(case | {"remedy": "Mend it in"}, problem)
