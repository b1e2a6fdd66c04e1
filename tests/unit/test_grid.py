"""Retention over a grid of seeds and strengths: blocks, interruptions and stored results change no bit."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from networks_under_test import NormalisedVector as Small
from studies import retention_job, small_tasks
from weight_importance.files.checkpoint import Checkpoint
from weight_importance.files.trained import AdamState
from weight_importance.learning import grid
from weight_importance.learning.ablations import ablated
from weight_importance.learning.grid import Kept, blocks, retention
from weight_importance.learning.replicas import initialise
from weight_importance.learning.retention import Weighting
from weight_importance.settings import LaterTasks
from weight_importance.settings.ablation_names import parse

STRENGTHS = [0.1, 10.0, 1000.0]
SEEDS = [3, 4]
JOB = retention_job(lambdas=STRENGTHS)
ONE = 14 * 4 * (16 * 12 + 12 + 12 + 12 + 12 * 4 + 4)
"""Bytes of a replica."""


@pytest.fixture(scope="module")
def tasks():
    return small_tasks(SEEDS)


def learn(tasks, estimators, most_bytes=None, ablation=None, kept=None, job=JOB, adam=None):
    baseline = initialise(Small, SEEDS)
    baseline.adam = adam
    random = torch.Generator().manual_seed(2)
    importance = {name: torch.rand(value.shape, generator=random) for name, value in baseline.parameters.items()}
    weighting = Weighting(estimators, [importance] * len(estimators), ablation and partial(ablated, parse(ablation)))
    return retention(baseline, tasks, weighting, job, kept, most_bytes)


@pytest.mark.parametrize(
    ("estimators", "ablation"), [(["mas"], None), (["si"], None), ([], None), (["mas"], "shuffled(mas)")]
)
@pytest.mark.parametrize("most_bytes", [1, 2 * ONE, 3 * ONE])
def test_blocks_change_neither_results_nor_their_order(estimators, ablation, most_bytes, tasks):
    """Blocks of one replica, of two of a seed's three, and of one seed."""
    whole = learn(tasks, estimators, ablation=ablation)
    assert learn(tasks, estimators, most_bytes, ablation) == whole
    assert len(whole) == len(SEEDS) * len(STRENGTHS) * (1 + 2 + 2 * 3)
    assert len({seen.accuracy for seen in whole}) > 5


