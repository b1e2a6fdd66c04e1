"""The page on networks that people use shows its table, and every network's importance is right there."""

import pandas as pd

from checkout import REPOSITORY
from models import report
from models.networks import CASES

FOLDER = REPOSITORY / "benchmarks/results/models"


def test_the_page_is_made_from_the_table():
    table = pd.read_csv(FOLDER / "models.csv")
    assert (FOLDER / "models.md").read_text(encoding="utf-8") == report.page(table)
    exact = table[table.way == "estimate"]
    assert set(exact.network) <= set(CASES) and (exact.error < 1e-4).all() and (exact.spearman > 0.999).all()
