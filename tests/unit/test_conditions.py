"""Networks under conditions: temperature, label smoothing, training in parts; halves of the samples."""

from types import SimpleNamespace

import pytest
import torch

from networks_under_test import NormalisedVector as Small
from weight_importance import estimate
from weight_importance.data.samples import Samples, to_inputs
from weight_importance.data.tasks.task import Task
from weight_importance.estimators.registry import recorder
from weight_importance.learning.conditions import FurtherNetworks, at_temperature, observe
from weight_importance.learning.evaluation import confidence
from weight_importance.learning.importance import (
    importances_on_halves,
    path_estimators,
    path_importances,
    stacked_importances,
)
from weight_importance.learning.loop import Options, train
from weight_importance.learning.replicas import initialise
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.seeding import generator
from weight_importance.settings import Optimisation

NAMES = ["fisher_exact", "si", "fisher_sampled", "total_signal", "magnitude", "mas"]
SAMPLED = [name for name in NAMES if name != "si"]
SEEDS = [3, 5]
OPTIMISATION = Optimisation(batch_size=10, learning_rate=1e-2)


@pytest.fixture
def data() -> Samples:
    random = torch.Generator().manual_seed(0)
    return Samples(
        torch.randint(0, 256, (60, 4, 4), dtype=torch.uint8, generator=random),
        torch.randint(4, (60,), generator=random),
    )


def of_any_path(replicas):
    return {"si": {name: torch.rand_like(tensor) for name, tensor in replicas.parameters.items()}}


def test_several_importances_at_once_equal_single_estimates(data):
    replicas = initialise(Small, SEEDS)
    of_path = of_any_path(replicas)
    observed = stacked_importances(NAMES, replicas, [data] * 2, (0,), of_path)
    assert list(observed) == NAMES and observed["si"] is of_path["si"]
    for estimator in SAMPLED:
        for replica, seed in enumerate(SEEDS):
            plain = estimate(
                estimator, replicas.network(replica), to_inputs(data.images), data.labels,
                generator=generator("label sampling", seed, 0),
            )  # fmt: skip
            assert list(observed[estimator]) == list(plain)
            for name, value in plain.items():
                torch.testing.assert_close(observed[estimator][name][replica], value)


def test_importances_at_a_temperature_equal_those_of_a_network_with_smaller_logits(data):
    replicas, smaller = (initialise(Small, SEEDS[:1]) for _ in range(2))
    observed = observe(["mas", "fisher_exact"], replicas, [Task(data, data, data)], [data], {}, 4.0)
    for name in ("fc2.weight", "fc2.bias"):
        smaller.parameters[name] = smaller.parameters[name] / 4
    expected = stacked_importances(["mas", "fisher_exact"], smaller, [data], (0,))
    for estimator, power in (("mas", 1), ("fisher_exact", 2)):
        # networks differ in the last layer only, where the same change of logits needs a smaller change of weights
        tensors = observed.importances[estimator]
        torch.testing.assert_close(tensors["fc1.weight"], expected[estimator]["fc1.weight"])
        torch.testing.assert_close(
            tensors["fc2.weight"] * 4**power, expected[estimator]["fc2.weight"], rtol=1e-4, atol=1e-7
        )
    sure = confidence(smaller, [data])
    assert {name: pytest.approx(values) for name, values in observed.confidence.items()} == sure


def test_confidence_falls_with_temperature_to_chance_level(data):
    replicas = initialise(Small, SEEDS)
    observed = [confidence(at_temperature(replicas, temperature), [data] * 2) for temperature in (0.01, 1.0, 1e6)]
    for replica in range(2):
        largest = [one["max_probability"][replica] for one in observed]
        assert largest[0] > largest[1] > largest[2]
    assert observed[2]["max_probability"] == pytest.approx([1 / 4] * 2, abs=1e-4)
    assert observed[2]["runner_up"] == pytest.approx([1 / 4] * 2, abs=1e-4)
    assert replicas.template.training is True, "mode unchanged"


def test_a_head_selects_the_classes_of_confidence_and_importances(data):
    few = Samples(data.stored, data.labels % 2)
    task = Task(few, few, few, (1, 3))
    observed = observe(["mas"], initialise(Small, SEEDS), [task] * 2, [few] * 2, {}, 2.0)
    assert [row.tolist() for row in (observed.importances["mas"]["fc2.bias"] > 0)] == [[False, True, False, True]] * 2
    for first, second in zip(*observed.confidence.values(), strict=True):
        assert first + second == pytest.approx(1)


