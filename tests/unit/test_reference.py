"""Stored results: the comparisons are those that the stored accuracies give today."""

import importlib.util

import pandas as pd

from weight_importance.settings.known import REPOSITORY

SPECIFICATION = importlib.util.spec_from_file_location("store", REPOSITORY / "reference/store.py")
STORE = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(STORE)


def test_comparisons_follow_from_the_stored_accuracies():
    for file in sorted((REPOSITORY / "reference").glob("*/settings.json")):
        for name, table in STORE.comparisons(file.parent).items():
            stored = pd.read_csv(file.parent / f"{name}.csv")
            pd.testing.assert_frame_equal(table, stored, check_dtype=False, rtol=1e-5)