def test_fewer_test_images_change_only_accuracies_before_the_last_task(tasks):
    """Half of them: every second image."""
    whole = learn(tasks, ["mas"])
    size = len(tasks[0][0].test)
    few = learn(tasks, ["mas"], job=JOB.model_copy(update={"earlier_test_images": size // 2}))
    last = [seen.tasks_learnt == 3 for seen in whole]
    assert [seen for seen, final in zip(whole, last, strict=True) if final] == [
        seen for seen, final in zip(few, last, strict=True) if final
    ]
    halved = [[replace(task, test=task.test.take(slice(0, None, 2))) for task in sequence] for sequence in tasks]
    before = [seen for seen, final in zip(learn(halved, ["mas"]), last, strict=True) if not final]
    assert before == [seen for seen, final in zip(few, last, strict=True) if not final]


@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize("strengths", [0, 1, 3, 4])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 100])
def test_blocks_cover_the_grid_once_within_the_limit(seeds, strengths, most):
    cells = []
    for rows, columns in blocks(seeds, strengths, most):
        assert 1 <= len(rows) * len(columns) <= most
        cells += [(row, column) for row in rows for column in columns]
    assert sorted(cells) == [(row, column) for row in range(seeds) for column in range(strengths)]


class Killed(BaseException):
    pass


class Deadly(Checkpoint):
    """A checkpoint whose job is killed after the n-th save."""

    def __init__(self, result, saves, ending="checkpoint"):
        super().__init__(result, {"code": "1"}, ending)
        self.left = saves

    def save(self, tensors):
        super().save(tensors)
        self.left -= 1
        if not self.left:
            raise Killed


def kept(folder, saves=0):
    """Checkpoints of a job that is killed after ``saves`` states of a block; never for 0."""
    return Kept(Deadly(folder / "x.csv", saves), Deadly(folder / "x.csv", 0, "strengths"))


@pytest.mark.parametrize(
    ("estimators", "ablation", "changes", "replicas"),
    [
        ([], None, {}, 6),
        (["mas"], None, {"accumulation": "mean"}, 3),
        (["si"], None, {"carry_adam": True, "penalised_path": True}, 6),
        (["mas"], "shuffled(mas)", {"accumulation": "online", "decay": 0.5}, 6),
        (["fisher_sampled"], None, {"batch_norm": "frozen"}, 1),
    ],
)
def test_runs_interrupted_after_tasks_give_the_same_bits(estimators, ablation, changes, replicas, tasks, tmp_path):
    """Each run continues from files alone, like a new process."""
    of_learning = {key: value for key, value in changes.items() if key in LaterTasks.model_fields}
    of_job = {key: value for key, value in changes.items() if key not in of_learning}
    job = JOB.model_copy(update={"learning": JOB.learning.model_copy(update=of_learning)} | of_job)
    adam = None
    if job.carry_adam:
        random = torch.Generator().manual_seed(1)
        like = initialise(Small, SEEDS).parameters
        means = [{name: torch.rand(value.shape, generator=random) for name, value in like.items()}] * 2
        adam = AdamState(6, *means)

    def run(files):
        return learn(tasks, estimators, replicas * ONE, ablation, files, job, adam)

    uninterrupted = run(None)
    deaths = 0
    while True:
        try:
            resumed = run(kept(tmp_path, 1))
            break
        except Killed:
            deaths += 1
    assert resumed == uninterrupted
    assert deaths == 6 // replicas, "once in every block: after the second of three tasks"
    assert len({seen.accuracy for seen in uninterrupted}) > 5


def test_the_state_of_another_block_is_not_used(tasks, tmp_path):
    uninterrupted = learn(tasks, ["mas"])
    with pytest.raises(Killed):
        learn(tasks, ["mas"], 1, kept=kept(tmp_path, 3))
    assert learn(tasks, ["mas"], kept=kept(tmp_path)) == uninterrupted


def strengths_learnt(monkeypatch):
    """The strengths of all replicas learnt after this call."""
    learnt, run = [], grid.Run
    monkeypatch.setattr(grid, "Run", lambda *inputs, **named: learnt.extend(inputs[2]) or run(*inputs, **named))
    return learnt


def test_only_a_new_strength_is_learnt_and_a_removed_one_is_forgotten(tasks, tmp_path, monkeypatch):
    learn(tasks, ["mas"], kept=kept(tmp_path))
    learnt = strengths_learnt(monkeypatch)
    more = JOB.model_copy(update={"lambdas": (10, 3.0, 0.1)})
    result = learn(tasks, ["mas"], kept=kept(tmp_path), job=more)
    assert learnt == [3.0] * len(SEEDS)
    assert result == learn(tasks, ["mas"], job=more)
    learnt.clear()
    fewer = JOB.model_copy(update={"lambdas": (3.0,)})
    assert {seen.strength for seen in learn(tasks, ["mas"], kept=kept(tmp_path), job=fewer)} == {3.0}
    assert learnt == []
    learn(tasks, ["mas"], kept=kept(tmp_path))
    assert sorted(learnt) == sorted([1000.0] * len(SEEDS)), "1000 was removed, then added again"


def test_results_of_another_job_are_not_used(tasks, tmp_path, monkeypatch, capsys):
    learn(tasks, ["mas"], kept=kept(tmp_path))
    learnt = strengths_learnt(monkeypatch)
    other = Kept(
        Checkpoint(tmp_path / "x.csv", {"code": "2"}), Checkpoint(tmp_path / "x.csv", {"code": "2"}, "strengths")
    )
    learn(tasks, ["mas"], kept=other)
    assert sorted(learnt) == sorted(STRENGTHS * len(SEEDS))
    assert "is not used: it is from a job with another code" in capsys.readouterr().err
