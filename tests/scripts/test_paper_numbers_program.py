"""The program ``paper_numbers.py``: damaged tables are named and nothing half-made is left."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from weight_importance.storage import write_table
from weight_importance.tables import COLUMNS

PROGRAM = "workflow/scripts/paper_numbers.py"


def run(summary: Path, output: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, PROGRAM, "--settings", '{"seeds": 1, "studies": {}}', "--summary", str(summary)]
    command += ["--published", "workflow/resources/published", "--output", str(output)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def summary(tmp_path) -> Path:
    folder = tmp_path / "summary"
    folder.mkdir()
    for name, columns in COLUMNS.items():
        write_table(folder / f"{name}.csv", pd.DataFrame(columns=columns), columns)
    return folder


def test_the_configuration_is_quoted_also_without_any_study(summary, tmp_path):
    done = run(summary, tmp_path / "paper" / "numbers.tex")
    assert done.returncode == 0, done.stderr
    assert r"\defineresult{config/seeds}{\num{1}}" in (tmp_path / "paper" / "numbers.tex").read_text()


@pytest.mark.parametrize("damage", ["missing", "cut off"])
def test_a_damaged_table_is_named(summary, tmp_path, damage):
    table = summary / "retention.csv"
    if damage == "missing":
        table.unlink()
    else:
        table.write_bytes(table.read_bytes()[:-1])
    done = run(summary, tmp_path / "numbers.tex")
    assert done.returncode == 1
    assert "retention.csv" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "numbers.tex").exists()
