"""On a finished run of the tiny preset: what an edit runs again, what damage and interruption do, what jobs import."""

import os
import re
import signal
import subprocess
import time

import pytest
import yaml

import configuration
import sources

STUDY = "mlp_permuted_mnist"
SHARDS = ("seeds-0-0", "seeds-1-1")
PACKAGE = "workflow/scripts/weight_importance"
ESTIMATORS = yaml.safe_load((configuration.REPOSITORY / "config.yaml").read_text(encoding="utf-8"))["estimators"]

PAPER = {"Typesetting the paper"}
NUMBERS = {"Writing the numbers that the paper quotes", *PAPER}
LAMBDA = {"Choosing lambda on validation data"}


def notebooks(*names):
    return {f"Executing notebook notebooks/{name}.ipynb" for name in names}


def joined(*tables):
    return {f"Joining the shards of {table}" for table in tables}


def correlated(shards=SHARDS):
    return {f"Correlating importances of {STUDY} ({shard})" for shard in shards}


def trained(shards=SHARDS):
    return {f"Training {STUDY} on its first task ({shard})" for shard in shards}


def learnt(names, shards=SHARDS):
    return {f"Learning the later tasks of {STUDY} under {name} ({shard})" for name in names for shard in shards}


def pruned(names, shards=SHARDS):
    return {f"Pruning {STUDY} by {name} ({shard})" for name in names for shard in shards}


def of_estimators(names, shards=SHARDS):
    computed = {f"Computing {name} of {STUDY} ({shard})" for name in names for shard in shards}
    return computed | learnt(names, shards) | pruned(names, shards) | correlated(shards)


ALL_NOTEBOOKS = notebooks("correlation", "retention", "pruning", "estimators")
AFTER_IMPORTANCE = joined("correlation", "correlation_null", "retention", "pruning") | LAMBDA | ALL_NOTEBOOKS | NUMBERS
CONTROLS = learnt(["none"]) | pruned(["random"])


def test_a_second_run_does_nothing(tiny_run):
    again = tiny_run.run("--cores", "2")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


def test_touching_every_file_runs_nothing(tiny_run):
    for file in tiny_run.folder.rglob("*"):
        if ".snakemake" not in file.parts:
            file.touch()
    assert tiny_run.plan() == set()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (f"{PACKAGE}/estimators/catalogue/mas.py", of_estimators(["mas"]) | AFTER_IMPORTANCE),
        (f"{PACKAGE}/estimators/catalogue/si.py", of_estimators(["si"]) | AFTER_IMPORTANCE),
        (f"{PACKAGE}/correlation.py", correlated() | joined("correlation", "correlation_null")
         | notebooks("correlation", "estimators") | NUMBERS),
        (f"{PACKAGE}/plots/pruning.py", notebooks("pruning") | PAPER),
        (f"{PACKAGE}/plots/style.py", ALL_NOTEBOOKS | PAPER),
        ("workflow/scripts/baseline.py", trained() | joined("baseline") | CONTROLS
         | of_estimators(ESTIMATORS) | AFTER_IMPORTANCE),
        ("workflow/scripts/summary.py", joined("baseline") | AFTER_IMPORTANCE),
        ("paper/main.tex", PAPER),
        ("config.yaml", set()),
        ("presets/tiny.yaml", set()),
    ],
)  # fmt: skip
def test_an_edit_runs_again_exactly_what_uses_the_file(tiny_run, file, expected):
    with tiny_run.edited(file):
        assert tiny_run.plan() == expected
    assert tiny_run.plan() == set()


def test_a_notebook_edit_executes_that_notebook(tiny_run):
    path = tiny_run.folder / "notebooks/pruning.ipynb"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "\n", encoding="utf-8")
    try:
        assert tiny_run.plan() == notebooks("pruning") | PAPER
    finally:
        path.write_text(before, encoding="utf-8")


def test_one_more_seed_trains_only_that_seed(tiny_run):
    new = ("seeds-2-2",)
    runs = trained(new) | of_estimators(ESTIMATORS, new) | learnt(["none"], new) | pruned(["random"], new)
    assert tiny_run.plan(change={"seeds": 3}) == runs | joined("baseline") | AFTER_IMPORTANCE


