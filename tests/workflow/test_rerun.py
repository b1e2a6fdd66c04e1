"""On a finished run of the tiny preset: what an edit runs again, what damage and interruption do, what jobs import."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import configuration
import pytest
from rocrate.rocrate import ROCrate

import crate
import documents
import quotations
import sources
import trace_number
from shelf import Shelf, chain
from weight_importance.files.derivation import Rows

STUDY = "mlp_permuted_mnist"
PACKAGE = "workflow/scripts/weight_importance"
ESTIMATORS = ("fisher_empirical", "mas", "si", "magnitude")


@dataclass(frozen=True)
class Study:
    """What the tiny preset asks of a study."""

    shards: tuple[str, ...]
    retained: tuple[str, ...]
    estimators: tuple[str, ...] = ()  # whose importances are its own; none where it shares another's networks
    prunes_on_test: bool = False
    prunes: bool = True
    explained: bool = False


CNN = ("fisher_empirical", "mas", "si")
PUBLISHED = ("fisher_empirical", "mas", "magnitude")
ABLATIONS = {
    "uniform.fisher_empirical": "uniform(fisher_empirical)",
    "shuffled.mas": "shuffled(mas)",
    "values_of.mas.in_ranks_of.fisher_empirical": "values_of(mas)_in_ranks_of(fisher_empirical)",
}
CONTROLLED = ("fisher_empirical", "mas")
ATLAS = ("mas", "masx")
STUDIES = {
    STUDY: Study(("seeds-0-0", "seeds-1-1"), ("none", *ESTIMATORS), tuple(ESTIMATORS), explained=True),
    f"{STUDY}_stabilised": Study(("seeds-0-0", "seeds-1-1"), ("fisher_empirical",)),
    f"{STUDY}_published": Study(("seeds-0-1",), ("fisher_empirical", "mas"), PUBLISHED, prunes_on_test=True),
    f"{STUDY}_ablations": Study(("seeds-100-101",), ("none", *CONTROLLED, *ABLATIONS), CONTROLLED, prunes=False),
    f"{STUDY}_atlas": Study(("seeds-200-201",), ("none", *ATLAS), ATLAS, prunes=False),
    f"{STUDY}_relations": Study(("seeds-300-301",), (), ATLAS, prunes=False),
    "cnn_mnist_fashion": Study(("seeds-0-1",), ("none", *CNN), CNN),
    "cnn_mnist_fashion_frozen": Study(("seeds-0-1",), ("none", "fisher_empirical")),
    "cnn_mnist_fashion_stabilised": Study(("seeds-0-1",), ("fisher_empirical",)),
}
ANY = {name for study in STUDIES.values() for name in study.estimators}
OWN = {name: study for name, study in STUDIES.items() if study.estimators}
PRUNED = {name: study for name, study in OWN.items() if study.prunes}
RETAINING = {name: study for name, study in STUDIES.items() if study.retained}
MAIN = (STUDY, "cnn_mnist_fashion")
MAPPED = (*MAIN, f"{STUDY}_atlas", f"{STUDY}_relations")

EXPLANATION = [
    f"explanation_{name}"
    for name in ("confidence", "agreement", "factors", "signal", "reliability", "noise", "trajectories", "shared")
]

PAPER = {"Typesetting the paper"}
NUMBERS = {"Writing the numbers that the paper quotes", *PAPER}
EXPLORER = {"Writing the explorer"}


def notebooks(*names, studies=STUDIES):
    return {
        f"Executing notebook notebooks/{name}.ipynb ({study})"
        for name in names
        for study in studies
        if study in NOTEBOOKS[name]
    }


NOTEBOOKS = {
    "correlation": MAIN,
    "retention": MAIN,
    "ablations": (f"{STUDY}_ablations",),
    "atlas": MAPPED,
    "pruning": MAIN,
    "estimators": MAIN,
    "explanation": tuple(name for name, study in STUDIES.items() if study.explained),
    "variants": MAIN,
    "reproduction": MAIN,
}


def per_shard(message, studies, shards):
    """The message for every shard of the studies, or for those named."""
    return {message.format(study=study, shard=shard) for study in studies for shard in shards or STUDIES[study].shards}


def trained(studies=OWN, shards=None):
    return per_shard("Training {study} on its first task ({shard})", studies, shards)


def computed(names, studies=OWN, shards=None):
    return {
        f"Computing {name} of {study} on {images} images ({shard})"
        for study in studies
        for name in names
        if name in STUDIES[study].estimators
        for shard in shards or STUDIES[study].shards
        for images in (["training", "test"] if STUDIES[study].prunes_on_test else ["training"])
    }


def correlated(studies=OWN, shards=None):
    return per_shard("Correlating importances of {study} ({shard})", studies, shards)


def explained(shards=None):
    """The stage, for the one study that asks for it, with its tables."""
    runs = per_shard("Explaining the agreement of importances of {study} ({shard})", [STUDY], shards)
    return runs | joined(*EXPLANATION, studies=[STUDY])


def learnt(names, studies=STUDIES, shards=None):
    return {
        f"Learning the later tasks of {study} under {name} ({shard})"
        for study in studies
        for name in names
        if name in STUDIES[study].retained
        for shard in shards or STUDIES[study].shards
    }


def pruned(names, studies=PRUNED, shards=None):
    return {
        f"Pruning {study} by {name} ({shard})"
        for study in studies
        for name in names
        if name in ("random", *STUDIES[study].estimators)
        for shard in shards or STUDIES[study].shards
    }


def joined(*tables, studies):
    """The tables of the studies, those of all studies, and the strengths chosen where retention is among them."""
    found = {f"Joining the shards of {study}: {table}" for study in studies for table in tables}
    found |= {f"Joining all studies: {table}" for table in tables}
    if "retention" in tables:
        split = {study: "test" if STUDIES[study].prunes_on_test else "validation" for study in studies}
        found |= {f"Choosing lambda of {study} on {split[study]} data" for study in studies}
        found |= {"Joining all studies: selected_lambda"}
    return found


def with_estimator(name):
    """All that follows from an estimator's importances."""
    retaining = [study for study in STUDIES if name in STUDIES[study].retained]
    ablations = [folder for folder, ablation in ABLATIONS.items() if f"({name})" in ablation]
    owning = [study for study in OWN if name in STUDIES[study].estimators]
    runs = computed([name]) | learnt([name, *ablations]) | pruned([name]) | correlated(owning)
    tables = joined("retention", studies=retaining) | joined("correlation", "correlation_null", studies=owning)
    tables |= joined("pruning", studies=[study for study in owning if study in PRUNED])
    tables |= explained()  # it asks for these estimators, too
    # labels and colours of estimators make every notebook, and the explorer, depend on all
    return runs | tables | notebooks(*NOTEBOOKS) | NUMBERS | EXPLORER


