"""The catalogue of mistakes, tests/mistakes: each is refused with a message of four parts and without a stack trace.

The parts are the name (key, file or option), the value found, the allowed values, and the remedy.
"""

import gzip
import io
import json
import os
import runpy
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

import programs
from configurations import DEFAULT, STUDY, changed, combined, default
from studies import LEARNING
from weight_importance.data import catalogue as datasets
from weight_importance.estimators import trial
from weight_importance.files.storage import save_tensors, write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.learning.networks import MLP
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.own_estimators import VARIABLE
from weight_importance.settings import (
    CorrelationJob,
    EvaluationJob,
    ImportanceJob,
    PruningJob,
    RetentionJob,
    Study,
    TrainingJob,
    files,
    reading,
)
from weight_importance.settings.known import REPOSITORY

CATALOGUE = Path(__file__).parents[1] / "mistakes"
SCRIPTS = REPOSITORY / "workflow/scripts"


def mistakes(name):
    """One file of the catalogue as parameters of a test, identified by name and value found."""
    cases = yaml.safe_load((CATALOGUE / f"{name}.yaml").read_text(encoding="utf-8"))
    names = [case.get("message", f"{case.get('names', name)}-{case.get('found')}")[:70] for case in cases]
    return pytest.mark.parametrize("case", cases, ids=names)


def assert_four_parts(case, message):
    """The message has all four parts and no stack trace."""
    parts = [str(case[part]) for part in ("names", "found", "allowed", "remedy")]
    assert all(part in message for part in parts), (parts, message)
    assert "Traceback" not in message


# Values


@mistakes("values")
def test_values(case):
    [(path, value)] = case["change"].items()
    problems = reading.configuration_problems(changed(path, value), [DEFAULT])
    message = case["message"].replace("*", f"studies.{STUDY}")
    assert any(problem.startswith(message) for problem in problems), problems
    assert all("Fix it in" in problem for problem in problems)


# Files of the configuration


