"""Stored results: comparisons follow from accuracies and texts of pages from tables; files match their checksums."""

import importlib.util
import json
import re

import pandas as pd

from configurations import default
from weight_importance.files.integrity import checksum
from weight_importance.findings.study import stored
from weight_importance.settings import Configuration
from weight_importance.settings.known import REPOSITORY
from weight_importance.settings.merging import merged


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
    names = ("mlp_permuted_mnist", "mlp_permuted_mnist_published")
    settings = {name: studies[name].model_dump(mode="json") for name in names}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    tables = stored(REPOSITORY / "reference/default")[names[1]].tables
    for name in ("retention", "pruning"):
        store._write(folder, name, tables[name])
    for name, table in store.comparisons(folder).items():
        store._write(folder, name, table)
    texts = answers.reproduced()
    accuracy = 100 * tables["retention"].query("split == 'test'")["accuracy"].mean()
    (ewc,) = (line for line in texts["lambda"].splitlines() if line.startswith("| Fisher"))
    assert ewc.startswith(f"| Fisher (empirical) | 41 | 10 | 95.05 | {accuracy:.2f} | ")
    assert len(texts["pruning"].splitlines()) == 2 + 5 * 9


def test_stored_files_match_their_checksums():
    for file in (REPOSITORY / "reference").glob("*/run.json"):
        written = json.loads(file.read_text(encoding="utf-8"))["sha256"]
        assert {name: checksum(file.parent / name) for name in written} == written
