"""The page on common networks shows its table, and every importance is correct."""

import pandas as pd

from checkout import REPOSITORY
from models import report
from models.networks import CASES

FOLDER = REPOSITORY / "benchmarks/results/models"


def test_the_page_equals_its_table_and_importances_are_exact():
    table = pd.read_csv(FOLDER / "models.csv")
    assert (FOLDER / "models.md").read_text(encoding="utf-8") == report.page(table)
    exact = table[table.way == "estimate"]
    assert set(exact.network) <= set(CASES) and (exact.error < 1e-4).all() and (exact.spearman > 0.999).all()
