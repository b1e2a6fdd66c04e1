"""The Hessian's diagonal against the full Hessian of small networks."""

import pytest
import torch

from networks_under_test import convolutional, in_place_activation, layer_norm, make, mlp, mlp_without_bias
from reference import assert_close, hessian, naive
from weight_importance import estimate, estimate_all
from weight_importance.estimators.engine.curvature import PROBES
from weight_importance.runtime.errors import UserError


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("build", [mlp, in_place_activation, convolutional], ids=lambda build: build.__name__)
def test_the_diagonal_of_a_piecewise_linear_network_is_exact(build):
    network, inputs, labels = make(build, 0, torch.float64)
    matrix, places = hessian(network, inputs, labels)
    diagonal = {name: matrix.diagonal()[place] for name, place in places.items()}
    result = estimate("hessian_diagonal", network, inputs, labels, generator=seeded(0))
    assert_close(result, diagonal, 1e-10)
    assert_close(result, estimate("fisher_exact", network, inputs, labels), 1e-10)


@pytest.mark.parametrize("build", [mlp_without_bias, layer_norm], ids=lambda build: build.__name__)
def test_probes_estimate_the_curvature_of_the_logits_of_a_smooth_network(build):
    """Expected: the exact Gauss-Newton diagonal plus probes of the rest of the Hessian, tensor by tensor."""
    network, inputs, labels = make(build, 0, torch.float64)
    matrix, places = hessian(network, inputs, labels)
    draw, drawn = seeded(5), []
    for _ in range(PROBES):
        drawn.append({
            name: 2.0 * torch.randint(2, value.shape, generator=draw).double() - 1
            for name, value in network.named_parameters()
        })  # fmt: skip
    expected, exact = {}, naive("ggn", network, inputs, labels)
    jacobians = torch.func.vmap(torch.func.jacrev(
        lambda theta, x: torch.func.functional_call(network, theta, (x[None],))[0]), (None, 0)
    )({name: value.detach() for name, value in network.named_parameters()}, inputs)  # fmt: skip
    p = network(inputs).detach().softmax(1)
    at_logits = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    for name, place in places.items():
        rows = jacobians[name].flatten(2)
        gauss_newton = torch.einsum("nki,nkl,nlj->ij", rows, at_logits, rows) / len(inputs)
        rest = matrix[place.flatten()][:, place.flatten()] - gauss_newton
        products = [signs[name].flatten() * (rest @ signs[name].flatten()) for signs in drawn]
        expected[name] = exact[name] + (sum(products) / PROBES).view(place.shape)
    result = estimate("hessian_diagonal", network, inputs, labels, generator=seeded(5))
    assert_close(result, expected, 1e-9)
    name = next(iter(exact))
    assert (result[name] - exact[name]).abs().max() > 0.01 * exact[name].max(), "the curvature of the logits matters"


def test_optimal_brain_damage_is_half_the_diagonal_times_the_squared_weight():
    network, inputs, labels = make(layer_norm, 0, torch.float64)
    result = estimate_all(["obd", "hessian_diagonal", "fisher_sampled"], network, inputs, labels, generator=seeded(3))
    for name, parameter in network.named_parameters():
        assert torch.equal(result["obd"][name], result["hessian_diagonal"][name] * parameter.detach() ** 2 / 2), name
    alone = estimate("obd", network, inputs, labels, generator=seeded(3))
    assert_close(result["obd"], alone, 1e-14)
    sampled = estimate("fisher_sampled", network, inputs, labels, generator=seeded(3))
    assert_close(result["fisher_sampled"], sampled, 1e-14)


def test_chunks_have_no_effect_and_the_generator_advances():
    network, inputs, labels = make(layer_norm, 0, torch.float64)
    generator = seeded(0)
    once = estimate("hessian_diagonal", network, inputs, labels, generator=generator)
    assert_close(estimate("hessian_diagonal", network, inputs, labels, generator=seeded(0), chunk=2), once, 1e-12)
    again = estimate("hessian_diagonal", network, inputs, labels, generator=generator)
    assert any(not torch.equal(again[name], once[name]) for name in once)


def test_probes_need_a_generator():
    network, inputs, labels = make(mlp, 0, torch.float32)
    with pytest.raises(UserError, match="obd draws probes: pass generator"):
        estimate("obd", network, inputs, labels)
    with pytest.raises(UserError, match="at least one sample"):
        estimate("obd", network, inputs[:0], labels[:0], generator=seeded(0))
