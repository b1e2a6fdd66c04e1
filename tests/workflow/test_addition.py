"""Every addition of docs/extending.md, with the code of that page: it changes few files, and the workflow runs."""

import json
import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

import documents
from checkout import REPOSITORY
from edits import Edit, edit
from studies import LEARNING

PAGE = "docs/extending.md"
PACKAGE = "src/weight_importance"
OWN = documents.block("README.md", "# my_estimator.py").text
NAMES = ["mas", "my_estimator"]
STUDY = {
    "analyses": ["correlation", "retention", "pruning"],
    "seeds": 2,
    "shard_size": 2,
    "estimators": ["mas", "my_estimator.py"],
    "network": "layer_norm_mlp",
    "datasets": ["digits"],
    "tasks": {"kind": "inverted", "count": 2},
    "images": {"training": 500, "validation": 100, "test": 200},
    "training": {"epochs": 1, "batch_size": 20, "learning_rate": 0.001},
    "importance": {"samples": 100},
    "retention": {
        "seeds": None,
        "images": None,
        **LEARNING,
        "unpenalised": True,
        "lambdas": {"mas": [1], "my_estimator": [1], "halved(mas)": [1]},
        "ablations": ["halved(mas)"],
    },
    "pruning": {"fractions": [0.0, 0.5]},
}
"""A study that uses all additions; written into ``config.yaml``."""


def block(first: str) -> str:
    """A block of code of the page."""
    return documents.block(PAGE, first).text


def estimator(folder: Path) -> None:
    """Add a user's estimator: a file."""
    (folder / "my_estimator.py").write_text(OWN, encoding="utf-8")


def ablation(folder: Path) -> None:
    """Add an ablation: a transform of an importance."""
    function = '\n\ndef halved(importance, generator):\n    """Half of the importance."""\n    return importance / 2\n'
    file = f"{PACKAGE}/learning/ablations.py"
    Edit(
        (
            (file, "\n\nPER_TENSOR", f"{function}\n\nPER_TENSOR"),
            (file, '    "reversed":', '    "halved": halved,\n    "reversed":'),
            (f"{PACKAGE}/settings/ablation_names.py", '    "reversed":', '    "halved": "halved",\n    "reversed":'),
        )
    ).make(folder)


def network(folder: Path) -> None:
    """Add a network: a class, and its entry in the table."""
    file = f"{PACKAGE}/learning/networks.py"
    text = (folder / file).read_text(encoding="utf-8")
    table = re.search(r"\nNETWORKS: .*\}\n", text)[0]
    entered = table.replace("}\n", ', "layer_norm_mlp": LayerNormMLP}\n')
    edit(file, table, f"\n{block('class LayerNormMLP')}\n{entered}").make(folder)


def dataset(folder: Path) -> None:
    """Add a data set: an entry in the catalogue."""
    entry = textwrap.indent(block('"digits": DataSource('), "    ")
    edit(f"{PACKAGE}/data/catalogue.py", '    "mnist": DataSource(', f'{entry}    "mnist": DataSource(').make(folder)


def kind_of_tasks(folder: Path) -> None:
    """Add a kind of tasks: a module and its settings."""
    (folder / f"{PACKAGE}/data/tasks/inverted.py").write_text(block('"""Inverted tasks'), encoding="utf-8")
    file = f"{PACKAGE}/settings/tasks.py"
    Edit(
        (
            (file, "\n\nTasks = ", f"\n\n{block('class InvertedTasks')}\n\nTasks = "),
            (file, "Annotated[PermutedTasks | ", "Annotated[InvertedTasks | PermutedTasks | "),
            (file, 'kind: Literal["permuted", "rotated"]', 'kind: Literal["permuted", "rotated", "inverted"]'),
        )
    ).make(folder)


def study(folder: Path) -> None:
    """Add a study: an entry in the configuration."""
    entry = textwrap.indent(yaml.safe_dump({"mine": STUDY}, sort_keys=False), "  ")
    edit("config.yaml", "\nstudies:\n", f"\nstudies:\n{entry}\n").make(folder)


def figure(folder: Path) -> None:
    """Add a figure: a function, a cell, an entry in the registry."""
    module = folder / f"{PACKAGE}/figures/pruning.py"
    module.write_text(f"{module.read_text(encoding='utf-8')}\n\n{block('def pruning_last')}", encoding="utf-8")
    add_cell(folder / "notebooks/pruning.ipynb", block("from weight_importance.figures.pruning import pruning_last"))
    entry = textwrap.indent(block("pruning_last:"), "    ")
    edit("notebooks/registry.yaml", "  figures:\n    pruning:\n", f"  figures:\n{entry}    pruning:\n").make(folder)


def notebook(folder: Path) -> None:
    """Add a notebook of one figure, and its entry in the registry."""
    file = folder / "notebooks/pruning_overview.ipynb"
    content = json.loads((folder / "notebooks/pruning.ipynb").read_text(encoding="utf-8"))
    content["cells"] = [cell for cell in content["cells"] if cell["cell_type"] == "code"][:2]
    file.write_text(json.dumps(content), encoding="utf-8")
    add_cell(file, 'save(pruning_figure(pruning), Path(figures) / f"pruning_brief-{study}.pdf")\n')
    registry = folder / "notebooks/registry.yaml"
    registry.write_text(f"{registry.read_text(encoding='utf-8')}\n{block('pruning_overview:')}", encoding="utf-8")


