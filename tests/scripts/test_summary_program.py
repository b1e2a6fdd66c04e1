"""The program ``summary.py``: concatenates complete tables, and names incomplete files."""

import itertools
import sys
from pathlib import Path

import pandas as pd
import pytest

import programs
import summary
from studies import retention_table
from weight_importance.files.integrity import seal_of
from weight_importance.files.storage import read_table, write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.runtime.errors import UserError

STRENGTHS = {"mas": [10.0, 2.0], "none": [0.0]}


def retention(study: str, estimator: str, seeds: range) -> pd.DataFrame:
    """Retention of three tasks in the workflow's order: seeds within tasks."""
    runs = [(study, estimator, strength) for strength in STRENGTHS[estimator]]
    table = retention_table(runs, seeds, lambda _, strength, seed, *rest: strength / 100 + seed / 1000)
    return table.sort_values("tasks_learnt", kind="stable")


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Retention of two studies and two estimators, four seeds each in two shards."""
    paths = []
    for study, estimator, first in itertools.product("ab", STRENGTHS, (0, 2)):
        path = tmp_path / study / estimator / f"seeds-{first}-{first + 1}.csv"
        write_table(path, retention(study, estimator, range(first, first + 2)), COLUMNS["retention"])
        paths.append(path)
    return paths


def run(table: str, output: Path, files: list[Path]) -> programs.Done:
    return programs.run("summary", "--table", table, "--output", output, *files)


def assert_refused(result: programs.Done, output: Path, *words: str) -> None:
    programs.assert_refused(result, *words)
    assert not output.exists()


def test_the_summary_is_sorted(shards: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "retention.csv"
    result = run("retention", output, shards)
    assert result.returncode == 0, result.stderr
    table = read_table(output, COLUMNS["retention"])
    expected = pd.concat([read_table(path, COLUMNS["retention"]) for path in shards])
    keys = list(COLUMNS["retention"][:-1])
    pd.testing.assert_frame_equal(table, expected.sort_values(keys, ignore_index=True), check_exact=True)
    assert table.loc[table["estimator"] == "mas", "lambda"].unique().tolist() == [2.0, 10.0]  # as numbers, not as text


def test_the_order_of_the_files_does_not_matter(shards: list[Path], tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    assert run("retention", one, shards).returncode == 0
    assert run("retention", other, shards[::-1]).returncode == 0
    assert one.read_bytes() == other.read_bytes()


def test_numbers_are_unchanged(tmp_path: Path) -> None:
    """Seventeen digits, denormal numbers, negative values and nan."""
    values = [0.1 + 0.2, 5e-324, -1 / 3, float("nan")]
    keys = itertools.product(["s"], ["w"], ["a"], ["b"], ["pearson", "spearman"], [0, 1])
    frame = pd.DataFrame([(*key, value) for key, value in zip(keys, values, strict=True)])
    frame.columns = list(COLUMNS["correlation"])
    write_table(tmp_path / "seeds-0-1.csv", frame, COLUMNS["correlation"])
    assert run("correlation", tmp_path / "out.csv", [tmp_path / "seeds-0-1.csv"]).returncode == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "seeds-0-1.csv").read_bytes()


@pytest.mark.parametrize("alone", [False, True])
def test_a_file_cut_off_between_two_lines_is_named(
    shards: list[Path], tmp_path: Path, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every length, without a seal, and with or without other shards."""
    cut, output = shards[0], tmp_path / "out.csv"
    seal_of(cut).unlink()
    whole = cut.read_text().splitlines(keepends=True)
    assert len(whole) == 49
    files = [path for path in shards if path.name == "seeds-0-1.csv"] if alone else shards
    others = [str(path) for path in files if path != cut]
    monkeypatch.setattr(sys, "argv", ["summary.py", "--table", "retention", "--output", str(output), *map(str, files)])
    for lines in range(1, len(whole)):
        cut.write_text("".join(whole[:lines]))
        with pytest.raises(UserError) as refused:
            summary.main()
        message = str(refused.value)
        assert str(cut) in message, lines
        assert "Delete it and run the same command again" in message, lines
        assert not any(other in message for other in others), lines
        assert cut.read_text() == "".join(whole[:lines]) and not output.exists()


def test_a_missing_shard_is_reported(shards: list[Path], tmp_path: Path) -> None:
    absent = shards.pop(0)
    result = run("retention", tmp_path / "out.csv", shards)
    assert_refused(
        result, tmp_path / "out.csv", "study a, estimator mas", "seed 0", "give the table of that shard, too"
    )
    assert str(absent) not in result.stderr


def test_overlapping_shards_are_refused(shards: list[Path], tmp_path: Path) -> None:
    overlapping = shards[0].with_name("seeds-1-2.csv")
    write_table(overlapping, retention("a", "mas", range(1, 3)), COLUMNS["retention"])
    result = run("retention", tmp_path / "out.csv", [*shards, overlapping])
    assert_refused(result, tmp_path / "out.csv", str(overlapping), str(shards[0]), "and ")


def test_an_unknown_table_is_refused(shards: list[Path], tmp_path: Path) -> None:
    result = run("retentoin", tmp_path / "out.csv", shards)
    assert_refused(result, tmp_path / "out.csv", "unknown table 'retentoin'", "Did you mean 'retention'?")


def test_tables_of_studies_are_concatenated(tmp_path: Path) -> None:
    files = [tmp_path / study / "selected_lambda.csv" for study in "ba"]
    for file in files:
        frame = pd.DataFrame([(file.parent.name, "mas", 2.0, "validation")], columns=COLUMNS["selected_lambda"])
        write_table(file, frame, COLUMNS["selected_lambda"])
    assert run("selected_lambda", tmp_path / "out.csv", files).returncode == 0
    assert read_table(tmp_path / "out.csv", COLUMNS["selected_lambda"])["study"].tolist() == ["a", "b"]


def test_an_older_summary_is_kept_if_a_shard_is_damaged(shards: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    assert run("retention", output, shards).returncode == 0
    before = output.read_bytes()
    shards[0].write_bytes(shards[0].read_bytes()[:-1])
    assert run("retention", output, shards).returncode == 1
    assert output.read_bytes() == before
