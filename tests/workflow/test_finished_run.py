"""A finished run of the tiny preset: damage, interruption, imports of jobs, and the origin of every number."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rocrate.rocrate import ROCrate

import crate
import documents
import quotations
import sources
import trace_number
from shelf import Shelf, chain
from weight_importance.files.derivation import Rows
from weight_importance.runtime.lock import RunLock
from weight_importance.settings import known

STUDY = "mlp_permuted_mnist"


def test_a_second_run_does_nothing(tiny_run):
    again = tiny_run.run("--cores", "2")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_target_runs_only_the_jobs_it_needs(fresh):
    planned = fresh.plan(f"results/figures/correlation_matrix-{STUDY}.pdf", "--forceall")
    assert f"Executing notebook notebooks/correlation.ipynb ({STUDY})" in planned
    assert not any(message.startswith(("Learning", "Pruning", "Typesetting")) for message in planned)
    assert not any("cnn" in message or "published" in message for message in planned)


DAMAGED = [
    "results/summary/pruning.csv",
    f"results/runs/{STUDY}_atlas/importance/masx/seeds-200-201.safetensors",
    f"results/figures/pruning-{STUDY}.pdf",
    "results/paper/numbers.tex",
]


def test_damaged_results_are_set_aside_and_computed_again(tiny_run):
    files = [tiny_run.folder / damaged for damaged in DAMAGED]
    wholes = [file.read_bytes() for file in files]
    for file, whole in zip(files, wholes, strict=True):  # truncated after a line, if there are lines
        file.write_bytes(whole[: whole.index(b"\n", len(whole) // 2) + 1])
    command = [sys.executable, "workflow/audit/verify.py"]
    verified = subprocess.run(command, cwd=tiny_run.folder, capture_output=True, text=True, check=False)
    assert verified.returncode == 1
    assert all(f"{damaged}: has changed since it was written" in verified.stderr for damaged in DAMAGED)
    assert verified.stderr.count("renamed to") == len(DAMAGED)
    again = tiny_run.run("--cores", "2")
    assert again.returncode == 0, again.stderr
    assert [file.read_bytes() for file in files] == wholes
    assert "Nothing to be done" in tiny_run.run("--cores", "2").stderr
    subprocess.run(command, cwd=tiny_run.folder, check=True)


def test_a_second_run_at_the_same_time_is_refused(tiny_run):
    lock = RunLock(tiny_run.folder / ".snakemake/run.lock")
    lock.acquire()
    second = tiny_run.run("--cores", "2", "--force", DAMAGED[0])
    assert second.returncode == 1 and "error: another run is at work in this folder" in second.stderr
    assert tiny_run.run("--dry-run").returncode == 0
    lock.release()
    assert (tiny_run.folder / DAMAGED[0]).exists()


def test_after_an_interrupt_the_same_command_continues(tiny_run):
    target = f"results/runs/{STUDY}/baseline/seeds-2-2.csv"
    longer = {"studies": {STUDY: {"training": {"epochs": 60}}}}
    command = tiny_run.command("--cores", "1", target, change=longer)
    finished = tiny_run.folder / f"results/runs/{STUDY}/baseline/seeds-0-1.safetensors"
    log = tiny_run.folder / f"results/logs/baseline/{STUDY}/seeds-2-2.log"
    before = finished.stat().st_mtime_ns
    process = subprocess.Popen(
        command,
        cwd=tiny_run.folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # a shell's background processes ignore interrupts, and their children inherit this
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (log.exists() and log.read_text()):  # the libraries are loaded and the training has begun
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) != 0
    left = {file.name for file in (tiny_run.folder / f"results/runs/{STUDY}/baseline").glob("*seeds-2-2*")}
    assert left <= {f"{dot}.seeds-2-2.safetensors.checkpoint{seal}" for dot, seal in (("", ""), (".", ".sha256"))}
    again = subprocess.run(command, cwd=tiny_run.folder, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert (tiny_run.folder / target).is_file()
    assert finished.stat().st_mtime_ns == before


def test_jobs_import_only_modules_that_their_rules_declare(tiny_run):
    """Compares the imports in every job's log with the closure that its rule declares."""
    source = str(tiny_run.folder / "src")
    package = f"{source}/weight_importance"
    logs = tiny_run.folder / "results/logs"
    checked = 0
    for log in sorted(logs.rglob("*.log")):
        rule, *names = log.relative_to(logs).with_suffix("").parts
        rule = rule.removesuffix("_test")  # importances on test images are computed by the same program
        programs = [f"{tiny_run.folder}/workflow/scripts/{rule}.py"]
        programs += [f"{package}/data/tasks/{kind}.py" for kind in ("permuted", "rotated", "split")]
        estimators = []
        match rule:
            case "importance" | "pruning" | "retention":
                transform, *parts = names[1].split(".")  # of an ablation, such as shuffled.mas
                programs += [f"{package}/learning/ablations.py"] * bool(parts)
                estimators = {transform, *parts} & {*known.estimators()}
            case "notebook":
                programs += [f"{tiny_run.folder}/notebooks/{names[0]}.ipynb"]
                estimators = known.estimators()
            case "paper_numbers" | "explorer" | "confidence" | "decomposition" | "trajectories":
                estimators = known.estimators()
        programs += [f"{package}/estimators/catalogue/{name}.py" for name in estimators]
        declared = {file for program in programs for file in sources.closure(program, source)}
        imported = re.findall(r"^import time:.*\| +(weight_importance\S*)$", log.read_text(), re.MULTILINE)
        files = {f"{source}/{name.replace('.', '/')}.py" for name in imported}
        undeclared = {
            file for file in files - declared if os.path.exists(file) and not sources._is_infrastructure(file)
        }
        assert not undeclared, f"{log} shows imports that its rule does not declare: {sorted(undeclared)}"
        checked += bool(imported)
    assert checked > 50


