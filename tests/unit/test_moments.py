"""The moments engine and its estimators, against the naive loop, and invariances."""

from functools import cache

import pytest
import torch
from torch import nn

from networks_under_test import (
    CLASSES,
    NETWORKS,
    confident,
    convolutional,
    grouped_convolutions,
    make,
    mlp,
    single_layer,
)
from reference import POWERS, assert_close, naive
from weight_importance import ESTIMATORS, estimate, estimate_all
from weight_importance.estimators.engine import probe, products
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import PROBE
from weight_importance.estimators.engine.probe import examine
from weight_importance.estimators.engine.samples import batch
from weight_importance.runtime.errors import UserError

MOMENTS = sorted(name for name in ESTIMATORS if ESTIMATORS[name].kind == "moment")
DETERMINISTIC = [
    *(name for name in MOMENTS if name not in ("fisher_sampled", "fisher_batched")), "total_signal", "wanda"
]  # fmt: skip
# all ways to compute moments in both precisions; estimators that differ only in a cotangent in one precision
THOROUGH = ("fisher_empirical", "fisher_exact", "fisher_sampled", "mas", "mas_logits", "absolute_fisher")
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def test_every_moment_estimator_has_a_reference():
    assert {*POWERS, "ggn"} == set(MOMENTS)


@cache
def expected(name, build, seed):
    """The naive loop's importances, always in float64."""
    network, inputs, labels = make(build, seed, torch.float64)
    drawn = None
    if name == "fisher_sampled":
        with torch.no_grad():
            p = network.eval()(inputs).softmax(1)
        drawn = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(seed))[:, 0]
    return naive(name, network, inputs, labels, drawn)


@pytest.mark.parametrize(("dtype", "seed"), [(torch.float64, 0), (torch.float64, 1), (torch.float32, 1)], ids=str)
@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("name", THOROUGH)
def test_equals_the_naive_loop(name, build, dtype, seed):
    network, inputs, labels = make(build, seed, dtype)
    actual = estimate(name, network, inputs, labels, generator=torch.Generator().manual_seed(seed))
    assert_close(actual, expected(name, build, seed), TOLERANCE[dtype])
    assert all(value.dtype == dtype for value in actual.values())


@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("name", [name for name in MOMENTS if name not in THOROUGH])
def test_the_others_equal_the_naive_loop(name, build):
    network, inputs, labels = make(build, 0, torch.float64)
    assert_close(estimate(name, network, inputs, labels), naive(name, network, inputs, labels), 1e-9)


@pytest.mark.parametrize("build", [mlp, confident, convolutional], ids=lambda build: build.__name__)
@pytest.mark.parametrize("name", [name for name in MOMENTS if name not in THOROUGH])
def test_the_others_equal_the_naive_loop_in_single_precision(name, build):
    network, inputs, labels = make(build, 1, torch.float32)
    assert_close(estimate(name, network, inputs, labels), naive(name, network, inputs, labels), 2e-5)


@pytest.mark.parametrize("chunk", [None, 30])
def test_batches_are_in_order_and_the_last_may_be_smaller(chunk):
    """Two batches of 100 and one of 50; a batch may take several passes."""
    network, _, _ = make(mlp, 0, torch.float64)
    torch.manual_seed(1)
    inputs, labels = torch.randn(250, 6).double(), torch.randint(CLASSES, (250,))
    batched = estimate("fisher_batched", network, inputs, labels, chunk=chunk)
    assert_close(batched, naive("fisher_batched", network, inputs, labels), 1e-12)
    wrong, right = (estimate(name, network, inputs, labels) for name in ("fisher_batched", "fisher_empirical"))
    assert wrong["0.weight"].mean() < right["0.weight"].mean() / 2, "gradients of different signs cancel"


@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
def test_gauss_newton_is_the_exact_fisher(build):
    network, inputs, labels = make(build, 0, torch.float64)
    result = estimate_all(["ggn", "fisher_exact"], network, inputs, labels)
    assert_close(result["ggn"], result["fisher_exact"], 1e-10)