class Nothing:
    """An empty checkpoint."""

    def load(self):
        return {}

    def due(self, seconds):
        return False


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_training_in_parts_gives_the_networks_of_uninterrupted_training(smoothing, data):
    training = SimpleNamespace(epochs=3, optimisation=OPTIMISATION)
    job = SimpleNamespace(estimators=NAMES, samples=20, training=training)
    task = Task(data, data, data)
    further = FurtherNetworks(lambda: initialise(Small, SEEDS), [task] * 2, job, lambda amount: Nothing())
    if smoothing:
        further.smoothed(0.1)  # trainings are independent
        observed = further.smoothed(smoothing)
    else:
        first, observed = further.after(1), further.after(3)
        assert not torch.equal(first.importances["mas"]["fc1.weight"], observed.importances["mas"]["fc1.weight"])
    replicas, path = initialise(Small, SEEDS), recorder("si")
    options = Options(label_smoothing=smoothing)
    train(replicas, [data] * 2, 0, epochs=3, optimisation=OPTIMISATION, recorder=path, options=options)
    expected = observe(NAMES, replicas, [task] * 2, [data.last(20)] * 2, path.importances())
    assert observed.confidence == expected.confidence and list(observed.importances) == NAMES
    for estimator, tensors in expected.importances.items():
        for name, value in tensors.items():
            if estimator == "si":  # the displacement is summed epoch by epoch
                torch.testing.assert_close(observed.importances[estimator][name], value, rtol=1e-4, atol=1e-7)
            else:
                assert torch.equal(observed.importances[estimator][name], value)
    if smoothing:
        plain = FurtherNetworks(lambda: initialise(Small, SEEDS), [task] * 2, job, lambda amount: Nothing()).after(3)
        pairs = zip(observed.confidence["max_probability"], plain.confidence["max_probability"], strict=True)
        assert all(a < b for a, b in pairs), "smoothing lowers confidence"


def test_halves_are_disjoint_and_average_to_the_whole(data):
    replicas = initialise(Small, SEEDS)
    halves = importances_on_halves(NAMES, replicas, [data] * 2)
    whole = stacked_importances(["fisher_exact", "mas"], replicas, [data] * 2, (0,))
    for estimator, tensors in whole.items():
        for name, value in tensors.items():
            first, second = (half[estimator][name] for half in halves)
            assert not torch.equal(first, second)
            torch.testing.assert_close((first + second) / 2, value, rtol=1e-4, atol=1e-8)
    for half in halves:
        assert list(half) == NAMES
        assert all(value.isnan().all() for value in half["si"].values())
    assert all(torch.equal(halves[0]["magnitude"][name], value) for name, value in halves[1]["magnitude"].items())


def test_a_replica_does_not_depend_on_its_shard_mates(data):
    pair = importances_on_halves(NAMES, initialise(Small, SEEDS), [data] * 2)
    alone = importances_on_halves(NAMES, initialise(Small, SEEDS[1:]), [data])
    for together, single in zip(pair, alone, strict=True):
        for estimator, tensors in single.items():
            for name, value in tensors.items():
                torch.testing.assert_close(together[estimator][name][1:], value, rtol=0, atol=0, equal_nan=True)


def test_path_importances_follow_their_formula():
    integral, displacement = {"w": torch.rand(2, 3)}, {"w": torch.rand(2, 3)}
    recorded = {"path_integral": integral, "displacement": displacement}
    assert path_estimators(NAMES) == ["si"]
    observed = path_importances(NAMES, recorded)
    assert list(observed) == ["si"]
    torch.testing.assert_close(observed["si"]["w"], integral["w"] / (displacement["w"].square() + 0.1))


def test_a_diverged_network_is_named_by_its_seed(data):
    replicas = initialise(Small, SEEDS)
    replicas.parameters["fc1.bias"][1, 0] = torch.nan
    with pytest.raises(UserError, match="seed 5 diverged"):
        observe(["mas"], replicas, [Task(data, data, data)] * 2, [data] * 2, {})