EVERY_TABLE = (
    joined(*EXPLANATION, studies=[STUDY])
    | joined("baseline", "correlation", "correlation_null", studies=OWN)
    | joined("pruning", studies=PRUNED)
    | joined("retention", studies=RETAINING)
)
AFTER_TABLES = EVERY_TABLE | notebooks(*NOTEBOOKS) | NUMBERS | EXPLORER
EVERYTHING = (
    trained()
    | computed(ANY)
    | correlated()
    | explained()
    | learnt(["none", *ANY, *ABLATIONS])
    | pruned(["random", *ANY])
) | AFTER_TABLES


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
        (f"{PACKAGE}/estimators/catalogue/mas.py", with_estimator("mas")),
        (f"{PACKAGE}/estimators/catalogue/si.py", with_estimator("si")),
        (
            f"{PACKAGE}/correlation.py",
            correlated()
            | joined("correlation", "correlation_null", studies=OWN)
            | notebooks("correlation", "estimators", "atlas")
            | NUMBERS
            | EXPLORER,
        ),
        (
            f"{PACKAGE}/ablations.py",
            learnt(ABLATIONS)
            | joined("retention", studies=[f"{STUDY}_ablations"])
            | notebooks("ablations")
            | NUMBERS
            | EXPLORER,
        ),
        (f"{PACKAGE}/plots/pruning.py", notebooks("pruning") | PAPER | EXPLORER),
        (f"{PACKAGE}/explanation.py", explained() | notebooks("explanation") | NUMBERS),
        (f"{PACKAGE}/plots/style.py", notebooks(*NOTEBOOKS) | PAPER | EXPLORER),
        (f"{PACKAGE}/reproduction.py", notebooks("reproduction") | NUMBERS),
        ("workflow/scripts/baseline.py", EVERYTHING),
        ("workflow/scripts/summary.py", AFTER_TABLES),
        ("paper/main.tex", PAPER),
        ("workflow/explorer/page.js", EXPLORER),
    ],
)
def test_an_edit_runs_again_exactly_what_uses_the_file(tiny_run, file, expected):
    with tiny_run.edited(file):
        assert tiny_run.plan() == expected


