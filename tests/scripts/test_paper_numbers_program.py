"""The program ``paper_numbers.py``: names damaged tables and leaves no partial files."""

from pathlib import Path

import pandas as pd
import pytest

import programs
import studies
from weight_importance.files.storage import write_table
from weight_importance.files.tables import COLUMNS

PUBLISHED = programs.REPOSITORY / "workflow/resources/published"

SETTINGS = studies.configuration({"study": studies.changed(studies.PUBLISHED, analyses=("correlation",))}).sorted_json()


def run(summary: Path, output: Path) -> programs.Done:
    given = ["--settings", SETTINGS, "--summary", summary, "--published", PUBLISHED]
    return programs.run("paper_numbers", *given, "--output", output)


@pytest.fixture
def summary(tmp_path) -> Path:
    folder = tmp_path / "summary"
    folder.mkdir()
    for name, columns in COLUMNS.items():
        write_table(folder / f"{name}.csv", pd.DataFrame(columns=columns), columns)
    return folder


def test_the_configuration_is_quoted_without_results(summary, tmp_path):
    done = run(summary, tmp_path / "paper" / "numbers.tex")
    assert done.returncode == 0, done.stderr
    assert r"\defineresult{config/seeds}{\num{3}}" in (tmp_path / "paper" / "numbers.tex").read_text()


@pytest.mark.parametrize("damage", ["missing", "cut off"])
def test_a_damaged_table_is_named(summary, tmp_path, damage):
    table = summary / "retention.csv"
    if damage == "missing":
        table.unlink()
    else:
        table.write_bytes(table.read_bytes()[:-1])
    programs.assert_refused(run(summary, tmp_path / "numbers.tex"), "retention.csv")
    assert not (tmp_path / "numbers.tex").exists()
