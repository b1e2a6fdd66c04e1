"""The program ``benchmark.py``: a quick run without other libraries measures all parts, and results are correct."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import programs

PROGRAM = programs.REPOSITORY / "benchmarks/benchmark.py"


def run(*arguments: str) -> programs.Done:
    return programs.run(PROGRAM, "--quick", "--threads", "1", *arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    done = run("--without-peers", "--rounds", "3", "--output", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def measured(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "benchmark.csv")


def test_every_measurement_is_a_positive_number_within_its_range(measured):
    values = measured[["low", "median", "high"]].to_numpy()
    assert np.isfinite(values).all() and (values > 0).all()
    assert (np.diff(values, axis=1) >= 0).all()


def test_all_ways_are_checked_and_correct(measured):
    ways = measured[(measured["part"] == "importance") & (measured["who"] != "floor")]
    assert set(ways["who"]) == {"this project", "loop, one sample", "vmap(grad)"}
    assert ways.groupby("who").size().tolist() == [6, 6, 6]  # two networks, three estimators
    assert (ways["correct"] == "yes").all() and (ways["error"] < 1e-4).all()


def test_training_of_a_stack_agrees_with_torch_on_single_networks(measured):
    rows = measured[(measured["part"] == "training") & (measured["who"] == "this project") & measured["error"].notna()]
    assert len(rows) and (rows["correct"] == "yes").all()


def test_a_stack_with_extras_is_compared_with_the_plain_loop_with_the_same_extras(measured, folder):
    rows = measured[(measured["part"] == "training") & (measured["what"] != "none")]
    by_extra = rows.set_index(["what", "who"])["ratio"].unstack()
    assert [*by_extra.index] == ["both", "penalty", "recorder"] and (by_extra["this project"] > 0).all()
    assert (by_extra["plain loop, one network per thread"] == 1).all()
    assert "| this project, penalty and record |" in (folder / "speed.md").read_text()


def test_all_estimators_together_are_compared_with_the_exact_fisher(measured):
    rows = measured[measured["part"] == "together"]
    assert rows.groupby("network").size().to_dict() == {"cnn": 4, "mlp": 4}
    assert (rows.loc[rows["who"] == "exact Fisher alone", "ratio"] == 1).all()


def test_the_profile_lists_kinds_of_operations(measured, folder):
    rows = measured[measured["part"] == "profile"]
    assert {"matrix products", "Adam", "penalty and record"} <= set(rows["what"])
    assert "| matrix products |" in (folder / "speed.md").read_text()


def test_scaling_covers_time_and_memory(measured):
    what = set(measured.loc[measured["part"] == "scaling", "what"])
    assert what == {"time against samples", "time against replicas", "time against tasks", "memory against samples"}


def test_page_and_figures_depend_only_on_the_table(folder, tmp_path):
    (tmp_path / "benchmark.csv").write_bytes((folder / "benchmark.csv").read_bytes())
    assert run("--redraw", "--output", str(tmp_path)).returncode == 0
    files = sorted(file.name for file in folder.iterdir())
    assert files == sorted(file.name for file in tmp_path.iterdir())
    for name in files:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_missing_table_is_named(tmp_path):
    done = run("--redraw", "--output", str(tmp_path))
    programs.assert_refused(done, "benchmark.csv does not exist")