@pytest.mark.parametrize("scale", [1, 30, 300, 3000])
def test_the_factor_of_the_softmax_hessian_is_exact_for_any_confidence(scale):
    torch.manual_seed(0)
    logits = torch.randn(50, 6).double() * scale
    ((columns, weights),) = ESTIMATORS["ggn"].cotangents(logits, torch.zeros(50).long(), None)
    p = logits.softmax(1)
    # diag(p) − ppᵀ from its zero row sums: rounding would cancel p − p²
    expected = -p[:, :, None] * p[:, None]
    expected.diagonal(dim1=1, dim2=2).zero_().sub_(expected.sum(2))
    actual = torch.einsum("cn,cnk,cnl->nkl", weights, columns, columns)
    assert columns.shape == (5, 50, 6)
    size = expected.diagonal(dim1=1, dim2=2).sqrt()
    error = (actual - expected).abs() / (size[:, :, None] * size[:, None]).clamp_min(1e-100)
    assert error.max() < 1e-13


@pytest.mark.parametrize(
    ("build", "closed"),
    [
        ("mlp", "0 2 4"),
        ("mlp_without_bias", "0 2"),
        ("confident", "0 2 4"),
        ("in_place_activation", "0 2"),
        ("normalised", "0 1 4"),
        ("layer_norm", "0 1 3"),
        ("convolution", "1 4"),
        ("CalledTwice", "head"),
        ("Tied", "head"),
        ("UsedOutside", "head"),
        ("Sequences", "layer head"),
        ("BareParameter", "head"),
        ("strided_convolutions", "1 3 5"),
        ("padding_by_name", "1 3 5"),
        ("circular_padding", "1 3 5"),
        ("grouped_convolutions", "1 3 5 7"),
        ("convolutional", "1 2 5 6 9"),
        ("group_norm", "1 2 5 6"),
        ("layer_norm_of_sequences", "1 2 4 6"),
        ("batch_norm_of_sequences", "1 2 5"),
        ("parametrised", "2"),
        ("ConvolutionCalledTwice", "norm head"),
        ("Residual", "first norm shortcut head"),
        ("Attention", "query key value head"),
        ("SequenceFirst", "head"),
        ("OtherOrder", "head"),
    ],
)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_the_closed_form_is_used_exactly_where_it_holds(build, closed, dtype):
    network, inputs, _ = make({b.__name__: b for b in NETWORKS}[build], 0, dtype)
    assert examine(Forward(network.eval()), batch(inputs)).layers == closed.split()


def test_a_network_of_one_layer_has_the_closed_form():
    network, inputs, _ = make(single_layer, 0, torch.float32)
    assert examine(Forward(network), batch(inputs)).layers == [""]


@pytest.mark.parametrize("build", [mlp, convolutional, grouped_convolutions], ids=lambda build: build.__name__)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_duplicates_order_and_chunks_of_samples_have_no_effect(name, build):
    network, inputs, labels = make(build, 0, torch.float64)
    once = estimate(name, network, inputs, labels)
    order = torch.randperm(len(inputs))
    assert_close(estimate(name, network, inputs[order], labels[order]), once, 1e-12)
    assert_close(estimate(name, network, inputs.repeat(3, 1), labels.repeat(3)), once, 1e-12)
    assert_close(estimate(name, network, inputs, labels, chunk=2), once, 1e-12)


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("name", ["fisher_exact", "mas", "total_signal"])
def test_the_number_of_samples_per_product_has_no_effect(name, samples, monkeypatch):
    network, inputs, labels = make(convolutional, 0, torch.float64)
    once = estimate(name, network, inputs, labels)
    # the first convolution: 36 weights, 4 outputs and 9 inputs at 49 positions
    monkeypatch.setattr(products, "PRODUCT_BYTES", 8 * samples * (36 + 4 * 49 + 9 * 49))
    assert_close(estimate(name, network, inputs, labels), once, 1e-12)


@pytest.mark.parametrize("seed", range(2))
def test_the_sampled_fisher_is_unbiased_for_the_exact_one(seed):
    network, inputs, labels = make(mlp, seed, torch.float64)
    exact = estimate("fisher_exact", network, inputs, labels)["4.weight"]
    generator = torch.Generator().manual_seed(seed)
    draws = torch.stack(
        [estimate("fisher_sampled", network, inputs, labels, generator=generator)["4.weight"] for _ in range(200)]
    )
    error = (draws.mean(0) - exact) / (draws.std(0) / len(draws) ** 0.5)
    assert error.abs().max() < 4.5