def test_numbers_are_reproducible_and_those_of_the_text_have_a_chain_to_the_data(tiny_run, monkeypatch):
    monkeypatch.chdir(tiny_run.folder)
    shelf = Shelf(tiny_run.folder)
    written = quotations.numbers(tiny_run.folder / trace_number.NUMBERS)
    again = trace_number.recomputed(shelf)
    assert {key: str(value) for key, value in again.items()} == written
    quoted = [key for key in quotations.quotations(tiny_run.folder / "paper") if key in written]
    assert len(quoted) > 200
    derivations = {tuple(source for source in again[key].sources if isinstance(source, Rows)): key for key in quoted}
    for sources_of, key in derivations.items():
        steps = chain(shelf, trace_number.NUMBERS, sources_of) if sources_of else []
        files = [step.file for step in steps]
        if any(not source.table.startswith("kutalev") for source in sources_of):
            assert [file for file in files if file.startswith("results/data/")], f"{key} ends in {files}"
            assert [file for file in files if file.startswith("workflow/resources/mnist_subset")], key
        assert not [file for file in files if shelf.problems(file)], key


def test_a_trace_shows_the_origin_and_names_changed_files(tiny_run, monkeypatch, capsys):
    monkeypatch.chdir(tiny_run.folder)
    assert trace_number.Question(Shelf(tiny_run.folder)).answer(f"{STUDY}/retention/none/test/mean")
    assert "paper/sections" in capsys.readouterr().out, "a number that the text always quotes"
    assert trace_number.Question(Shelf(tiny_run.folder)).answer("MAS (softmax)")
    assert re.search(r"can be:\n\nquoted in the text.*paper/sections", capsys.readouterr().out, re.DOTALL)
    key = f"{STUDY}/retention/mas/selected/test/mean"
    assert trace_number.Question(Shelf(tiny_run.folder)).answer(key)
    output = capsys.readouterr().out
    shard = f"results/runs/{STUDY}/retention/mas/seeds-0-1.csv"
    for text in (
        "retention.accuracies",
        "estimator mas",
        shard,
        "the same",
        "✓ All files",
        "train-images-idx3",
    ):
        assert text in output
    assert "/fisher_empirical/" not in output, "importances by other estimators are not sources"
    file = tiny_run.folder / shard
    whole = file.read_bytes()
    file.write_bytes(whole + b"\n")
    try:
        assert not trace_number.Question(Shelf(tiny_run.folder)).answer(key)
        assert f"✗ {shard} has changed" in capsys.readouterr().out
        assert trace_number.Question(Shelf(tiny_run.folder)).answer(f"results/figures/pruning-{STUDY}.pdf")
    finally:
        file.write_bytes(whole)


def test_a_run_is_described_as_a_crate(tiny_run, monkeypatch):
    monkeypatch.chdir(tiny_run.folder)
    monkeypatch.setattr(sys, "argv", ["crate.py"])
    shelf = Shelf(tiny_run.folder)
    run = crate.part_of_run(shelf)
    assert all("seeds-2-2" in file for file in {*shelf.all_results()} - run), "except for files of earlier tests"
    jobs = crate.jobs_of(shelf, run)
    try:
        crate.main()
        described = ROCrate(tiny_run.folder)
    finally:
        (tiny_run.folder / crate.METADATA).unlink(missing_ok=True)
    actions = {action["name"]: action for action in described.get_by_type("CreateAction")}
    assert len(actions) == len(jobs) + 1
    results = [action["result"] for action in actions.values()]
    made = {file.id for result in results for file in (result if isinstance(result, list) else [result])}
    assert made >= {"results/paper/main.pdf", "results/paper/numbers.tex", "results/data/mnist_subset.safetensors"}
    table = described.dereference(f"results/runs/{STUDY}/retention/mas/seeds-0-1.csv")
    assert table["sha256"] == shelf.checksum(table.id)
    assert {step["name"] for step in described.mainEntity["step"]} >= {"baseline", "importance", "retention", "paper"}


def test_files_that_the_pages_name_exist(tiny_run):
    folder = tiny_run.folder  # before the commands of the next test write further files
    made = [str(file.relative_to(folder)) for top in ("results", ".snakemake") for file in (folder / top).rglob("*")]
    paths = [*documents.present(), *made]
    missing = {name: page for name, page in documents.files().items() if not documents.among(name, paths)}
    assert missing.keys() == documents.table()["other_files"].keys(), missing


@pytest.mark.parametrize("command", documents.to_run("finished"), ids=lambda command: command.name[:60])
def test_commands_of_the_pages_run_on_a_finished_run(tiny_run, command):
    answer = asked(tiny_run, command)
    command.assert_done(answer)
    for code in documents.blocks():
        if code.lines[0] == f"$ {command.name}":  # the page shows an extract of the output
            parts = {part[0] for line in code.lines[1:] if (part := re.match(r"[a-z]+( [a-z]+)*(?=  | \()", line))}
            assert parts, code.place
            missing = [part for part in parts if not re.search(rf"^{part}\b", answer.stdout, re.MULTILINE)]
            assert not missing, f"{code.place} shows other parts than {answer.stdout}"


def asked(workflow, command):
    """Run a command in the environment of the tests, without make's own environment."""
    return subprocess.run(
        command.runs.replace("make ", "make -o environment ", 1),
        shell=True,
        cwd=workflow.folder,
        env=os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])},
        capture_output=True,
        text=True,
        check=False,
    )
