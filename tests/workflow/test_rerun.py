"""The jobs that an edit runs again: every row of the table in docs/guarantees.md, on a study whose jobs are all done.

For each edit, the jobs planned by Snakemake are compared with those of the row, and the edit is reverted.
A plan depends on Snakemake's records of jobs and on file times, not on the content of files: most are empty.
"""

import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
import pytest
import yaml

import programs
from edits import Edit, edit, more_code
from small_workflow import small_checkout

PACKAGE, SCRIPTS = "src/weight_importance", "workflow/scripts"

PAPER = ["Typesetting the paper"]
NUMBERS = ["Writing the numbers *", *PAPER]
SHOWN = ["Writing the explorer", *NUMBERS]
"""Jobs that read tables of correlation, retention and pruning, without notebooks."""


def notebooks(*names: str) -> list[str]:
    """Jobs that execute notebooks."""
    return [f"Executing notebook notebooks/{name}.ipynb *" for name in names]


def tables(*names: str) -> list[str]:
    """Jobs that concatenate tables."""
    return [f"Joining *: {name}" for name in names]


RETENTION = [
    *tables("retention", "selected_lambda"),
    "Selecting lambda *",
    *notebooks("retention", "ablations", "atlas", "variants", "reproduction"),
    *SHOWN,
]
"""Jobs that read the results of retention."""

PENALISED = ["Learning * under [!nj]*"]
"""Jobs that learn later tasks under a penalty: neither ``none`` nor ``joint``."""

PRUNING = [*tables("pruning"), *notebooks("pruning", "atlas", "reproduction"), *SHOWN]
CORRELATION = [
    *tables("correlation", "correlation_null", "correlation_used"),
    *notebooks("correlation", "estimators", "atlas"),
    *SHOWN,
]
EXPLAINED = [*notebooks("explanation"), *NUMBERS]
EXPLANATION = ["Explaining *", *tables("explanation_*"), *EXPLAINED]
TRAJECTORIES = [
    "Explaining * by trajectories *",
    *tables("explanation_trajectories", "explanation_shared"),
    *EXPLAINED,
]
EVALUATION = ["Evaluating *", *tables("baseline"), *NUMBERS]
EVERY_NOTEBOOK = notebooks("*")


def text(file: str) -> Edit:
    """An edit of a module's docstring."""
    return edit(file, '"""', '"""Edited. ')


def settings(**changes: object) -> dict:
    """Changed settings of the study; ``a__b=1`` changes the key ``a.b``."""
    change: dict = {}
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = change
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = value
    return {"studies": {"small": change}}


SI = f"{PACKAGE}/estimators/catalogue/si.py"


def of_small(tables: list[str], notebooks: list[str]) -> list[str]:
    """Jobs of tables of the study and of all studies, and of notebooks of the study."""
    return [
        *(f"Joining the shards of small: {table}" for table in tables),
        *(f"Joining all studies: {table}" for table in tables),
        *(f"Executing notebook notebooks/{name}.ipynb (small)" for name in notebooks),
    ]


SMALL_RETENTION = [
    "Selecting lambda of small on *",
    "Joining all studies: selected_lambda",
    *of_small(["retention"], ["retention", "atlas", "variants", "reproduction"]),
    *SHOWN,
]
"""Jobs that read the results of retention of one study."""