def add_cell(file: Path, code: str) -> None:
    """Append a code cell to a notebook."""
    content = json.loads(file.read_text(encoding="utf-8"))
    content["cells"].append(
        {"cell_type": "code", "execution_count": None, "id": "added", "metadata": {}, "outputs": [], "source": code}
    )
    file.write_text(json.dumps(content), encoding="utf-8")


ADDITIONS: dict[str, tuple[Callable[[Path], None], int, set[str]]] = {
    "estimator": (estimator, 1, set()),
    "ablation": (ablation, 2, set()),
    "network": (network, 2, {"config.yaml"}),
    "data set": (dataset, 2, {"config.yaml"}),
    "kind of tasks": (kind_of_tasks, 3, {"config.yaml"}),
    "study": (study, 1, set()),
    "figure": (figure, 3, set()),
    "notebook": (notebook, 4, set()),
}
"""Name in the page's table → function that makes the addition, limit of changed files, further files."""


def changed(folder: Path) -> dict[str, bytes]:
    """The files that differ from the commit, with their content."""
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    lines = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line[3:]: (folder / line[3:]).read_bytes() for line in lines}


@pytest.fixture(scope="module")
def touched(fresh) -> dict[str, set[str]]:
    """The files that each addition changes; additions are made one after the other."""
    files = {}
    for name, (make, _, further) in ADDITIONS.items():
        before = changed(fresh.folder)
        make(fresh.folder)
        after = changed(fresh.folder)
        files[name] = {file for file, content in after.items() if before.get(file) != content} | further
    return files


@pytest.fixture(scope="module")
def extended(fresh, touched, tmp_path_factory) -> Path:
    """The checkout with all additions and the results of their study."""
    data = tmp_path_factory.mktemp("data")
    shutil.copytree(REPOSITORY / "workflow/resources/mnist_subset", data / "digits")
    targets = [
        *(f"results/figures/{name}-mine.pdf" for name in ("pruning_last", "pruning_brief", "correlation_matrix")),
        "results/summary/mine/retention.csv",
    ]
    run = fresh.run("--cores", "2", *targets, IMPORTANCE_ATLAS_DATA=str(data))
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    return fresh.folder


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_changes_as_few_files_as_the_page_states(touched, name):
    [line] = [
        line for line in (REPOSITORY / PAGE).read_text(encoding="utf-8").splitlines() if line.startswith(f"| {name} |")
    ]
    stated = [int(number) for number in re.findall(r"\b(\d)[: ]", line)]
    assert len(touched[name]) in stated and len(touched[name]) <= ADDITIONS[name][1], touched[name]
    for file in touched[name]:
        assert any(part.strip("`") in file for part in re.findall(r"`[^`]+`", line)) or file.startswith("notebooks/"), (
            file
        )


def test_a_user_s_estimator_has_ten_lines():
    assert OWN.count("\n") <= 10


def test_a_study_of_additions_runs(extended):
    correlation = pd.read_csv(extended / "results/summary/mine/correlation.csv")
    assert {"fc1.weight", "norm.weight", "norm.bias", "fc2.bias", "all"} <= set(correlation["tensor"])
    assert set(correlation["estimator_a"]) | set(correlation["estimator_b"]) == set(NAMES)
    retention = pd.read_csv(extended / "results/summary/mine/retention.csv")
    assert set(retention["estimator"]) == {"none", *NAMES, "halved(mas)"} and retention["task"].max() == 2
    for name in ("pruning_last", "pruning_brief", "correlation_matrix"):
        assert (extended / f"results/figures/{name}-mine.pdf").stat().st_size > 0
    assert not (extended / "results/runs/mlp_permuted_mnist").exists(), "other studies are not needed"


def test_an_edit_of_a_user_s_estimator_computes_only_its_results(fresh, extended):
    folder = "results/runs/mine/importance"
    targets = [f"{folder}/{name}/seeds-0-1.safetensors" for name in NAMES]
    assert not fresh.plan(*targets)
    with edit("my_estimator.py", "ESTIMATOR", "FURTHER = 1\nESTIMATOR").made(extended):
        assert fresh.plan(*targets) == {"Computing my_estimator of mine for importance (seeds-0-1)"}


def test_an_estimator_that_fails_is_reported_before_a_run(fresh, extended):
    with edit("my_estimator.py", "logits.shape[1]", "logit.shape[1]").made(extended):
        refused = fresh.run("--dry-run", IMPORTANCE_ATLAS_DATA=os.devnull)
    assert refused.returncode != 0 and "my_estimator.py, line 6: NameError" in refused.stdout + refused.stderr


def test_a_misspelt_file_is_reported(fresh):
    change = {"estimators": [*NAMES[:1], "my_estimatr.py"]}
    refused = fresh.run("--dry-run", change=change, IMPORTANCE_ATLAS_DATA=os.devnull)
    assert refused.returncode != 0 and "there is no file 'my_estimatr.py'" in refused.stdout + refused.stderr