def test_edits_that_change_no_result_run_nothing(tiny_run):
    """Nor is anything left to do when edits are taken back, as all those of the tests before are."""
    with tiny_run.edited("config.yaml"), tiny_run.edited("presets/tiny.yaml"), tiny_run.edited("README.md"):
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
    new, study = ["seeds-2-2"], [STUDY]
    runs = trained(study, new) | computed(ESTIMATORS, study, new) | correlated(study, new)
    runs |= learnt(["none", *ESTIMATORS], study, new) | pruned(["random", *ESTIMATORS], study, new)
    runs |= explained(new)
    tables = joined("baseline", "correlation", "correlation_null", "retention", "pruning", studies=study)
    expected = runs | tables | notebooks(*NOTEBOOKS, studies=study) | NUMBERS | EXPLORER
    assert tiny_run.plan(change={"studies": {STUDY: {"seeds": 3}}}) == expected


def test_another_lambda_touches_only_that_estimators_retention(tiny_run):
    change = {"studies": {STUDY: {"retention": {"lambdas": {"mas": [2, 3]}}}}}
    study = [STUDY]
    expected = learnt(["mas"], study) | joined("retention", studies=study)
    expected |= notebooks("retention", "variants", "reproduction", "atlas", studies=study) | NUMBERS | EXPLORER
    assert tiny_run.plan(change=change) == expected


def test_a_study_s_first_seed_names_its_shards(fresh):
    study = f"{STUDY}_ablations"
    change = {"studies": {study: {"first_seed": 7, "seeds": 3, "retention": {"seeds": 2}}}}
    planned = fresh.plan(f"results/summary/{study}/retention.csv", "--forceall", change=change)
    assert trained([study], ["seeds-7-8"]) <= planned
    assert not planned & trained([study], ["seeds-9-9"]), "two of the three networks learn the later tasks"
    assert learnt(["none", *CONTROLLED, *ABLATIONS], [study], ["seeds-7-8"]) <= planned
    planned = fresh.plan(f"results/summary/{study}/baseline.csv", "--forceall", change=change)
    assert trained([study], ["seeds-7-8", "seeds-9-9"]) <= planned
    assert not planned & trained([STUDY]), "no network is that of the study it is like"


def test_a_study_with_the_seeds_of_another_has_its_networks(fresh):
    study = f"{STUDY}_stabilised"
    planned = fresh.plan(
        f"results/summary/{study}/retention.csv",
        "--forceall",
        change={"studies": {study: {"first_seed": 1, "seeds": 1}}},
    )
    assert trained([STUDY], ["seeds-1-1"]) <= planned and not planned & trained([study, STUDY], ["seeds-0-0"])


def test_without_ablations_their_notebook_is_not_executed(fresh):
    unused = {"values_of(mas)_in_ranks_of(fisher_empirical)": []}  # its strengths in the preset would be refused
    change = {"studies": {f"{STUDY}_ablations": {"retention": {"ablations": [], "lambdas": unused}}}}
    planned = fresh.plan("--forceall", change=change)
    assert not any("ablations.ipynb" in message for message in planned)
    assert learnt(["none", *CONTROLLED], [f"{STUDY}_ablations"]) <= planned and not planned & learnt(ABLATIONS)


def test_the_whole_plan_is_what_the_configuration_asks_for(fresh):
    assert {message for message in fresh.plan("--forceall") if not message.startswith("Fetching")} == EVERYTHING


def test_a_target_runs_only_what_it_needs(fresh):
    planned = fresh.plan(f"results/figures/correlation_matrix-{STUDY}.pdf", "--forceall")
    assert notebooks("correlation", studies=[STUDY]) <= planned
    assert not planned & (learnt(ESTIMATORS) | pruned(ESTIMATORS) | PAPER)
    assert not any("cnn" in message or "published" in message for message in planned)


