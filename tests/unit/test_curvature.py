"""The Hessian's diagonal by random probes, against the whole Hessian of small networks, and within its stated error."""

import pytest
import torch

from networks_under_test import convolutional, in_place_activation, layer_norm, make, mlp, mlp_without_bias
from reference import assert_close, hessian
from weight_importance import estimate, estimate_all
from weight_importance.estimators.engine.curvature import exact_hessian_diagonal, hessian_diagonal
from weight_importance.runtime.errors import UserError


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def flattened(values):
    return torch.cat([tensor.flatten() for tensor in values.values()])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("build", [mlp, mlp_without_bias, layer_norm], ids=lambda build: build.__name__)
def test_the_estimate_lies_within_its_stated_error_and_that_is_the_theory(build, seed):
    network, inputs, labels = make(build, seed, torch.float64)
    matrix, _ = hessian(network, inputs, labels)
    probes = 200
    found = hessian_diagonal(network, inputs, labels, seeded(seed), probes)
    mean, error = flattened(found.mean), flattened(found.error)
    expected = ((matrix.square().sum(1) - matrix.diagonal().square()) / probes).sqrt()
    sure = expected < 1e-12
    assert torch.allclose(mean[sure], matrix.diagonal()[sure], atol=1e-12)
    assert (error[~sure] / expected[~sure]).sub(1).abs().max() < 0.45
    score = (mean - matrix.diagonal())[~sure] / error[~sure]
    assert score.abs().max() < 5
    assert (score.abs() < 1.96).double().mean() > 0.85, "95 % in expectation; entries share their probes"


@pytest.mark.parametrize("build", [mlp_without_bias, layer_norm], ids=lambda build: build.__name__)
def test_of_a_small_network_the_diagonal_can_be_had_without_an_error(build):
    network, inputs, labels = make(build, 0, torch.float64)
    matrix, places = hessian(network, inputs, labels)
    diagonal = {name: matrix.diagonal()[place] for name, place in places.items()}
    assert_close(exact_hessian_diagonal(network, inputs, labels), diagonal, 1e-10)
    assert_close(exact_hessian_diagonal(network, inputs, labels, chunk=2), diagonal, 1e-10)


def test_of_a_large_one_it_cannot():
    network = torch.nn.Linear(100, 21)
    with pytest.raises(UserError, match=r"2,121 parameters; the exact Hessian diagonal is for 2,000 at most"):
        exact_hessian_diagonal(network, torch.zeros(1, 100), torch.zeros(1))


@pytest.mark.parametrize("build", [mlp, in_place_activation, convolutional], ids=lambda build: build.__name__)
def test_of_a_piecewise_linear_network_the_exact_diagonal_is_the_exact_fisher(build):
    network, inputs, labels = make(build, 0, torch.float64)
    matrix, places = hessian(network, inputs, labels)
    diagonal = {name: matrix.diagonal()[place] for name, place in places.items()}
    assert_close(diagonal, estimate("fisher_exact", network, inputs, labels), 1e-10)


def test_of_a_smooth_network_it_is_not():
    network, inputs, labels = make(mlp_without_bias, 0, torch.float64)
    matrix, places = hessian(network, inputs, labels)
    fisher = estimate("fisher_exact", network, inputs, labels)["0.weight"]
    assert (matrix.diagonal()[places["0.weight"]] - fisher).abs().max() > 0.1 * fisher.max()


def test_optimal_brain_damage_is_half_the_diagonal_times_the_squared_weight():
    network, inputs, labels = make(layer_norm, 0, torch.float64)
    found = estimate_all(["obd", "hessian_diagonal", "fisher_sampled"], network, inputs, labels, generator=seeded(3))
    for name, parameter in network.named_parameters():
        assert torch.equal(found["obd"][name], found["hessian_diagonal"][name] * parameter.detach() ** 2 / 2), name
    alone = estimate("obd", network, inputs, labels, generator=seeded(3))
    assert_close(found["obd"], alone, 1e-14)
    sampled = estimate("fisher_sampled", network, inputs, labels, generator=seeded(3))
    assert_close(found["fisher_sampled"], sampled, 1e-14)


def test_chunks_change_nothing_and_the_generator_moves_on():
    network, inputs, labels = make(convolutional, 0, torch.float64)
    generator = seeded(0)
    once = estimate("hessian_diagonal", network, inputs, labels, generator=generator)
    assert_close(estimate("hessian_diagonal", network, inputs, labels, generator=seeded(0), chunk=2), once, 1e-12)
    again = estimate("hessian_diagonal", network, inputs, labels, generator=generator)
    assert not torch.equal(again["1.weight"], once["1.weight"])


def test_probes_need_a_generator():
    network, inputs, labels = make(mlp, 0, torch.float32)
    with pytest.raises(UserError, match="obd draws probes: pass generator"):
        estimate("obd", network, inputs, labels)
    with pytest.raises(UserError, match="at least one sample"):
        estimate("obd", network, inputs[:0], labels[:0], generator=seeded(0))
