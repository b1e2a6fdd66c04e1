"""Ablations of importances: what each keeps exactly and what it destroys, and what its draws depend on."""

import pytest
import torch
from torch import Tensor

from weight_importance.estimators.factors import rank_one
from weight_importance.learning.ablations import PER_TENSOR, ablated
from weight_importance.runtime.errors import UserError
from weight_importance.settings.ablation_names import TRANSFORMS, folder, is_ablation, parse

SEEDS = [3, 4, 3]
SHAPES = {"fc1.weight": (7, 11), "fc1.bias": (7,), "conv.weight": (5, 4, 3, 2), "bn.weight": (6,)}
NAMES = [*TRANSFORMS, "power_0.5", "power_2"]
ALL = [*(f"{name}(mas)" for name in NAMES), "values_of(mas)_in_ranks_of(si)"]


def importance(seed: int, replicas: int = 3) -> dict[str, Tensor]:
    """Skewed importances with some exact zeros, like real ones."""
    random = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(replicas, *shape, generator=random).sub(0.1).clamp_min(0) ** 3 * (1 + place)
        for place, (name, shape) in enumerate(SHAPES.items())
    }


def apply(name: str, *importances: dict[str, Tensor], seeds=SEEDS) -> dict[str, Tensor]:
    given = [*importances, importance(77)] if parse(name).transform == "values_in_ranks" else importances
    return ablated(parse(name), given[: len(parse(name).estimators)], seeds)


def rows(values: Tensor) -> Tensor:
    """``(R, outputs, inputs · positions)``."""
    return values.reshape(*values.shape[:2], -1)


def ascending(values: Tensor) -> Tensor:
    return values.flatten(1).sort(1).values


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_shape_type_and_total_are_kept_and_arguments_are_unchanged(name, seed):
    given = importance(seed)
    result = apply(name, given)
    assert {key: (value.shape, value.dtype) for key, value in result.items()} == {
        key: (value.shape, value.dtype) for key, value in given.items()
    }
    assert all(torch.equal(given[key], value) for key, value in importance(seed).items())
    assert all((value >= 0).all() for value in result.values())
    totals = [sum(value.flatten(1).double().sum(1) for value in tensors.values()) for tensors in (result, given)]
    torch.testing.assert_close(*totals, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("uniform")])
@pytest.mark.parametrize("seed", range(3))
def test_all_but_uniform_keep_the_total_of_each_tensor(name, seed):
    given = importance(seed)
    result = apply(name, given)
    for key, value in given.items():
        torch.testing.assert_close(result[key].flatten(1).sum(1), value.flatten(1).sum(1), rtol=1e-5, atol=0)


@pytest.mark.parametrize("seed", range(3))
def test_uniform_is_one_value_over_the_network_and_tensor_mean_one_in_each_tensor(seed):
    given = importance(seed)
    flat = torch.cat([value.flatten(1) for value in given.values()], 1)
    for value in apply("uniform(mas)", given).values():
        torch.testing.assert_close(value.flatten(1), flat.mean(1, keepdim=True).expand(3, value[0].numel()))
    for key, value in apply("tensor_mean(mas)", given).items():
        torch.testing.assert_close(value.flatten(1).amax(1), given[key].flatten(1).mean(1))
        assert torch.equal(value.flatten(1).amin(1), value.flatten(1).amax(1))


def test_depth_multiplies_layers_in_geometric_progression():
    given = {"conv1.weight": 1.0, "conv1.bias": 2.0, "bn1.weight": 3.0, "fc.weight": 4.0}
    result = apply("depth_100(l2)", {name: torch.full((3, 2), value) for name, value in given.items()})
    assert {name: pytest.approx(values[0, 0].item()) for name, values in result.items()} == {
        "conv1.weight": 0.1, "conv1.bias": 0.2, "bn1.weight": 3.0, "fc.weight": 40.0
    }  # fmt: skip