TOGETHER = [*MOMENTS, "magnitude"]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
def test_estimators_together_equal_each_alone(build, dtype):
    network, inputs, labels = make(build, 0, dtype)
    generator = torch.Generator().manual_seed(5)
    together = estimate_all(TOGETHER[::-1], network, inputs, labels, generator=generator)
    assert list(together) == TOGETHER[::-1]
    for name, values in together.items():
        alone = torch.Generator().manual_seed(5)
        assert_close(values, estimate(name, network, inputs, labels, generator=alone), TOLERANCE[dtype])
        if name == "fisher_sampled":
            assert torch.equal(alone.get_state(), generator.get_state())


@pytest.mark.parametrize("build", [mlp, convolutional], ids=lambda build: build.__name__)
def test_shared_backward_passes_are_computed_once(build, monkeypatch):
    """Exact and absolute Fisher have the same cotangents: one backward pass per class for both."""
    network, inputs, labels = make(build, 0, torch.float32)
    passes = []
    backward = torch.autograd.grad

    def counted(*args, **kwargs):
        passes.append(args)
        return backward(*args, **kwargs)

    def count(names):
        passes.clear()
        monkeypatch.setattr(torch.autograd, "grad", counted)
        estimate_all(names, network, inputs, labels)
        monkeypatch.setattr(torch.autograd, "grad", backward)
        return len(passes)

    exact = count(["fisher_exact"])
    assert count(["fisher_exact", "absolute_fisher", "magnitude"]) == exact
    assert count(["fisher_exact", "mas", "absolute_fisher"]) == exact + 1
    assert count(["fisher_exact", "root_fisher"]) == exact
    assert exact > CLASSES


def test_no_estimators_give_an_empty_result():
    assert estimate_all([], *make(mlp, 0, torch.float32)) == {}


def test_modes_state_and_hooks_of_the_network_are_unchanged():
    network, inputs, labels = make(next(b for b in NETWORKS if b.__name__ == "normalised"), 0, torch.float32)
    network.train()
    network[2].eval()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    estimate("fisher_empirical", network, inputs, labels)
    assert [module.training for module in network] == [True, True, False, True, True]
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_frozen_parameters_have_importances():
    network, inputs, labels = make(mlp, 0, torch.float64)
    network.requires_grad_(False)
    assert_close(
        estimate("mas", network, inputs, labels), naive("mas", network.requires_grad_(), inputs, labels), 1e-10
    )


def test_weights_of_inputs_that_are_always_zero_have_no_importance():
    network, inputs, labels = make(mlp, 0, torch.float32)
    assert (estimate("fisher_exact", network, inputs, labels)["0.weight"][:, 2] == 0).all()


class EarlyExit(nn.Module):
    """A network that calls its first layer for small batches only."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        return self.head(self.layer(x) if len(x) <= 8 else x)


def batch_statistics() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, track_running_stats=False), nn.Linear(5, CLASSES))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n, x, y: estimate("fisher_emprical", n, x, y), "Did you mean 'fisher_empirical'"),
        (lambda n, x, y: estimate("si", n, x, y), "path estimator"),
        (lambda n, x, y: estimate("mas", n, x[:0], y[:0]), "at least one sample"),
        (lambda n, x, y: estimate("total_signal", n, x[:0], y[:0]), "at least one sample"),
        (lambda n, x, y: estimate("fisher_sampled", n, x, y), "generator"),
        (lambda n, x, y: estimate("mas", batch_statistics(), x, y), "'1' is a BatchNorm1d without running statistics"),
        (
            lambda n, x, y: estimate("mas", EarlyExit(), x.repeat(2, 1), y.repeat(2)),
            "depends on how many others are passed with it",
        ),
    ],
)
def test_errors_suggest_a_remedy(call, message):
    network, inputs, labels = make(mlp, 0, torch.float32)
    with pytest.raises(UserError, match=message):
        call(network, inputs, labels)


@pytest.mark.filterwarnings("ignore::weight_importance.estimators.engine.probe.SlowWarning")
def test_wrong_vectorised_gradients_are_replaced_by_single_samples(monkeypatch):
    right = probe.per_sample

    def wrong(forward, names, samples, cotangents):
        result = right(forward, names, samples, cotangents)
        return result | {"weight": result["weight"] * (2 if len(samples) > PROBE else 1)}

    class Scaled(nn.Linear):  # a type without a closed form
        pass

    monkeypatch.setattr(probe, "per_sample", wrong)
    network, inputs = Scaled(6, CLASSES).double(), torch.randn(20, 6).double()
    labels = torch.arange(20) % CLASSES
    expected = naive("fisher_empirical", network, inputs, labels)
    assert_close(estimate("fisher_empirical", network, inputs, labels), expected, 1e-9)
