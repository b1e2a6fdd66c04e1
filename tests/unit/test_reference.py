"""Stored results: comparisons follow from accuracies and texts of pages from tables; files match their checksums."""

import importlib.util
import json
import re

import pandas as pd
import pytest
import torch

from configurations import combined, default, read
from weight_importance.data.image_file import Dataset
from weight_importance.files.integrity import checksum
from weight_importance.files.storage import write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.findings.study import stored, studies
from weight_importance.paper.claims import ABLATIONS
from weight_importance.runtime.errors import UserError
from weight_importance.settings import Configuration
from weight_importance.settings.known import REPOSITORY
from weight_importance.settings.merging import merged

DURATIONS = ["stage", "jobs", "seconds", "cpu_seconds"]


def program(name):
    specification = importlib.util.spec_from_file_location(name, REPOSITORY / f"reference/{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_comparisons_follow_from_the_stored_accuracies():
    store = program("store")
    for file in sorted((REPOSITORY / "reference").rglob("settings.json")):
        for name, table in store.comparisons(file.parent).items():
            written = pd.read_csv(file.parent / f"{name}.csv", keep_default_na=False, na_values=["nan"])
            pd.testing.assert_frame_equal(table, written, check_dtype=False, rtol=1e-5)


def test_pages_quote_the_stored_tables():
    answers = program("answers")
    for (page, name), text in answers.parts().items():
        assert answers.part_of(page, name) == text, f"{page}: run python reference/answers.py"
        assert not re.search(r"\bnan\b", text), page


def test_the_accuracies_of_a_stored_run_are_next_to_the_published_ones(tmp_path):
    store, answers = program("store"), program("answers")
    answers.REFERENCE, folder = tmp_path, tmp_path / "published"
    folder.mkdir()
    studies = Configuration.model_validate(merged(default())).studies
    names = ("mlp_permuted_mnist", "mlp_permuted_mnist_published", "mlp_permuted_mnist_published_pruning")
    settings = {name: studies[name].model_dump(mode="json") for name in names}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    run = stored(REPOSITORY / "reference/default")
    tables = {"retention": run[names[1]].tables["retention"], "pruning": run[names[2]].tables["pruning"]}
    for name, table in tables.items():
        store._write(folder, name, table)
    for name, table in store.comparisons(folder).items():
        store._write(folder, name, table)
    texts = answers.reproduced()
    accuracy = 100 * tables["retention"].query("split == 'test'")["accuracy"].mean()
    (ewc,) = (line for line in texts["lambda"].splitlines() if line.startswith("| Fisher"))
    assert ewc.startswith(f"| Fisher (empirical) | 41 | 10 | 95.05 | {accuracy:.2f} | ")
    assert len(texts["pruning"].splitlines()) == 2 + 5 * 9


def test_a_run_adds_networks_and_strengths_to_a_stored_study(tmp_path, monkeypatch):
    store, study = program("store"), "split_mnist_task"
    monkeypatch.setattr(store, "RESULTS", tmp_path)
    monkeypatch.setattr(store, "LOGS", tmp_path / "logs")
    folder = tmp_path / "stored"
    for new in (folder, tmp_path / "summary" / study, tmp_path / f"logs/retention/{study}/si"):
        new.mkdir(parents=True)
    settings = {study: Configuration.model_validate(merged(default())).studies[study].model_dump(mode="json")}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    table = stored(REPOSITORY / "reference/default")[study].tables["retention"].query("split == 'test'")
    store._write(folder, "retention", table)
    store._write(folder, "durations", pd.DataFrame([("retention", 2, 8, 7)], columns=DURATIONS))
    further = table[table["estimator"] == "si"].assign(accuracy=0.5, seed=lambda rows: rows["seed"] + 2)
    further = pd.concat([further, further.assign(**{"lambda": 7})])
    write_table(tmp_path / "summary" / study / "retention.csv", further, COLUMNS["retention"])
    (tmp_path / f"logs/retention/{study}/si/a.log").write_text(
        "1.0 s, processor 1.0 s, memory 5 MB\n", encoding="utf-8"
    )
    changes = {
        "first_seed": 2,
        "retention": {"lambdas": {"fisher_predicted": [], "si": [7, 300], "mas_batched": [], "wanda": [1]}},
    }
    file = tmp_path / "further.yaml"
    file.write_text(json.dumps({"studies": {study: changes}}), encoding="utf-8")
    store.add(study, folder, [str(file)])
    both = pd.read_csv(folder / "retention.csv")
    is_si = both["estimator"] == "si"
    assert len(both[~is_si]) == len(table[table["estimator"] != "si"])
    # one of three networks of the first run has new accuracies, and its λ is in both runs
    assert sorted(both[is_si & (both["lambda"] == 300)].groupby("seed")["accuracy"].mean().eq(0.5)) == [
        False, False, True, True, True,
    ]  # fmt: skip
    united = json.loads((folder / "settings.json").read_text(encoding="utf-8"))[study]
    assert (united["first_seed"], united["seeds"], united["retention"]["lambdas"]["si"]) == (0, 5, [7, 300])
    assert pd.read_csv(folder / "durations.csv").to_numpy().tolist() == [["retention", 3, 9, 8]]
    for wrong, reason in (
        (changes, "are already stored"),
        (changes | {"importance": {"samples": 10}}, "differ in importance"),
        (changes | {"first_seed": 3}, "name all files"),
    ):
        file.write_text(json.dumps({"studies": {study: wrong}}), encoding="utf-8")
        with pytest.raises(UserError, match=reason):
            store.add(study, folder, [str(file)])


@pytest.mark.parametrize("name", ["hsu", "lambda-range", "published", "vandeven"])
def test_a_stored_run_can_be_extended_with_its_preset(name):
    presets = Configuration.model_validate(
        merged(combined(default(), read(REPOSITORY / f"presets/{name}.yaml")))
    ).studies
    united = program("store")._united
    file = REPOSITORY / f"reference/{name}/settings.json"
    for study, settings in studies(json.loads(file.read_text(encoding="utf-8"))).items():
        if settings.retention and study in presets and study != "mlp_permuted_mnist":
            assert {*united(settings, presets[study]).estimators} == {*presets[study].estimators}


def test_the_second_of_two_runs_starts_with_the_state_of_adam_at_the_end_of_the_first(tmp_path, monkeypatch):
    consecutive, draw = program("consecutive_runs"), torch.Generator().manual_seed(0)
    parts = {
        f"{part}_images": torch.randint(0, 256, (size, 1, 28, 28), generator=draw, dtype=torch.uint8)
        for part, size in (("train", 50), ("test", 20))
    }
    parts |= {name.replace("images", "labels"): (torch.arange(len(some)) % 10).byte() for name, some in parts.items()}
    small = {"images": {"validation": 10}, "training": {"epochs": 1, "batch_size": 10}, "tasks": {"count": 2}}
    small |= {"importance": {"samples": 10}, "retention": {"epochs": 1}}
    file = tmp_path / "small.yaml"
    file.write_text(json.dumps({"studies": {consecutive.STUDY: small}}), encoding="utf-8")
    learn, states = consecutive.learn, []

    def noted(name, replicas, *arguments):
        states.append(replicas.adam)
        return learn(name, replicas, *arguments)

    monkeypatch.setattr(consecutive, "load", lambda *_: Dataset(**parts))
    monkeypatch.setattr(consecutive, "FILE", tmp_path / "runs.csv")
    monkeypatch.setattr(consecutive, "learn", noted)
    command = ["consecutive_runs.py", "fisher_empirical", "41", "--networks", "2", "--configfile", str(file)]
    monkeypatch.setattr("sys.argv", command)
    for repetition in (1, 2):
        consecutive.main()
        table = pd.read_csv(tmp_path / "runs.csv")
        assert len(table) == repetition * 2 * (1 + 2), (
            "two networks, one accuracy after the first task, two after the second"
        )
    assert states[0] is None
    assert states[1].steps == 2 * 5


def test_the_stored_page_of_a_study_with_claims_has_a_place_for_their_power():
    store, answers = program("store"), program("answers")
    about = json.loads((REPOSITORY / "reference/ablations/run.json").read_text(encoding="utf-8"))
    place = answers.BEGIN.format("powers") + answers.END.format("powers")
    assert store._page("ablations", ABLATIONS, about).endswith(place)
    assert place not in store._page("default", "", about)


def test_durations_are_added_up_by_study_and_stage(tmp_path, monkeypatch):
    store = program("store")
    monkeypatch.setattr(store, "RESULTS", tmp_path)
    monkeypatch.setattr(store, "LOGS", tmp_path / "logs")
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/b").mkdir()
    logs = ["retention/a/mas/seeds-0-1.log", "retention/a/mas/seeds-2-3.log", "retention/b/mas/seeds-0-1.log"]
    logs += ["selected_lambda/a.log", "notebook/atlas/b.log", "dataset/mnist.log", "summary/retention.log", "paper.log"]
    for name in logs:
        file = tmp_path / "logs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1.5 s, processor 1.0 s, memory 5 MB\n", encoding="utf-8")
    (tmp_path / "logs/retention/b/unfinished.log").write_text("error: no memory\n", encoding="utf-8")
    table = store._durations((tmp_path / "logs").rglob("*.log")).set_index(["study", "stage"])
    assert table["jobs"].to_dict() == {
        ("a", "retention"): 2, ("a", "selected_lambda"): 1, ("b", "retention"): 1, ("b", "notebook"): 1,
        ("all", "dataset"): 1, ("all", "summary"): 1, ("all", "paper"): 1,
    }  # fmt: skip
    assert [*table.loc[("a", "retention")]] == [2, 3, 2]
    store._write(tmp_path, "durations", table.reset_index())
    twice = store._joined(tmp_path, "durations", table.reset_index()).set_index(["study", "stage"])
    assert twice["jobs"].to_dict() == (2 * table["jobs"]).to_dict()


def test_stored_files_match_their_checksums():
    for file in (REPOSITORY / "reference").glob("*/run.json"):
        written = json.loads(file.read_text(encoding="utf-8"))["sha256"]
        assert {name: checksum(file.parent / name) for name in written} == written
