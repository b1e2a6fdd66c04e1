"""A checkpoint is continued only by the same job, and a continued job gives the same bits."""

from itertools import combinations

import pandas as pd
import pytest
import torch

from weight_importance.files.checkpoint import Checkpoint, made_from, tables_tensor, tensor_tables
from weight_importance.files.integrity import seal_of
from weight_importance.files.provenance import THIS

JOB = {"code": "1", "config": "{}"}
STATE = {"b": torch.tensor([1.0, float("nan"), 1e-42]), "a/n": torch.tensor(3)}


def test_a_checkpoint_is_restored_bit_by_bit(tmp_path):
    checkpoint = Checkpoint(tmp_path / "x.csv", JOB)
    assert checkpoint.load() == {}
    checkpoint.save(STATE)
    loaded = Checkpoint(tmp_path / "x.csv", JOB).load()
    assert loaded["b"].view(torch.int32).tolist() == STATE["b"].view(torch.int32).tolist()
    assert loaded["a/n"].item() == 3
    checkpoint.remove()
    assert not any(tmp_path.iterdir())
    checkpoint.remove()


@pytest.mark.parametrize("key", JOB)
def test_a_checkpoint_of_another_job_is_not_used(key, tmp_path, capsys):
    Checkpoint(tmp_path / "x.csv", JOB | {key: "other"}).save(STATE)
    assert Checkpoint(tmp_path / "x.csv", JOB).load() == {}
    assert f"is not used: it is from a job with another {key}" in capsys.readouterr().err


@pytest.mark.parametrize("sealed", [True, False])
def test_a_damaged_checkpoint_is_not_used(sealed, tmp_path, capsys):
    checkpoint = Checkpoint(tmp_path / "x.csv", JOB)
    checkpoint.save(STATE)
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-1])
    if not sealed:
        seal_of(checkpoint.path).unlink()
    assert checkpoint.load() == {}
    assert "is damaged" in capsys.readouterr().err
    assert not [name for name in THIS.inputs if name.endswith(checkpoint.path.name)], "not an input"


def test_a_job_continues_if_no_checkpoint_can_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    Checkpoint(tmp_path / "file" / "x.csv", JOB).save(STATE)
    assert "no checkpoint: cannot write" in capsys.readouterr().err


TABLE = pd.DataFrame({"study": ["ä", "b"], "seed": [0, 1], "level": [1.0, 0.1], "value": [1 / 3, float("nan")]})


def test_every_step_is_computed_once(tmp_path):
    computed = []

    def compute(step):
        computed.append(step)
        return {"rows": tables_tensor({step: TABLE}), "of/it": torch.ones(2)}

    for tried in (["first or so"], ["first or so", "second"], ["first or so", "second", "first"]):
        checkpoint = Checkpoint(tmp_path / "x.csv", JOB)
        for step in tried:
            loaded = checkpoint.once(step, lambda step=step: compute(step))
            pd.testing.assert_frame_equal(tensor_tables(loaded["rows"])[step], TABLE, check_exact=True)
            assert set(loaded) == {"rows", "of/it"}
    assert computed == ["first or so", "second", "first"]


def test_a_job_is_identified_by_everything_that_its_bits_depend_on(tmp_path):
    file = tmp_path / "input"
    file.write_text("1")
    device = torch.device("cpu")

    def job(name="a", lambdas=(1,), seeds=(0,), files=(file,)):
        settings = {"study": "s", "lambdas": lambdas}
        return made_from(name, settings, seeds, files, device)

    jobs = [job(), job(name="b"), job(lambdas=(2,)), job(seeds=(1,)), job(files=()), job(files=(file, file))]
    assert jobs[0] == job()
    file.write_text("2")
    jobs.append(job())
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        jobs.append(job())
    finally:
        torch.set_float32_matmul_precision(precision)
    assert all(one != other for one, other in combinations(jobs, 2))
    assert {"code", "versions", "machine"} <= jobs[0].keys()