@pytest.mark.parametrize("name", ["shuffled", "shuffled_within_neuron", "reversed"])
@pytest.mark.parametrize("seed", range(5))
def test_values_are_kept_exactly_and_moved(name, seed):
    given = importance(seed)
    for key, value in apply(f"{name}(mas)", given).items():
        assert torch.equal(ascending(value), ascending(given[key]))
        stays = name == "shuffled_within_neuron" and given[key].ndim == 2
        assert torch.equal(value, given[key]) == stays


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_within_neuron_keeps_the_values_of_every_output_unit_and_shuffled_does_not(seed):
    given = importance(seed)
    within, anywhere = (apply(f"{name}(mas)", given) for name in ("shuffled_within_neuron", "shuffled"))
    for key in ("fc1.weight", "conv.weight"):
        assert torch.equal(rows(within[key]).sort(2).values, rows(given[key]).sort(2).values)
        assert not torch.allclose(rows(anywhere[key]).sum(2), rows(given[key]).sum(2))
        assert not torch.allclose(rows(within[key]).sum(1), rows(given[key]).sum(1))


def test_shuffling_is_uniform_over_places():
    """Over many seeds, the value of one entry occurs about equally often in every place."""
    single = {"w": torch.zeros(4000, 2, 3)}
    single["w"][:, 0, 1] = 1
    for name, places in (("shuffled", range(6)), ("shuffled_within_neuron", range(3))):
        result = ablated(parse(f"{name}(mas)"), [single], range(4000))["w"].flatten(1).mean(0)
        assert result.nonzero().flatten().tolist() == [*places]
        assert (result[list(places)] - 1 / len(places)).abs().max() < 4 * (1 / len(places) / 4000) ** 0.5


@pytest.mark.parametrize("seed", range(3))
def test_in_order_of_factors_has_the_tensor_s_values_in_the_order_of_its_rank_one_part(seed):
    given = importance(seed)
    result, product = apply("in_order_of_factors(mas)", given), apply("rank_one(mas)", given)
    for key, value in given.items():
        for of_seed, one, order in zip(value, result[key], product[key], strict=True):
            assert torch.equal(one.flatten().sort().values, of_seed.flatten().sort().values)
            ascending = one.flatten()[order.flatten().argsort()]
            assert (ascending.diff() >= 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_each_factor_keeps_its_totals_and_removes_the_other(seed):
    given = importance(seed)
    inputs, outputs, both = (apply(f"{name}(mas)", given) for name in ("input_factor", "output_factor", "rank_one"))
    for key, value in given.items():
        columns, units = rows(value).sum(1), rows(value).sum(2)
        for result in (inputs, both):
            torch.testing.assert_close(rows(result[key]).sum(1), columns)
        for result in (outputs, both):
            torch.testing.assert_close(rows(result[key]).sum(2), units)
        assert rows(inputs[key]).std(1).abs().max() < 1e-6
        assert value.ndim == 2 or rows(outputs[key]).std(2).abs().max() < 1e-6
        torch.testing.assert_close(rows(both[key]), rank_one(rows(value)).float())
        torch.testing.assert_close(both[key], apply("rank_one(mas)", both)[key])
    for key in ("fc1.bias", "bn.weight"):
        torch.testing.assert_close(outputs[key], given[key])
        torch.testing.assert_close(both[key], given[key])


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1, 2, 3.5])
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_a_power_keeps_ranks_and_mean_and_scales_logarithms(exponent, scale):
    given = {key: value * scale for key, value in importance(0).items()}
    for key, value in apply(f"power_{exponent}(mas)", given).items():
        before, after = given[key].flatten(1).double(), value.flatten(1).double()
        assert torch.equal(before == 0, after == 0)
        torch.testing.assert_close(after.mean(1), before.mean(1), rtol=1e-5, atol=0)
        for one, other in zip(before, after, strict=True):
            one, other = one[one > 0].log(), other[other > 0].log()
            torch.testing.assert_close(other - other[0], exponent * (one - one[0]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_reversal_inverts_every_comparison(seed):
    given = importance(seed)
    for key, value in apply("reversed(mas)", given).items():
        for before, after in zip(given[key].flatten(1), value.flatten(1), strict=True):
            lower = before[:, None] < before
            assert (after[:, None] >= after)[lower].all()


@pytest.mark.parametrize("seed", range(3))
def test_values_of_one_estimator_get_the_ranks_of_the_other(seed):
    values, ranks = importance(seed), importance(seed + 10)
    for key, result in apply("values_of(mas)_in_ranks_of(si)", values, ranks).items():
        assert torch.equal(ascending(result), ascending(values[key]))
        for order, value in zip(ranks[key].flatten(1), result.flatten(1), strict=True):
            lower = order[:, None] < order
            assert (value[:, None] <= value)[lower].all()


def test_equal_ranks_are_ordered_at_random():
    """Inputs that are always zero have equal importances, whose order must not follow their place in the tensor."""
    values, ranks = ({"w": torch.arange(20.0).repeat(500, 1, 1)}, {"w": torch.zeros(500, 1, 20)})
    result = ablated(parse("values_of(mas)_in_ranks_of(si)"), [values, ranks], range(500))["w"]
    assert (result.mean((0, 1)) - 9.5).abs().max() < 4 * 5.77 / 500**0.5


@pytest.mark.parametrize("name", ALL)
def test_a_replica_depends_only_on_its_seed(name):
    given, other = importance(0), importance(5)
    together = apply(name, given, other)
    for replica, seed in enumerate(SEEDS):
        parts = [{key: value[replica : replica + 1] for key, value in tensors.items()} for tensors in (given, other)]
        alone = apply(name, *parts, seeds=[seed])
        assert all(torch.equal(alone[key][0], together[key][replica]) for key in SHAPES)


@pytest.mark.parametrize("name", ["shuffled(mas)", "shuffled_within_neuron(mas)"])
def test_draws_are_reproducible_and_differ_between_seeds_ablations_and_tensors(name):
    one = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0)).repeat(3, 1, 1)
    given = {"fc1.weight": one, "fc2.weight": one}
    result = apply(name, given)
    assert all(torch.equal(result[key], apply(name, given)[key]) for key in given)
    first, second, third = result["fc1.weight"]
    assert torch.equal(first, third) and not torch.equal(first, second), "equal seeds have equal draws"
    assert not torch.equal(first, result["fc2.weight"][0])
    assert not torch.equal(first, apply(name.replace("mas", "si"), given)["fc1.weight"][0])
    reordered = apply(name, dict(reversed(given.items())))
    assert torch.equal(first, reordered["fc1.weight"][0]), "independent of the order of tensors"


