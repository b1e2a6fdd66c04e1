"""Stored results: the comparisons follow from the accuracies, and the answers of README.md from the tables."""

import importlib.util

import pandas as pd

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


def test_the_answers_of_the_readme_follow_from_the_stored_tables():
    answers = program("answers")
    assert answers.answers_of_page() == answers.answers(), "run python reference/answers.py"
