"""Networks under conditions: temperature one is the network itself, a training that goes on is the one in one go."""

from itertools import pairwise

import pytest
import torch

from networks_under_test import NormalisedVector as Small
from studies import retention_job
from weight_importance import estimate
from weight_importance.data.samples import Samples, to_inputs
from weight_importance.data.tasks.registry import sequences
from weight_importance.data.tasks.task import Task
from weight_importance.estimators.path import PathRecorder, importance
from weight_importance.estimators.registry import load
from weight_importance.learning.conditions import (
    Tempered,
    along_path,
    confidence,
    divided,
    of_replica,
    on_halves,
    retrained,
    sampled,
    smoothings,
    tempered,
    trajectories,
)
from weight_importance.learning.loop import Options, train
from weight_importance.learning.replicas import initialise
from weight_importance.learning.retention import Run, Weighting
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.seeding import generator
from weight_importance.settings import LaterTasks, Optimisation, RotatedTasks

NAMES = ["fisher_exact", "si", "fisher_sampled", "total_signal", "magnitude", "mas"]
SEEDS = [3, 5]
OPTIMISATION = Optimisation(batch_size=10, learning_rate=1e-2)


@pytest.fixture
def data() -> Samples:
    random = torch.Generator().manual_seed(0)
    return Samples(
        torch.randint(0, 256, (60, 4, 4), dtype=torch.uint8, generator=random),
        torch.randint(4, (60,), generator=random),
    )


def test_temperature_one_is_the_plain_estimate(data):
    replicas = initialise(Small, SEEDS)
    _, others = divided(NAMES)
    for estimator, of in sampled(others, replicas, [data] * 2)[0].items():
        for replica, seed in enumerate(SEEDS):
            plain = estimate(
                estimator, replicas.network(replica), to_inputs(data.images), data.labels,
                generator=generator("label sampling", seed, 0),
            )  # fmt: skip
            assert list(of) == list(plain)
            for name, value in plain.items():
                torch.testing.assert_close(of[name][replica], value)


def test_the_importances_at_a_temperature_are_those_of_the_network_with_smaller_logits(data):
    replicas = initialise(Small, SEEDS[:1])
    [found, *_] = sampled(["mas", "fisher_exact"], replicas, [data], temperature=4.0)
    smaller = initialise(Small, SEEDS[:1])
    for name in ("fc2.weight", "fc2.bias"):
        smaller.parameters[name] = smaller.parameters[name] / 4
    expected, _ = sampled(["mas", "fisher_exact"], smaller, [data])
    for estimator, power in (("mas", 1), ("fisher_exact", 2)):
        # up to the last layer the network is the same; there, the same change of logits needs a smaller change
        torch.testing.assert_close(found[estimator]["fc1.weight"], expected[estimator]["fc1.weight"])
        torch.testing.assert_close(
            found[estimator]["fc2.weight"] * 4**power, expected[estimator]["fc2.weight"], rtol=1e-4, atol=1e-7
        )


def test_confidence_falls_with_temperature_to_that_of_chance(data):
    network, inputs = initialise(Small, [0]).network(0), to_inputs(data.images)
    found = [confidence(Tempered(network, temperature), inputs) for temperature in (0.01, 1.0, 1e6)]
    largest = [one["max_probability"] for one in found]
    assert largest[0] > largest[1] > largest[2]
    assert found[2] == pytest.approx({"max_probability": 1 / 4, "runner_up": 1 / 4}, abs=1e-4)
    assert network.training is True, "left in the mode that it was in"


def test_temperatures_include_one_and_keep_the_importances_of_the_path(data):
    replicas = initialise(Small, SEEDS)
    of_path = {"si": {name: torch.rand_like(tensor) for name, tensor in replicas.parameters.items()}}
    found = list(tempered(["mas", "si"], replicas, data, [5, 0.5], of_path))
    assert [(one.name, one.level) for one in found] == [("temperature", level) for level in (0.5, 1.0, 5.0)]
    for condition in found:
        assert list(condition.importances) == ["mas", "si"]
        assert condition.importances["si"] is of_path["si"]


def test_retrained_networks_are_those_of_training_in_one_go(data):
    given = data, data.last(20), [3, 1], [0.0, 0.2], OPTIMISATION
    conditions = [
        each for amount in smoothings([0.0, 0.2]) for each in retrained(amount, NAMES, initialise(Small, SEEDS), *given)
    ]
    found = {(one.name, one.level): one for one in conditions}
    assert set(found) == {("epochs", 1), ("epochs", 3), ("label_smoothing", 0.0), ("label_smoothing", 0.2)}
    assert found["epochs", 3].importances is found["label_smoothing", 0.0].importances
    for condition, options in ((("epochs", 3), {}), (("label_smoothing", 0.2), {"label_smoothing": 0.2})):
        replicas, recorder = initialise(Small, SEEDS), PathRecorder()
        train(
            replicas, [data] * 2, 0, epochs=3, optimisation=OPTIMISATION, recorder=recorder, options=Options(**options)
        )
        expected, sure = sampled(divided(NAMES)[1], replicas, [data.last(20)] * 2)
        assert found[condition].confidence == sure
        for estimator, of in expected.items():
            for name, value in of.items():
                assert torch.equal(found[condition].importances[estimator][name], value)
        for name, value in importance(load("si"), recorder.recorded()).items():
            torch.testing.assert_close(found[condition].importances["si"][name], value, rtol=1e-4, atol=1e-7)
    smoothed, plain = (found["label_smoothing", level].confidence["max_probability"] for level in (0.2, 0.0))
    assert all(a < b for a, b in zip(smoothed, plain, strict=True)), "smoothing lowers confidence"