@mistakes("files")
def test_files(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    file = tmp_path / "mine.yaml"
    if "folder" in case:
        file.mkdir()
    elif "nothing" not in case:
        content = bytes.fromhex(case["bytes"]) if "bytes" in case else case["text"].encode()
        file.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        files.require(files.given(["--cores", "2", "all", "--configfile", str(file)]))
        config = combined(default(), yaml.safe_load(file.read_text(encoding="utf-8")))
        reading.read(config, [DEFAULT, file])
    assert_four_parts(case, str(ended.value))


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
def test_configuration_files_on_a_command_line_are_recognised(arguments, expected):
    assert files.given(arguments) == ["config.yaml", *expected]


# Users' estimators

SOUND = """from weight_importance.estimators.kinds import MomentEstimator

ESTIMATOR = MomentEstimator(
    label="mine", formula="g", source="zenke2017continual", power=1,
    cotangents=lambda logits, labels, generator: (logits[None], logits.new_ones(1, len(logits))),
)
"""


@mistakes("estimators")
def test_users_estimators(case, tmp_path):
    file = tmp_path / case["file"]
    text = case.get("text", SOUND)
    for old, other in case.get("change", {}).items():
        assert old in text
        text = text.replace(old, other)
    if "nothing" not in case:
        file.write_text(text, encoding="utf-8")
    config = changed("estimators", [*default()["estimators"], "masx", str(file)])
    for study in config["studies"].values():
        if study["retention"] and "lambdas" in study["retention"]:
            study["retention"]["lambdas"] = {"masx": [], file.stem: []} | study["retention"]["lambdas"]
    problems = reading.configuration_problems(config)
    assert all(problem.startswith("estimators[8]: ") for problem in problems)
    [problem] = [problem for problem in problems if str(case["found"]) in problem]
    assert_four_parts({"remedy": "Fix it in"} | case, problem)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("logits[None]", "logit[None]", "mine.py, line 5: NameError: name 'logit' is not defined"),
        ("kinds import", "kind import", "mine.py, line 1: ModuleNotFoundError: No module named"),
        ("logits[None],", "logits.sum(),", "mine.py: cotangents must have shape (C, 6, 3) and weights (C, 6)"),
        ("logits[None],", "logits,", "found (6, 3) and (1, 6). A single cotangent per sample needs cotangent[None]"),
        ("new_ones(1, len(logits))", "new_ones(6, 6)", "found (1, 6, 3) and (6, 6)"),
        (", logits.new_ones(1, len(logits))", "", "must return the tuple (cotangents, weights); found"),
        (
            "new_ones(1, len(logits))",
            "new_full((1, len(logits)), float('nan'))",
            "mine.py: the importance of a network",
        ),
    ],
)
def test_a_trial_finds_errors_that_only_running_the_file_shows(old, new, text, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(SOUND.replace(old, new), encoding="utf-8")
    (tmp_path / "fine.py").write_text(SOUND, encoding="utf-8")
    monkeypatch.setenv(VARIABLE, os.pathsep.join(map(str, tmp_path.glob("*.py"))))
    with pytest.raises(UserError) as error:
        trial.main()
    assert text in str(error.value) and "fine.py" not in str(error.value)


# Programs

STUDY_SETTINGS = Study.model_validate(
    {
        "seeds": 1,
        "first_seed": 0,
        "shard_size": 1,
        "analyses": ["retention"],
        "estimators": ["mas"],
        "network": "mlp",
        "datasets": ["small"],
        "tasks": {"kind": "permuted", "count": 2, "seed": 1},
        "images": {"training": 40, "validation": 20, "test": None},
        "training": {"epochs": 1, "batch_size": 20, "learning_rate": 0.001},
        "importance": {"samples": 20},
        "retention": LEARNING | {"seeds": None, "images": None, "unpenalised": True, "lambdas": {"mas": [1.0]}},
        "pruning": {"fractions": [0.0]},
    }
)
OF_SHARD = "small", STUDY_SETTINGS, [0]
JOBS = {
    "baseline": TrainingJob.of(*OF_SHARD, ["absolute_gradient"]),
    "evaluation": EvaluationJob.of(*OF_SHARD),
    "importance": ImportanceJob.of(*OF_SHARD),
    "retention": RetentionJob.of(*OF_SHARD, "mas"),
    "pruning": PruningJob.of(*OF_SHARD),
    "correlation": CorrelationJob(study="small", seeds=[0], permutations=1),
}
TRAINED = {"--data": "{sound}/data.safetensors", "--trained": "{sound}/weights.safetensors"}
OUTPUT = {"--output": "{here}/output"}
CALLS = {
    "dataset": {"--dataset": "mnist_subset", **OUTPUT},
    "baseline": {"--data": "{sound}/data.safetensors", "--trained": "{here}/weights.safetensors"},
    "evaluation": {**TRAINED, **OUTPUT},
    "importance": {**TRAINED, "--estimator": "mas", **OUTPUT},
    "retention": {**TRAINED, "--estimator": "mas", "--importance": "{sound}/mas.safetensors", **OUTPUT},
    "pruning": {**TRAINED, "--criterion": "mas", "--importance": "{sound}/mas.safetensors", **OUTPUT},
    "correlation": {
        "--importance": ["mas={sound}/mas.safetensors", "magnitude={sound}/magnitude.safetensors"],
        "--null": "{here}/null.csv", "--used": "{here}/used.csv", **OUTPUT,
    },
    "summary": {"--table": "baseline", **OUTPUT, "FILE": "{sound}/baseline.csv"},
    "selected_lambda": {"--retention": "{sound}/retention.csv", **OUTPUT},
    "paper_numbers": {
        "--settings": reading.read(default(), []).model_dump(), "--summary": "{sound}",
        "--published": "workflow/resources/published", **OUTPUT
    },
    "explorer": {
        "--template": [f"workflow/explorer/{name}" for name in ("page.html", "style.css", "charts.js", "page.js")],
        "--runs": "{here}", "--settings": {"studies": {}}, **OUTPUT,
    },
    "notebook": {
        "--notebook": "notebooks/correlation.ipynb", "--parameters": "{}", "--executed": "{here}/out.ipynb",
        "--html": "{here}/out.html",
    },
}  # fmt: skip


@pytest.fixture
def as_it_was(monkeypatch):
    """Restores the process settings that a program changes: environment, torch, and the folder."""
    monkeypatch.chdir(REPOSITORY)
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    torch.set_flush_denormal(False)


def call(program, options, monkeypatch):
    """Run a program in this process; returns its exit status and standard error."""
    arguments = []
    for option, value in options.items():
        values = [value] if isinstance(value, str | dict) else value
        texts = [json.dumps(one) if isinstance(one, dict) else one for one in values]
        arguments += texts if option == "FILE" else [option, *texts]
    monkeypatch.setattr(sys, "argv", [str(SCRIPTS / f"{program}.py"), *arguments])
    output, status = io.StringIO(), 0
    with redirect_stderr(output), redirect_stdout(io.StringIO()):
        try:
            runpy.run_path(str(SCRIPTS / f"{program}.py"), run_name="__main__")
        except SystemExit as ended:
            status = ended.code
    return (1, f"{output.getvalue()}{status}") if isinstance(status, str) else (status, output.getvalue())


def call_of(program, changes=()):
    """The options of a valid call with changed settings."""
    settings = {"--settings": JOBS[program].model_dump() | dict(changes)} if program in JOBS else {}
    return settings | CALLS[program]


def placed(options, **folders):
    """Options with ``{here}`` and ``{sound}`` replaced by folders."""

    def fill(value):
        if isinstance(value, list):
            return [fill(one) for one in value]
        if isinstance(value, str):
            for name, folder in folders.items():
                value = value.replace(f"{{{name}}}", str(folder))
        return value

    return {option: fill(value) for option, value in options.items() if value is not None}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with a valid file of each kind: a data set of random images, a network, importances, tables."""
    folder = tmp_path_factory.mktemp("sound")
    draw = torch.Generator().manual_seed(0)
    data = {}
    for part, count in (("train", 60), ("test", 30)):
        data[f"{part}_images"] = torch.randint(256, (count, 28, 28), generator=draw).byte()
        data[f"{part}_labels"] = torch.randint(10, (count,), generator=draw).byte()
    save_tensors(folder / "data.safetensors", data, {"dataset": "small"})
    rows = [("small", seed, split, 0.5) for seed in (0, 1) for split in ("test", "validation")]
    write_table(folder / "baseline.csv", pd.DataFrame(rows, columns=COLUMNS["baseline"]), COLUMNS["baseline"])
    names = {name: tuple(tensor.shape) for name, tensor in MLP().named_parameters()}
    about = {"study": "small", "seeds": "[0]"}
    for file, estimator in (("weights", "baseline"), ("mas", "mas"), ("magnitude", "magnitude")):
        tensors = {name: torch.rand(1, *shape, generator=draw) for name, shape in names.items()}
        save_tensors(folder / f"{file}.safetensors", tensors, about | {"estimator": estimator})
    save_tensors(folder / "weights.state.safetensors", {}, about | {"estimator": "baseline state"})
    path = {f"{record}/fc1.bias": torch.rand(1, 300) for record in ("absolute_gradient", "displacement")}
    save_tensors(folder / "weights.path.safetensors", path, about | {"estimator": "baseline path"})
    return folder


@mistakes("programs")
def test_programs(case, sound, tmp_path, monkeypatch, as_it_was):
    for name, text in case.get("files", {}).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name, shapes in case.get("tensors", {}).items():
        kind = torch.uint8 if name == "data" else torch.float32
        tensors = {key: torch.zeros(shape, dtype=kind) for key, shape in shapes.items()}
        save_tensors(tmp_path / f"{name}.safetensors", tensors, case.get("metadata", {}))
    if "damaged" in case:
        for name in (case["damaged"], f".{case['damaged']}.sha256"):
            shutil.copy(sound / name, tmp_path)
        file = tmp_path / case["damaged"]
        os.truncate(file, file.stat().st_size - 1)
    for name, value in case.get("environment", {}).items():
        monkeypatch.setenv(name, value.replace("{here}", str(tmp_path)))
    options = call_of(case["program"], case.get("settings", {})) | case.get("options", {})
    status, output = call(case["program"], placed(options, here=tmp_path, sound=sound), monkeypatch)
    assert status in (1, 2), output
    assert_four_parts(case, output)
    assert not (tmp_path / "output").exists()


def test_valid_calls_are_accepted(sound, tmp_path, monkeypatch, as_it_was):
    for program in ("evaluation", "importance", "pruning", "correlation", "summary"):
        status, output = call(program, placed(call_of(program), here=tmp_path, sound=sound), monkeypatch)
        assert status == 0, output
        (tmp_path / "output").unlink()


# Folders of data

SPOILT = {
    "cut": lambda packed: packed[:-9],
    "flipped": lambda packed: packed[:200] + bytes([packed[200] ^ 1]) + packed[201:],
    "html": lambda packed: b"<html>Please log in</html>",
    "other": lambda packed: gzip.compress(bytes(len(gzip.decompress(packed)))),
    "bomb": lambda packed: gzip.compress(bytes(10**7)),
}


@mistakes("data")
def test_folders_of_data(case, tmp_path, monkeypatch):
    folder = tmp_path / case.get("folder", "data")
    if "folder" not in case:
        shutil.copytree(datasets.RESOURCES / "mnist_subset", folder)
    for name, fate in case.get("files", {}).items():
        file = folder / f"{name}.gz"
        packed = file.read_bytes()
        file.unlink()
        if fate == "folder":
            file.mkdir()
        elif fate != "removed":
            file.write_bytes(SPOILT[fate](packed))
    monkeypatch.setenv(datasets.DATA_FOLDER_VARIABLE, str(folder) if case.get("folder", "data") else "")
    source = datasets.FolderOfVariable(datasets.DATA_FOLDER_VARIABLE, "digits")
    digits = datasets.DATASETS["mnist_subset"].files
    table = {"digits": datasets.DataSource(digits, (source,), datasets.supply_by_hand("digits"))}
    with pytest.raises(UserError) as refused:
        datasets.fetch("digits", table)
    remedy = "export IMPORTANCE_ATLAS_DATA=/path/to/data"
    assert_four_parts(case | {"names": "data set 'digits'", "remedy": remedy}, str(refused.value))


# The command itself


@mistakes("commands")
def test_commands(case):
    """The real command prints one message without Snakemake's traceback."""
    options = ["--dry-run", "--nolock", "--quiet", "all", *case["arguments"]]
    run = programs.run_module("snakemake", *options, cwd=REPOSITORY)
    assert run.returncode == 1
    assert_four_parts(case, run.stderr)
    assert "WorkflowError" not in run.stderr and "snakemake/" not in run.stderr
