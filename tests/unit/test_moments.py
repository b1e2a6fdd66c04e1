"""The moments engine and the estimators built on it, against the naive loop and against what must not matter."""

import pytest
import torch
from torch import nn

from networks_under_test import CLASSES, NETWORKS, make, mlp
from reference import POWERS, assert_close, naive
from weight_importance import ESTIMATORS, estimate
from weight_importance.errors import UserError
from weight_importance.estimators.moments import closed_form_layers

MOMENTS = sorted(name for name in ESTIMATORS if ESTIMATORS[name].kind == "moment")
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def test_every_moment_estimator_has_a_reference():
    assert set(POWERS) == set(MOMENTS)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("name", MOMENTS)
def test_equals_the_naive_loop(name, build, dtype, seed):
    network, inputs, labels = make(build, seed, dtype)
    drawn = None
    if name == "fisher_sampled":
        with torch.no_grad():
            p = network.eval()(inputs).double().softmax(1)
        drawn = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(seed))[:, 0]
    actual = estimate(name, network, inputs, labels, generator=torch.Generator().manual_seed(seed))
    assert_close(actual, naive(name, network, inputs, labels, drawn), TOLERANCE[dtype])
    assert all(value.dtype == dtype for value in actual.values())


@pytest.mark.parametrize(
    ("build", "closed"),
    [
        ("mlp", ["0", "2", "4"]),
        ("single_layer", [""]),
        ("in_place_activation", ["0", "2"]),
        ("normalised", ["0", "4"]),
        ("convolution", ["4"]),
        ("CalledTwice", ["head"]),
        ("Tied", ["head"]),
        ("UsedOutside", ["head"]),
        ("Sequences", ["head"]),
        ("BareParameter", ["head"]),
    ],
)
def test_the_closed_form_is_used_where_it_holds_and_only_there(build, closed):
    network, inputs, _ = make({b.__name__: b for b in NETWORKS}[build], 0, torch.float32)
    assert closed_form_layers(network.eval(), inputs) == closed


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [name for name in MOMENTS if name != "fisher_sampled"] + ["total_signal"])
def test_duplicating_or_permuting_samples_or_the_chunk_size_changes_nothing(name, seed):
    network, inputs, labels = make(mlp, seed, torch.float64)
    once = estimate(name, network, inputs, labels)
    order = torch.randperm(len(inputs))
    assert_close(estimate(name, network, inputs[order], labels[order]), once, 1e-12)
    assert_close(estimate(name, network, inputs.repeat(3, 1), labels.repeat(3)), once, 1e-12)
    assert_close(estimate(name, network, inputs, labels, chunk=2), once, 1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_sampled_fisher_is_unbiased_for_the_exact_one(seed):
    network, inputs, labels = make(mlp, seed, torch.float64)
    exact = estimate("fisher_exact", network, inputs, labels)["4.weight"]
    generator = torch.Generator().manual_seed(seed)
    draws = torch.stack(
        [estimate("fisher_sampled", network, inputs, labels, generator=generator)["4.weight"] for _ in range(200)]
    )
    error = (draws.mean(0) - exact) / (draws.std(0) / len(draws) ** 0.5)
    assert error.abs().max() < 4.5


@pytest.mark.parametrize("seed", range(5))
def test_scaling_laws(seed):
    """For a linear network on scaled inputs, logits' MAS grows with the square of the scale of the head's weights."""
    network, inputs, labels = make(lambda: nn.Linear(6, CLASSES, bias=False), seed, torch.float64)
    before = estimate("mas_logits", network, inputs, labels)["weight"]
    with torch.no_grad():
        network.weight *= 3
    assert_close({"w": estimate("mas_logits", network, inputs, labels)["weight"]}, {"w": 3 * before}, 1e-12)


def test_the_network_is_left_as_it_was():
    network, inputs, labels = make(next(b for b in NETWORKS if b.__name__ == "normalised"), 0, torch.float32)
    network.train()
    network[2].eval()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    estimate("fisher_empirical", network, inputs, labels)
    assert [module.training for module in network] == [True, True, False, True, True]
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_frozen_parameters_count_too():
    network, inputs, labels = make(mlp, 0, torch.float64)
    network.requires_grad_(False)
    assert_close(
        estimate("mas", network, inputs, labels), naive("mas", network.requires_grad_(), inputs, labels), 1e-10
    )


def test_inputs_that_are_always_zero_have_weights_of_no_importance():
    network, inputs, labels = make(mlp, 0, torch.float32)
    assert (estimate("fisher_exact", network, inputs, labels)["0.weight"][:, 2] == 0).all()


class Branching(nn.Module):
    """Cannot be vectorised: a Python branch on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x):
        return x * self.scale if x.sum().item() > 0 else x


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n, x, y: estimate("fisher_emprical", n, x, y), "Did you mean 'fisher_empirical'"),
        (lambda n, x, y: estimate("si", n, x, y), "path estimator"),
        (lambda n, x, y: estimate("mas", n, x[:0], y[:0]), "at least one sample"),
        (lambda n, x, y: estimate("fisher_sampled", n, x, y), "generator"),
        (lambda n, x, y: estimate("mas", Branching(), x, y), "torch.func.vmap"),
    ],
)
def test_errors_say_what_to_do(call, message):
    network, inputs, labels = make(mlp, 0, torch.float32)
    with pytest.raises(UserError, match=message):
        call(network, inputs, labels)