def test_halves_are_disjoint_and_together_the_whole(data):
    replicas = initialise(Small, SEEDS)
    halves = on_halves(NAMES, replicas, data)
    whole, _ = sampled(["fisher_exact", "mas"], replicas, [data] * 2)
    for estimator, of in whole.items():
        for name, value in of.items():
            first, second = (half[estimator][name] for half in halves)
            assert not torch.equal(first, second)
            torch.testing.assert_close((first + second) / 2, value, rtol=1e-4, atol=1e-8)
    for half in halves:
        assert list(half) == NAMES
        assert all(value.isnan().all() for value in half["si"].values())
    assert all(torch.equal(halves[0]["magnitude"][name], value) for name, value in halves[1]["magnitude"].items())


LEARNING = LaterTasks(
    images=None, epochs=2, clamp_negative=True, accumulation="sum", decay=1.0, penalty="plain", batch_norm="running"
)


@pytest.mark.parametrize("estimator", ["mas", "si"])
def test_a_trajectory_is_that_of_retention(estimator, data, monkeypatch):
    """The same weights after every task, and importances that are clamped and summed over the tasks."""
    replicas = initialise(Small, SEEDS)
    tasks = sequences(RotatedTasks(kind="rotated", count=3), [Task(data, data, data)], SEEDS)
    later = [task.training for task in tasks[0][1:]]
    first = sampled(["mas"], replicas, [data.last(20)] * 2)[0]
    first["si"] = {name: torch.rand_like(tensor) - 0.5 for name, tensor in replicas.parameters.items()}
    trained = []

    def note(stack, *arguments, **options):
        train(stack, *arguments, **options)
        trained.append({name: value.clone() for name, value in stack.parameters.items()})

    monkeypatch.setattr("weight_importance.learning.conditions.train", note)
    monkeypatch.setattr("weight_importance.learning.retention.train", note)
    found = trajectories(["mas", "si"], replicas, first, later, 20, {estimator: 5.0}, LEARNING, OPTIMISATION)
    job = retention_job(LEARNING, OPTIMISATION, samples=20, lambdas=[5.0])
    run = Run(replicas, tasks, [5.0, 5.0], Weighting([estimator], [first[estimator]]), job)
    run.begin()
    while run.learnt < 3:
        run.learn_next()
    assert len(trained) == 4
    for mine, theirs in zip(trained[:2], trained[2:], strict=True):
        for name, value in mine.items():
            torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-5)
    assert list(found) == [estimator] and len(found[estimator]) == 3, "after each of three tasks"
    assert all(list(of) == ["mas", "si"] for of in found[estimator])
    assert all((value >= 0).all() for of in found[estimator] for value in of["si"].values()), "clamped task by task"
    sums = [first["mas"]["fc2.weight"], *(of["mas"]["fc2.weight"] for of in found[estimator])]
    assert torch.equal(sums[0], sums[1])
    for before, after in pairwise(sums[1:]):
        assert (after >= before).all() and (after > before).any()


def test_a_replica_does_not_depend_on_its_shard_mates(data):
    pair = on_halves(NAMES, initialise(Small, SEEDS), data)
    alone = on_halves(NAMES, initialise(Small, SEEDS[1:]), data)
    for together, single in zip(pair, alone, strict=True):
        for estimator, of in of_replica(single, 0).items():
            for name, value in of.items():
                torch.testing.assert_close(together[estimator][name][1], value, rtol=0, atol=0, equal_nan=True)


def test_a_path_has_the_importance_of_its_formula():
    integral, displacement = {"w": torch.rand(2, 3)}, {"w": torch.rand(2, 3)}
    found = along_path(["si"], {"path_integral": integral, "displacement": displacement})
    torch.testing.assert_close(found["si"]["w"], integral["w"] / (displacement["w"].square() + 0.1))


def test_a_diverged_network_is_named_by_its_seed(data):
    replicas = initialise(Small, SEEDS)
    replicas.parameters["fc1.bias"][1, 0] = torch.nan
    with pytest.raises(UserError, match="seed 5 diverged"):
        sampled(["mas"], replicas, [data] * 2)
