"""The page on common networks shows its table, with failures and errors, and every importance is correct."""

import pandas as pd

from checkout import REPOSITORY
from models import report
from models.networks import CASES

FOLDER = REPOSITORY / "benchmarks/results/models"


def test_the_page_equals_its_table_and_importances_are_exact():
    table = report.read(FOLDER / "models.csv")
    assert (FOLDER / "models.md").read_text(encoding="utf-8") == report.page(table)
    exact = table[table.way == "estimate"]
    assert set(exact.network) <= set(CASES) and (exact.spearman > 0.999).all()
    # in float32, rounding decides the signs of some ReLU units of ResNet-18
    bound = exact.network.map({"ResNet-18": report.TOLERANCE}).fillna(1e-4)
    assert (exact.error < bound).all()


def row(way: str, **results) -> dict:
    return {"network": "LSTM", "estimator": "mas", "way": way, "parameters": 10, "samples": 4, **results}


def result(error: float) -> dict:
    times = {"seconds_per_sample": 0.5, "seconds_fixed": -0.1, "peak_mib": 1.0, "speed": 1.0}
    return {"numbers": 123456789, "error": error, "spearman": 0.5, **times}


def test_failures_errors_date_and_commit_are_shown(tmp_path):
    pd.read_csv(FOLDER / "models.csv").query("network == 'GRU'").to_csv(tmp_path / "models.csv", index=False)
    rows = [
        row("loop", **result(0)), row("margins", **result(0.5)), row("BackPACK", failure="ValueError: no layer"),
        row("ASDL", **result(0.5)), row("NNGeometry", **result(1e-5)),
    ]  # fmt: skip
    report.add(tmp_path, rows)
    report.add(tmp_path, rows)
    lines = (tmp_path / "models.md").read_text(encoding="utf-8").splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| LSTM")]
    assert [line[10] for line in cells] == [
        "0.0e+00", "5.0e-01", "failed: `ValueError: no layer`", "wrong (error 5.0e-01)", "1.0e-05"
    ]  # fmt: skip
    table = report.read(tmp_path / "models.csv").set_index("network")
    assert table.loc["GRU", ["date", "commit"]].isna().all(axis=None)
    assert table.loc["LSTM", "date"].notna().all()
    assert table.loc["LSTM", "numbers"].dropna().eq(123456789).all()
