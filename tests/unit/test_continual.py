"""Retention in blocks: what memory holds at once changes no result."""

from dataclasses import replace

import pytest
import torch

from weight_importance.data.image_file import Dataset
from weight_importance.data.tasks import task_sequence
from weight_importance.files.checkpoint import Checkpoint
from weight_importance.files.trained import AdamState
from weight_importance.settings.ablation_names import parse
from weight_importance.learning.ablations import transform
from weight_importance.learning.networks import MLP
from weight_importance.learning.replicas import initialise
from weight_importance.learning.retention import Learning, blocks, retention
from weight_importance.runtime.errors import UserError

LEARNING = Learning(
    samples=20, images=None, epochs=1, batch_size=10, learning_rate=1e-3, clamp_negative=True, penalty="plain",
    batch_norm="running", published=False,
)  # fmt: skip
STRENGTHS = [0.1, 10.0, 1000.0]
SEEDS = [3, 4]


@pytest.fixture(scope="module")
def tasks():
    torch.manual_seed(0)
    labels = torch.randint(10, (80,))
    images = (torch.rand(80, 28, 28) * 100 + labels[:, None, None] * 15).to(torch.uint8)
    settings = {
        "protocol": "held_out",
        "tasks": {"kind": "permuted", "count": 3, "seed": 1},
        "images": {"training": 60, "validation": 20, "test": 80},
    }
    return task_sequence(settings, [Dataset(images, labels, images, labels)], torch.device("cpu"))


def learn(tasks, estimators, most_bytes=None, ablation=None, checkpoint=None):
    baseline = initialise(MLP, SEEDS)
    importance = {name: torch.rand_like(tensor) for name, tensor in baseline.parameters.items()}
    torch.manual_seed(1)
    return retention(
        baseline,
        SEEDS,
        STRENGTHS,
        estimators,
        [importance] * len(estimators),
        tasks,
        LEARNING,
        None,
        most_bytes,
        ablation and transform(parse(ablation)),
        checkpoint,
    )


@pytest.mark.parametrize("estimators", [["mas"], ["si"], []])
@pytest.mark.parametrize("most_bytes", [1, 40 * 2**20, 60 * 2**20])
def test_blocks_change_neither_results_nor_their_order(estimators, most_bytes, tasks):
    """One replica at a time, two of a seed's three, and a seed."""
    torch.manual_seed(2)
    whole = learn(tasks, estimators)
    torch.manual_seed(2)
    assert learn(tasks, estimators, most_bytes) == whole
    assert len(whole) == len(SEEDS) * len(STRENGTHS) * 2 * (1 + 2 + 3)
    assert len({seen.accuracy for seen in whole}) > 5


@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize("strengths", [1, 3, 4])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 100])
def test_blocks_cover_the_grid_once_and_keep_to_the_bound(seeds, strengths, most):
    cells = []
    for rows, columns in blocks(seeds, strengths, most):
        assert 1 <= len(rows) * len(columns) <= most
        cells += [(row, column) for row in rows for column in columns]
    assert sorted(cells) == [(row, column) for row in range(seeds) for column in range(strengths)]


def test_blocks_change_no_ablation(tasks):
    torch.manual_seed(2)
    whole = learn(tasks, ["mas"], ablation="shuffled(mas)")
    torch.manual_seed(2)
    assert learn(tasks, ["mas"], 1, ablation="shuffled(mas)") == whole
    torch.manual_seed(2)
    assert learn(tasks, ["mas"]) != whole


@pytest.mark.parametrize("name", ["shuffled_within_neuron", "input_factor", "power_1"])
def test_an_ablation_takes_the_place_of_every_task_s_importance(name, tasks):
    """An ablation that changes nothing gives the estimator's own results; the others differ after the second task."""
    torch.manual_seed(2)
    plain = learn(tasks, ["mas"])
    torch.manual_seed(2)
    controlled = learn(tasks, ["mas"], ablation=f"{name}(mas)")
    assert (controlled == plain) == (name == "power_1")