DAMAGED = [
    "results/summary/pruning.csv",
    f"results/runs/{STUDY}_relations/importance/masx/seeds-300-301.safetensors",  # on which the least rests
    f"results/figures/pruning-{STUDY}.pdf",
    "results/paper/numbers.tex",
]


def test_truncated_results_are_named_and_made_anew(tiny_run):
    files = [tiny_run.folder / damaged for damaged in DAMAGED]
    wholes = [file.read_bytes() for file in files]
    cuts = [whole[: whole.index(b"\n", len(whole) // 2) + 1] for whole in wholes]  # after a line, where there are lines
    for file, cut in zip(files, cuts, strict=True):
        file.write_bytes(cut)
    dry = tiny_run.run("--dry-run")
    assert all(f"{damaged}: is not what was written" in dry.stderr for damaged in DAMAGED)
    assert [file.read_bytes() for file in files] == cuts, "a dry run must change nothing"
    planned = messages(dry)
    assert planned, "a dry run counts them as absent"
    again = tiny_run.run("--cores", "2")
    assert messages(again) == planned
    assert all(f"{damaged}: is not what was written" in again.stderr for damaged in DAMAGED)
    assert again.returncode == 0, again.stderr
    assert [file.read_bytes() for file in files] == wholes
    assert "Nothing to be done" in tiny_run.run("--cores", "2").stderr


def messages(run):
    """Of the jobs that Snakemake planned or ran."""
    return set(re.findall(r"^Job \d+: (.*)$", run.stdout + run.stderr, re.MULTILINE))


def test_after_an_interrupt_the_same_command_continues(tiny_run):
    target = f"results/runs/{STUDY}/baseline/seeds-2-2.csv"
    longer = {"studies": {STUDY: {"training": {"epochs": 60}}}}
    command = tiny_run.command("--cores", "1", target, change=longer)
    finished = tiny_run.folder / f"results/runs/{STUDY}/baseline/seeds-0-0.safetensors"
    log = tiny_run.folder / f"results/logs/baseline/{STUDY}/seeds-2-2.log"
    before = finished.stat().st_mtime_ns
    process = subprocess.Popen(
        command,
        cwd=tiny_run.folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # tests that a shell runs in the background ignore interrupts, and all that they start would, too
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
    """The log of every job, which lists its imports, against the closure that its rule declares as input."""
    scripts = tiny_run.folder / "workflow/scripts"
    checked = 0
    for log in sorted((tiny_run.folder / "results/logs").rglob("*.log")):
        rule, *names = log.relative_to(tiny_run.folder / "results/logs").with_suffix("").parts
        rule = rule.removesuffix("_test")  # importances on test images are computed by the same program
        declared = set(sources.closure(scripts / f"{rule}.py", scripts))
        match rule:
            case "retention" if names[1] in ABLATIONS:
                declared |= set(sources.closure(scripts / "src/weight_importance/learning/ablations.py", scripts))
                estimators = re.findall(r"\((\w+)\)", ABLATIONS[names[1]])
            case "importance" | "retention":
                estimators = {names[1]} - {"none"}
            case "notebook":
                declared |= set(sources.closure(tiny_run.folder / f"notebooks/{names[0]}.ipynb", scripts))
                estimators = configuration.estimators()
            case "paper_numbers" | "explanation" | "explorer":
                estimators = configuration.estimators()
            case _:
                estimators = ()
        for name in estimators:
            declared |= set(sources.closure(scripts / f"src/weight_importance/estimators/catalogue/{name}.py", scripts))
        modules = {file.removesuffix(".py").removesuffix("/__init__") for file in declared}
        imported = re.findall(r"^import time:.*\| +(weight_importance\S*)$", log.read_text(), re.MULTILINE)
        undeclared = {str(scripts / name.replace(".", "/")) for name in imported} - modules
        assert not undeclared, f"{log} shows imports that its rule does not declare: {sorted(undeclared)}"
        checked += bool(imported)
    assert checked > 50


def test_every_number_is_made_again_and_every_number_of_the_text_goes_back_to_the_data(tiny_run, monkeypatch):
    monkeypatch.chdir(tiny_run.folder)
    shelf = Shelf(tiny_run.folder)
    written = quotations.numbers(tiny_run.folder / trace_number.NUMBERS)
    again = trace_number.recomputed(shelf)
    assert {key: str(value) for key, value in again.items()} == written
    quoted = [key for key in quotations.quotations(tiny_run.folder / "paper") if key in written]
    assert len(quoted) > 200
    derivations = {tuple(of for of in again[key].sources if isinstance(of, Rows)): key for key in quoted}
    for sources_of, key in derivations.items():
        steps = chain(shelf, trace_number.NUMBERS, sources_of) if sources_of else []
        files = [step.file for step in steps]
        if any(not of.table.startswith("kutalev") for of in sources_of):
            assert [file for file in files if file.startswith("results/data/")], f"{key} ends in {files}"
            assert [file for file in files if file.startswith("workflow/resources/mnist_subset")], key
        assert not [file for file in files if shelf.problems(file)], key


def test_a_trace_shows_the_way_and_names_what_has_changed(tiny_run, monkeypatch, capsys):
    monkeypatch.chdir(tiny_run.folder)
    assert trace_number.Question(Shelf(tiny_run.folder)).answer(f"{STUDY}/retention/none/test/mean")
    assert "paper/sections" in capsys.readouterr().out, "one that the text quotes whatever the results are"
    key = f"{STUDY}/retention/mas/selected/test/mean"
    assert trace_number.Question(Shelf(tiny_run.folder)).answer(key)
    said = capsys.readouterr().out
    shard = f"results/runs/{STUDY}/retention/mas/seeds-0-0.csv"
    for text in (
        "numbers.accuracies",
        "estimator mas",
        shard,
        "the same",
        "✓ All files",
        "train-images-idx3",
    ):
        assert text in said
    assert "/fisher_empirical/" not in said, "the importances of others have no part in it"
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
    assert all("seeds-2-2" in file for file in {*shelf.all_results()} - run), "but for what tests before have left"
    jobs = crate.jobs_of(shelf, run)
    try:
        crate.main()
        described = ROCrate(tiny_run.folder)
    finally:
        (tiny_run.folder / crate.METADATA).unlink(missing_ok=True)
    actions = {action["name"]: action for action in described.get_by_type("CreateAction")}
    assert len(actions) == len(jobs) + 1
    results = [action["result"] for action in actions.values()]
    made = {file.id for found in results for file in (found if isinstance(found, list) else [found])}
    assert made >= {"results/paper/main.pdf", "results/paper/numbers.tex", "results/data/mnist_subset.safetensors"}
    table = described.dereference(f"results/runs/{STUDY}/retention/mas/seeds-0-0.csv")
    assert table["sha256"] == shelf.checksum(table.id)
    assert {step["name"] for step in described.mainEntity["step"]} >= {"baseline", "importance", "retention", "paper"}


@pytest.mark.parametrize("command", documents.to_run("finished"), ids=lambda command: command.name[:60])
def test_what_the_pages_ask_of_a_finished_run_is_answered(tiny_run, command):
    answer = asked(tiny_run, command)
    command.assert_done(answer)
    for code in documents.blocks():
        if code.lines[0] == f"$ {command.name}":  # the page shows what it answers, shortened
            parts = {found[0] for line in code.lines[1:] if (found := re.match(r"[a-z]+( [a-z]+)*(?=  | \()", line))}
            assert parts, code.place
            missing = [part for part in parts if not re.search(rf"^{part}\b", answer.stdout, re.MULTILINE)]
            assert not missing, f"{code.place} shows other parts than {answer.stdout}"


def asked(workflow, command):
    """A command as in the environment of the tests, which make leaves as it is."""
    return subprocess.run(
        command.runs.replace("make ", "make -o environment ", 1),
        shell=True,
        cwd=workflow.folder,
        env=os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_results_that_the_pages_name_are_there(tiny_run):
    folder = tiny_run.folder
    made = [str(file.relative_to(folder)) for top in ("results", ".snakemake") for file in (folder / top).rglob("*")]
    others = documents.table()["others"]
    names = [name for name in documents.names() if others.get(name) == "finished run"]
    names += [name for name in documents.names() if name.startswith("results/") and name not in others]
    names = [name for name in names if not documents.among(name, documents.present())]
    missing = {name: documents.names()[name] for name in names if not documents.among(name, made)}
    assert len(names) > 20 and not missing, missing
