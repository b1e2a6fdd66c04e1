"""Stored results: comparisons follow from accuracies and texts of pages from tables; files match their checksums."""

import importlib.util
import json

import pandas as pd

from weight_importance.files.integrity import checksum
from weight_importance.settings.known import REPOSITORY


def program(name):
    specification = importlib.util.spec_from_file_location(name, REPOSITORY / f"reference/{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_comparisons_follow_from_the_stored_accuracies():
    store = program("store")
    for file in sorted((REPOSITORY / "reference").glob("*/settings.json")):
        for name, table in store.comparisons(file.parent).items():
            stored = pd.read_csv(file.parent / f"{name}.csv")
            pd.testing.assert_frame_equal(table, stored, check_dtype=False, rtol=1e-5)


def test_pages_quote_the_stored_tables():
    answers = program("answers")
    for (page, name), text in answers.parts().items():
        assert answers.part_of(page, name) == text, f"{page}: run python reference/answers.py"


def test_stored_files_match_their_checksums():
    for file in (REPOSITORY / "reference").glob("*/run.json"):
        written = json.loads(file.read_text(encoding="utf-8"))["sha256"]
        assert {name: checksum(file.parent / name) for name in written} == written