@pytest.mark.parametrize("name", ALL)
def test_zeros_stay_zeros_and_a_diverged_network_affects_no_other(name):
    zeros = {key: torch.zeros_like(value) for key, value in importance(0).items()}
    assert all((value == 0).all() for value in apply(name, zeros, zeros).values())
    given = importance(0)
    broken = {key: torch.cat([torch.full_like(value[:1], torch.nan), value[1:]]) for key, value in given.items()}
    result, whole = apply(name, broken, broken), apply(name, given, given)
    assert all(value[0].isnan().all() for value in result.values())
    assert all(torch.equal(result[key][1:], whole[key][1:]) for key in SHAPES)


def test_names():
    assert {*PER_TENSOR, "uniform"} == {*TRANSFORMS}
    assert not any(map(is_ablation, ["none", "mas", "random"])) and all(map(is_ablation, ALL))
    assert parse("power_0.5(mas)").number == 0.5
    assert parse("values_of(mas)_in_ranks_of(si)").estimators == ("mas", "si")
    assert folder("values_of(mas)_in_ranks_of(si)") == "values_of.mas.in_ranks_of.si"
    assert folder("shuffled(mas)") == "shuffled.mas" and folder("mas") == "mas"
    assert len({*map(folder, ALL)}) == len(ALL)


@pytest.mark.parametrize("name", ["mas", "shuffled()", "shuffled(mas", "shuffled(shuffled(mas))", ""])
def test_names_that_are_no_ablation_are_refused(name):
    with pytest.raises(UserError, match="is not an ablation"):
        parse(name)