@pytest.mark.parametrize("name", ["values_of(mas)_in_ranks_of(si)", "values_of(si)_in_ranks_of(mas)"])
def test_an_ablation_of_two_estimators_is_computed_anew_from_both_after_every_task(name, tasks):
    seen = []

    def watched(importances, seeds, task):
        seen.append((task, [{key: values.clone() for key, values in of.items()} for of in importances], [*seeds]))
        return transform(parse(name))(importances, seeds, task)

    baseline = initialise(MLP, SEEDS)
    importance = {key: torch.rand_like(tensor) - 0.5 for key, tensor in baseline.parameters.items()}
    retention(baseline, SEEDS, STRENGTHS, parse(name).estimators, [importance] * 2, tasks, LEARNING, ablation=watched)
    (first, given, seeds), (second, fresh, of_replicas) = seen
    assert (first, second) == (0, 1), "after the last task nothing needs to be protected"
    assert seeds == SEEDS and of_replicas == [3, 3, 3, 4, 4, 4]
    assert all((values >= 0).all() for of in (*given, *fresh) for values in of.values()), "as the penalty clamps them"
    assert not torch.equal(fresh[0]["fc1.weight"], fresh[1]["fc1.weight"])


def test_the_published_protocol_forms_synaptic_intelligence_of_the_penalised_gradient(tasks):
    """On the later tasks, where there is a penalty: the same bits as the estimator that always does so."""

    def second(name, published):
        seen = []
        baseline = initialise(MLP, SEEDS[:1])
        importance = {key: torch.ones_like(tensor) for key, tensor in baseline.parameters.items()}
        learning = replace(LEARNING, published=published, clamp_negative=False)
        retention(
            baseline, SEEDS[:1], [1.0], [name], [importance], tasks, learning,
            ablation=lambda importances, seeds, task: seen.append(importances[0]) or importances[0],
        )  # fmt: skip
        return seen[1]

    published, plain, penalised = second("si", True), second("si", False), second("si_penalised", True)
    assert all(torch.equal(published[key], values) for key, values in penalised.items())
    assert not any(torch.equal(plain[key], values) for key, values in penalised.items())
    assert all(torch.equal(values, penalised[key]) for key, values in second("si_penalised", False).items())


def test_two_path_estimators_are_refused(tasks):
    with pytest.raises(UserError, match="si and si are path estimators, of which an ablation takes one at most"):
        learn(tasks, ["si", "si"])


class Killed(BaseException):
    pass


class Deadly(Checkpoint):
    """Dies right after it was written for the n-th time."""

    def __init__(self, result, saves):
        super().__init__(result, {"code": "1"})
        self.left = saves

    def save(self, tensors):
        super().save(tensors)
        self.left -= 1
        if not self.left:
            raise Killed


class Normalised(MLP):
    """With running statistics and a buffer of integers, which a checkpoint has to keep, too."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(1)

    def forward(self, images):
        return super().forward(self.norm(images))


@pytest.mark.parametrize(
    ("estimators", "ablation", "protocol", "blocks_of"),
    [
        ([], None, {}, None),
        (["mas"], None, {"accumulation": "mean"}, 80 * 2**20),
        (["si"], None, {"published": True}, None),
        (["mas"], "shuffled(mas)", {"accumulation": "online", "decay": 0.5}, None),
        (["fisher_sampled"], None, {"batch_norm": "frozen"}, 1),
    ],
)
def test_interrupted_after_every_task_the_bits_are_the_same(estimators, ablation, protocol, blocks_of, tasks, tmp_path):
    """A new process each time, as far as the function can tell: all that goes on is in the file."""
    learning, adam = replace(LEARNING, **protocol), None
    if protocol.get("published"):
        means = [{name: torch.rand_like(value) for name, value in initialise(Normalised, SEEDS).parameters.items()}] * 2
        adam = AdamState(6, *means)

    def run(checkpoint):
        torch.manual_seed(2)
        baseline = initialise(Normalised, SEEDS)
        importance = {name: torch.rand_like(tensor) for name, tensor in baseline.parameters.items()}
        how = ablation and transform(parse(ablation))
        inputs = baseline, SEEDS, STRENGTHS, estimators, [importance] * len(estimators), tasks, learning, adam
        return retention(*inputs, blocks_of, how, checkpoint)

    whole = run(None)
    deaths = 0
    while True:
        try:
            found = run(Deadly(tmp_path / "x.csv", 1))
            break
        except Killed:
            deaths += 1
    assert found == whole
    many = {None: 1, 80 * 2**20: 2, 1: 6}[blocks_of]
    assert deaths == many * 2 - 1, "after every task but the last"
    assert len({seen.accuracy for seen in whole}) > 5


def test_a_checkpoint_of_other_blocks_is_not_taken(tasks, tmp_path):
    torch.manual_seed(2)
    whole = learn(tasks, ["mas"])
    torch.manual_seed(2)
    with pytest.raises(Killed):
        learn(tasks, ["mas"], 1, checkpoint=Deadly(tmp_path / "x.csv", 3))
    torch.manual_seed(2)
    assert learn(tasks, ["mas"], checkpoint=Deadly(tmp_path / "x.csv", 0)) == whole