ROWS = {
    # an error message, a progress line, provenance, storage internals: nothing
    "docstring of errors": (text(f"{PACKAGE}/runtime/errors.py"), []),
    "message of errors": (edit(f"{PACKAGE}/runtime/errors.py", 'Make "\n', 'Free "\n'), []),
    "code of errors": (more_code(f"{PACKAGE}/runtime/errors.py"), []),
    "message of a program": (edit(f"{SCRIPTS}/summary.py", "has no rows", "is empty"), []),
    "help of a program": (edit(f"{SCRIPTS}/baseline.py", "CPU threads", "threads"), []),
    "progress line": (edit(f"{PACKAGE}/runtime/progress.py", "s left", "seconds left"), []),
    "what is counted": (edit(f"{SCRIPTS}/pruning.py", '"networks and scopes"', '"cases"'), []),
    "provenance": (more_code(f"{PACKAGE}/files/provenance.py"), []),
    "storage": (more_code(f"{PACKAGE}/files/storage.py"), []),
    "comment of training": (edit(f"{PACKAGE}/learning/first_task.py", "\ndef ", "\n# edited\ndef "), []),
    "description of a setting": (edit(f"{PACKAGE}/settings/learning.py", "Passes over", "Epochs over"), []),
    # a new column of one table: the stage that writes it, and its readers
    "column of a table": (
        Edit(
            (
                (f"{PACKAGE}/files/tables.py", '"fraction", "accuracy")', '"fraction", "kept", "accuracy")'),
                (f"{SCRIPTS}/pruning.py", "fraction, known[", "fraction, 1 - fraction, known["),
            )
        ),
        ["Pruning *", *PRUNING],
    ),
    # the retention loop or the penalty: retention and its readers; no importance, no training
    "retention loop": (more_code(f"{PACKAGE}/learning/retention.py"), ["Learning *", *RETENTION, *TRAJECTORIES]),
    "penalty": (more_code(f"{PACKAGE}/learning/penalty.py"), ["Learning *", *RETENTION, *TRAJECTORIES]),
    "ablations": (
        more_code(f"{PACKAGE}/learning/ablations.py"),
        [
            "Learning * under shuffled.*",
            *("Joining the shards of small_ablations: retention", "Joining all studies: retention"),
            *("Joining all studies: selected_lambda", "Selecting lambda of small_ablations *"),
            *notebooks("ablations"),
            *SHOWN,
        ],
    ),
    # an estimator's formula: its importances and their readers
    "formula": (
        edit(SI, "displacement.square() + DAMPING", "displacement.square() + 2 * DAMPING"),
        [
            *("Computing si *", "Learning * under si *", "Pruning * by si *", "Correlating importances of small (*"),
            *of_small(
                ["correlation", "correlation_null", "correlation_used", "pruning"],
                ["correlation", "pruning", "estimators"],
            ),
            *SMALL_RETENTION,
            *EXPLANATION,
        ],
    ),
    # an estimator's label or LaTeX: notebooks of the studies that use it, tables, paper
    "label": (edit(SI, 'label="SI"', 'label="Synaptic Intelligence"'), [*of_small([], ["*"]), *SHOWN]),
    "LaTeX": (edit(SI, r"\Delta\theta_t", r"\delta\theta_t"), [*of_small([], ["*"]), *SHOWN]),
    # tasks.count, images.test, images.validation: retention and evaluation; never the training of the first task
    "tasks.count": (settings(tasks__count=5), ["Learning *", *RETENTION]),
    "images.validation": (settings(images__validation=100), ["Learning *", *RETENTION, *EVALUATION]),
    "images.test": (settings(images__test=200), ["Learning *", *RETENTION, *EVALUATION, "Pruning *", *PRUNING]),
    # importance.samples, the form of the penalty: no training without a penalty
    "importance.samples": (
        settings(importance__samples=30),
        [
            *("Computing * for importance *", "Correlating *", "Pruning * by [!r]*"),  # not by random
            *(*PENALISED, *RETENTION, *CORRELATION, *PRUNING),
        ],
    ),
    "form of the penalty": (settings(retention__penalty="halved"), [*PENALISED, *RETENTION, *TRAJECTORIES]),
    # one more seed: its shard and the summaries; one more penalty strength: its jobs and the summaries
    "one more seed": (
        settings(seeds=3),
        ["*(seeds-2-2)", "*(seeds-102-102)", *tables("*"), "Selecting lambda *", *EVERY_NOTEBOOK, *SHOWN],
    ),
    "one more strength": (
        settings(retention__lambdas={"fisher_empirical": [10, 100], "si": [0.1, 1, 10]}),
        ["Learning * of small under si *", *SMALL_RETENTION],
    ),
    # one more estimator in a study's list: its jobs, the summaries, and notebooks of this study only
    "one more estimator": (
        settings(
            estimators=["fisher_empirical", "si", "mas"],
            retention__lambdas={"fisher_empirical": [10, 100], "si": [0.1, 1], "mas": []},
        ),
        [
            *("Computing mas of small *", "Pruning * by mas *", "Correlating importances of small (*"),
            *of_small(["correlation", "correlation_null", "correlation_used", "pruning"], ["*"]),
            *SHOWN,
        ],
    ),
    # other settings
    "fractions": (settings(pruning__fractions=[0.0, 0.5]), ["Pruning *", *PRUNING, *notebooks("variants")]),
    "analyses": (
        settings(analyses=["correlation", "retention", "pruning", "atlas", "variants", "reproduction"]),
        [*notebooks("variants", "reproduction"), *NUMBERS],  # these read all settings of the study
    ),
    # a plot function, a notebook: that notebook, the PDF
    "plot function": (more_code(f"{PACKAGE}/figures/pruning.py"), [*notebooks("pruning"), *PAPER]),
    "notebook": (edit("notebooks/pruning.ipynb", "longest?", "best?"), [*notebooks("pruning"), *PAPER]),
    "caption of the report": (edit("notebooks/registry.yaml", "Test accuracy as", "Accuracy as"), []),
    # paper/*.tex: the PDF
    "text of the paper": (edit("paper/main.tex", "All numbers", "The numbers"), PAPER),
    "explorer": (edit("workflow/explorer/page.js", "\n", "\n// edited\n"), ["Writing the explorer"]),
}


