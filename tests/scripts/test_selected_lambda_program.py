"""The program ``selected_lambda.py``: one λ per study and estimator from the retention table."""

from pathlib import Path

import pandas as pd

import programs
from weight_importance.files.storage import write_table
from weight_importance.files.tables import COLUMNS

ACCURACIES = {("mas", 0.5): 0.7, ("mas", 4.0): 0.8, ("mas", 40.0): float("nan"), ("si", 1.0): float("nan")}


def run(retention: Path, output: Path, *options: str) -> programs.Done:
    return programs.run("selected_lambda", "--retention", retention, "--output", output, *options)


def write_retention(path: Path) -> None:
    rows = [
        ("study", estimator, strength, seed, 1, 1, split, accuracy if split == "validation" else 1 - accuracy)
        for (estimator, strength), accuracy in ACCURACIES.items()
        for seed in (0, 1)
        for split in ("validation", "test")
    ]
    write_table(path, pd.DataFrame(rows, columns=list(COLUMNS["retention"])), COLUMNS["retention"])


def test_writes_the_selection(tmp_path: Path) -> None:
    write_retention(tmp_path / "retention.csv")
    result = run(tmp_path / "retention.csv", tmp_path / "selected_lambda.csv")
    assert result.returncode == 0, result.stderr
    written = (tmp_path / "selected_lambda.csv").read_text()
    assert written == "study,estimator,lambda,criterion\nstudy,mas,4.0,validation\nstudy,si,nan,validation\n"
    assert run(tmp_path / "retention.csv", tmp_path / "selected_lambda.csv", "--split", "test").returncode == 0
    written = (tmp_path / "selected_lambda.csv").read_text()
    assert written == "study,estimator,lambda,criterion\nstudy,mas,0.5,test\nstudy,si,nan,test\n"
