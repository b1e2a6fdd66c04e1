"""Importances accumulated over batches, interrupted sessions and processes equal those of all samples at once."""

import os

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing, nn

from reference import assert_close
from weight_importance import ESTIMATORS, Accumulator, estimate_all
from weight_importance.runtime.errors import UserError

NAMES = [name for name in ESTIMATORS if ESTIMATORS[name].kind != "path" and name != "fisher_sampled"]
IN_PARTS = [name for name in NAMES if getattr(ESTIMATORS[name], "batch", 1) in (1, 100)]
"""Estimators without batches, or with batches that end at multiples of a hundred samples."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3)).double()


def samples(count: int = 240):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, 6, generator=generator).double(), torch.randint(3, (count,), generator=generator)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def check(accumulator: Accumulator, expected: dict, tolerance: float = 1e-10) -> None:
    result = accumulator.result()
    assert result.keys() == expected.keys()
    for name, values in expected.items():
        assert_close(result[name], values, tolerance)


def test_batches_of_any_size():
    x, y = samples()
    accumulator = Accumulator(NAMES, network(), generator=seeded())
    for a, b in zip(x.split([1, 7, 90, 142]), y.split([1, 7, 90, 142]), strict=True):
        accumulator.update((a, b))
    check(accumulator, estimate_all(NAMES, network(), x, y, generator=seeded()))


@pytest.mark.parametrize("names", [NAMES, ["fisher_sampled", "mas"]])
def test_an_interrupted_accumulation_continues(names, tmp_path):
    x, y = samples()
    whole = Accumulator(names, network(), generator=seeded())
    first = Accumulator(names, network(), generator=seeded())
    for part in range(0, 240, 40):
        whole.update(x[part : part + 40], y[part : part + 40])
        if part < 120:
            first.update(x[part : part + 40], y[part : part + 40])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    again = Accumulator(names, network(), generator=seeded())
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for part in range(120, 240, 40):
        again.update(x[part : part + 40], y[part : part + 40])
    check(again, whole.result(), 1e-14)


def test_parts_are_merged_in_any_order():
    x, y = samples(200)
    parts = []
    for half in (slice(0, 100), slice(100, 200)):
        parts.append(Accumulator(IN_PARTS, network(), generator=seeded()))
        parts[-1].update(x[half], y[half])
    parts[1].merge(parts[0])
    check(parts[1], estimate_all(IN_PARTS, network(), x, y, generator=seeded()))


def work(rank: int, address: str, result: str) -> None:
    """One of two processes: accumulate its share of the samples, then merge both."""
    dist.init_process_group("gloo", init_method=f"file://{address}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    x, y = samples(200)
    mine = slice(100 * rank, 100 * rank + 100)
    accumulator = Accumulator(IN_PARTS, network(), generator=seeded())
    accumulator.update(x[mine], y[mine])
    states = [None, None]
    dist.all_gather_object(states, accumulator.state_dict())
    accumulator.merge(states[1 - rank])
    if rank == 0:
        torch.save(accumulator.result(), result)
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_sum_to_one(tmp_path, monkeypatch):
    folder = os.path.dirname(__file__)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([folder, f"{folder}/../support", os.environ.get("PYTHONPATH", "")])
    )
    multiprocessing.start_processes(
        work, (str(tmp_path / "meeting"), str(tmp_path / "result.pt")), nprocs=2, start_method="fork"
    )
    result = torch.load(tmp_path / "result.pt", weights_only=True)
    expected = estimate_all(IN_PARTS, network(), *samples(200), generator=seeded())
    for name, values in expected.items():
        assert_close(result[name], values, 1e-10)


@pytest.mark.parametrize(
    ("names", "other", "seed", "message"),
    [
        (["mas"], network, 0, "the same names"),
        (["obd"], lambda: nn.Linear(6, 3), 0, "of another network"),
        (["obd"], network, 1, "a generator of the same seed"),
    ],
)
def test_incompatible_states_are_refused(names, other, seed, message):
    accumulator = Accumulator(["obd"], network(), generator=seeded())
    with pytest.raises(UserError, match=message):
        accumulator.merge(Accumulator(names, other(), generator=seeded(seed)))
    with pytest.raises(UserError, match=message):
        accumulator.load_state_dict(Accumulator(names, other(), generator=seeded(seed)).state_dict())
    with pytest.raises(UserError, match="at least one sample"):
        accumulator.result()