@dataclass(frozen=True)
class Workflow:
    """A checkout with a finished run of the small configuration; the variables ``preloaded`` make its jobs forks."""

    folder: Path
    preloaded: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Snakemake finds the package of the checkout."""
        return os.environ | self.preloaded | {"PYTHONPATH": str(self.folder / "src")}

    def jobs(self, *arguments: str, change: dict | None = None) -> set[str]:
        """The messages of the jobs in a dry run with changed settings."""
        options = ["--dry-run", *arguments]
        if change:
            (self.folder / "change.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
            options += ["--configfile", "change.yaml"]
        return set(re.findall(r"^Job \d+: (.*)$", self._snakemake(*options), re.MULTILINE))

    def run(self, *arguments: str) -> str:
        """Run Snakemake to its end; returns its output."""
        return self._snakemake("--cores", "2", *arguments)

    def _snakemake(self, *arguments: str) -> str:
        done = programs.run_module("snakemake", *arguments, cwd=self.folder, env=self.environment)
        output = done.stdout + done.stderr
        assert done.returncode == 0, output[-10000:]
        assert all(len(reason) < 400 for reason in re.findall("^Reason: .*", output, re.MULTILINE))
        return output


TABLE = "results/runs/small/retention/si/seeds-0-1.csv"
"""The only computed table, together with its inputs."""


@pytest.fixture(scope="module")
def finished(forks: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A checkout in which every job is recorded as done."""
    workflow = Workflow(small_checkout(tmp_path_factory.mktemp("small") / "checkout"), forks)
    workflow.run(TABLE)
    for name in re.findall(r"^(results/[^\t]*)\t", workflow.run("--summary"), re.MULTILINE):
        output = workflow.folder / name
        output.parent.mkdir(parents=True, exist_ok=True)
        output.touch()
    workflow.run("--touch", "--forceall")
    return workflow


@pytest.fixture(scope="module")
def everything(finished: Workflow) -> set[str]:
    """The messages of all jobs."""
    return finished.jobs("--forceall")


def test_a_finished_run_leaves_nothing_to_do(finished):
    assert finished.jobs() == set()


def test_touching_every_file_runs_nothing(finished):
    for file in finished.folder.rglob("*"):
        if ".snakemake" not in file.parts:
            file.touch()
    assert finished.jobs() == set()


def test_edits_that_change_no_result_run_nothing(finished):
    """All of them at once: each alone runs a part of the jobs that all run together."""
    edits = [change for change, patterns in ROWS.values() if not patterns]
    assert len(edits) > 10
    with ExitStack() as stack:
        for each in edits:
            stack.enter_context(each.made(finished.folder))
        assert finished.jobs() == set()


@pytest.mark.parametrize("name", [name for name, (_, patterns) in ROWS.items() if patterns])
def test_an_edit_runs_the_jobs_of_its_row_again(finished, everything, name):
    made, patterns = ROWS[name]
    if isinstance(made, Edit):
        with made.made(finished.folder):
            planned = finished.jobs()
    else:
        planned = finished.jobs(change=made)
    all_jobs = everything | planned  # changed settings may name new jobs, which have to be planned
    unknown = [pattern for pattern in patterns if not any(fnmatch(job, pattern) for job in all_jobs)]
    assert not unknown, f"no job is called {unknown}"
    assert planned == {job for job in all_jobs if any(fnmatch(job, pattern) for pattern in patterns)}


def test_one_more_strength_computes_that_strength(finished):
    """A real run: the other strengths come from the files of the earlier job, with the same bits."""
    table = finished.folder / TABLE
    before = pd.read_csv(table)
    (finished.folder / "change.yaml").write_text(yaml.safe_dump(ROWS["one more strength"][0]), encoding="utf-8")
    finished.run(TABLE, "--configfile", "change.yaml")
    after = pd.read_csv(table)
    assert sorted(after["lambda"].unique()) == [0.1, 1, 10]
    pd.testing.assert_frame_equal(after[after["lambda"] < 10].reset_index(drop=True), before)
    log = (finished.folder / "results/logs/retention/small/si/seeds-0-1.log").read_text(encoding="utf-8")
    assert "0.1, 1: kept from an earlier run; computing 10" in log
