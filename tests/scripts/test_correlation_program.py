"""The program ``correlation.py``: the tables of a shard, or one error message."""

import json
from pathlib import Path

import pytest
import torch

import programs
from weight_importance.files.storage import read_table, save_tensors
from weight_importance.files.tables import COLUMNS

SETTINGS = {"study": "tiny", "permutations": 2, "seeds": [2, 3]}


@pytest.fixture
def shard(tmp_path: Path) -> dict[str, Path]:
    """Importances of three estimators for the seeds 2 and 3."""
    random = torch.Generator().manual_seed(0)
    files = {name: tmp_path / name / "seeds-2-3.safetensors" for name in ("mas", "fisher", "si")}
    for name, path in files.items():
        tensors = {"fc1.weight": torch.rand(2, 5, 6, generator=random), "fc1.bias": torch.rand(2, 5, generator=random)}
        save_tensors(path, tensors, {"study": "owner of the networks", "estimator": name, "seeds": "[2, 3]"})
    return files


def run(importances: list[str], folder: Path, **settings: object) -> programs.Done:
    outputs = ["--output", folder / "out.csv", "--null", folder / "out.null.csv"]
    outputs += ["--used", folder / "out.used.csv"]
    given = ["--importance", *importances, "--settings", json.dumps(SETTINGS | settings)]
    return programs.run("correlation", *given, *outputs)


def named(files: dict[str, Path]) -> list[str]:
    return [f"{name}={path}" for name, path in files.items()]


def test_the_tables_are_complete(shard: dict[str, Path], tmp_path: Path) -> None:
    result = run(named(shard), tmp_path)
    assert result.returncode == 0, result.stderr
    table = read_table(tmp_path / "out.csv", COLUMNS["correlation"])
    null = read_table(tmp_path / "out.null.csv", COLUMNS["correlation_null"])
    assert len(table) == 2 * 3 * 3 * 4  # seeds, tensors, pairs, coefficients
    assert len(null) == 2 * len(table)
    used = read_table(tmp_path / "out.used.csv", COLUMNS["correlation_used"])
    assert len(used) == 2 * 3 * 2  # seeds, pairs, uses
    assert set(table["seed"]) == {2, 3}
    assert set(table["study"]) == {"tiny"}
    pairs = table[["estimator_a", "estimator_b"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["mas", "fisher"], ["mas", "si"], ["fisher", "si"]]  # in the order given


def test_two_runs_write_the_same_bytes(shard: dict[str, Path], tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        assert run(named(shard), folder).returncode == 0
    for name in ("out.csv", "out.null.csv", "out.used.csv"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_an_argument_without_a_file_is_refused(shard: dict[str, Path], tmp_path: Path) -> None:
    programs.assert_refused(run(["mas", *named(shard)], tmp_path), "NAME=FILE", "'mas'")
    assert not list(tmp_path.glob("out*"))