def test_another_lambda_touches_only_that_estimators_retention(tiny_run):
    change = {"studies": {STUDY: {"retention": {"lambdas": {"mas": [2, 3]}}}}}
    expected = learnt(["mas"]) | joined("retention") | LAMBDA | notebooks("retention") | NUMBERS
    assert tiny_run.plan(change=change) == expected


def test_a_target_runs_only_what_it_needs(fresh):
    correlation_only = fresh.plan("results/figures/correlation_matrix.pdf", "--forceall")
    assert notebooks("correlation") <= correlation_only
    assert not correlation_only & (learnt(ESTIMATORS) | pruned(ESTIMATORS) | PAPER)


@pytest.mark.parametrize(
    "damaged", ["results/summary/pruning.csv", f"results/runs/{STUDY}/importance/magnitude/seeds-1-1.safetensors"]
)
def test_a_truncated_result_is_named_and_made_anew(tiny_run, damaged):
    file = tiny_run.folder / damaged
    whole = file.read_bytes()
    file.write_bytes(whole[:-2])
    dry = tiny_run.run("--dry-run")
    assert f"{damaged}: is cut off" in dry.stderr
    assert len(file.read_bytes()) == len(whole) - 2, "a dry run must change nothing"
    again = tiny_run.run("--cores", "2", damaged)
    assert f"{damaged}: is cut off" in again.stderr
    assert again.returncode == 0, again.stderr
    assert file.read_bytes() == whole
    assert tiny_run.run("--cores", "2").returncode == 0


def test_after_an_interrupt_the_same_command_continues(tiny_run):
    target = f"results/runs/{STUDY}/baseline/seeds-2-2.csv"
    longer = {"studies": {STUDY: {"training": {"epochs": 300}}}}
    command = tiny_run.command("--cores", "1", target, change=longer)
    finished = tiny_run.folder / f"results/runs/{STUDY}/baseline/seeds-0-0.safetensors"
    log = tiny_run.folder / f"results/logs/baseline/{STUDY}/seeds-2-2.log"
    before = finished.stat().st_mtime_ns
    process = subprocess.Popen(
        command, cwd=tiny_run.folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not log.exists():  # the job has begun
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert not list((tiny_run.folder / f"results/runs/{STUDY}/baseline").glob("*seeds-2-2*")), "half-written files stay"
    again = subprocess.run(command, cwd=tiny_run.folder, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert (tiny_run.folder / target).is_file()
    assert finished.stat().st_mtime_ns == before


def test_jobs_import_only_modules_that_their_rules_declare(tiny_run):
    """The log of every job, which lists its imports, against the closure that its rule declares as input."""
    scripts = tiny_run.folder / "workflow/scripts"
    checked = 0
    for log in sorted((tiny_run.folder / "results/logs").rglob("*.log")):
        rule, *names = log.relative_to(tiny_run.folder / "results/logs").with_suffix("").parts
        declared = set(sources.closure(scripts / f"{rule}.py", scripts))
        match rule:
            case "importance" | "retention":
                estimators = {names[1]} - {"none"}
            case "notebook":
                declared |= set(sources.closure(tiny_run.folder / f"notebooks/{names[0]}.ipynb", scripts))
                estimators = configuration.estimators()
            case "paper_numbers":
                estimators = configuration.estimators()
            case _:
                estimators = ()
        for name in estimators:
            declared |= set(sources.closure(scripts / f"weight_importance/estimators/catalogue/{name}.py", scripts))
        modules = {file.removesuffix(".py").removesuffix("/__init__") for file in declared}
        imported = re.findall(r"^import time:.*\| +(weight_importance\S*)$", log.read_text(), re.MULTILINE)
        undeclared = {str(scripts / name.replace(".", "/")) for name in imported} - modules
        assert not undeclared, f"{log} shows imports that its rule does not declare: {sorted(undeclared)}"
        checked += bool(imported)
    assert checked > 50
