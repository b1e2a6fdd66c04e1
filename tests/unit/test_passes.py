"""Forward passes that all sums over samples share: every sample once, and one pass in memory at a time."""

import weakref
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn

from networks_under_test import convolutional, make, mlp
from reference import assert_close, naive
from weight_importance import ESTIMATORS, Accumulator, estimate, estimate_all
from weight_importance.estimators import loading
from weight_importance.estimators.engine import layers, passes
from weight_importance.estimators.engine.layers import PROBE
from weight_importance.estimators.engine.probe import SlowWarning
from weight_importance.runtime.errors import UserError

OF_EVERY_KIND = ["mas", "fisher_batched", "snip", "hessian_diagonal", "total_signal", "wanda"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def counting(network):
    """Return a list to which every forward pass of the network appends its number of samples."""
    sizes = []
    network.register_forward_hook(lambda module, given, output: sizes.append(len(given[0])))
    return sizes


class Positions(nn.Module):
    """Linear layers applied to three positions with two inputs each, whose logits are averaged."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, 5), nn.Linear(5, 4)

    def forward(self, x):
        return self.last(self.first(x.view(-1, 3, 2)).tanh()).mean(1)


class Halving(nn.Module):
    """Calls its first layer once for at most 50 samples, and once per half for more."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x):
        parts = x.split(len(x) // 2 + 1 if len(x) > 50 else len(x))
        return self.last(torch.cat([self.first(part) for part in parts]).relu())


@pytest.mark.parametrize("build", [mlp, Positions], ids=lambda build: build.__name__)
def test_every_sample_is_passed_once_for_all_estimators(build):
    network, inputs, labels = make(build, 0, torch.float32)
    inputs, labels = inputs.repeat(40, 1)[:250], labels.repeat(40)[:250]
    names = OF_EVERY_KIND if build is mlp else ["mas", "fisher_batched", "snip"]
    sizes = counting(network)
    estimate_all(names, network, inputs, labels, generator=seeded())
    assert sizes.count(250) == 1
    others = [size for size in sizes if size != 250]
    assert max(others) <= 2 * PROBE, "the rest are passes of the probe"


@pytest.mark.parametrize("build", [mlp, convolutional], ids=lambda build: build.__name__)
@pytest.mark.parametrize("chunk", [None, 7])
def test_estimators_of_every_kind_together_equal_each_alone(build, chunk):
    network, inputs, labels = make(build, 0, torch.float64)
    together = estimate_all(OF_EVERY_KIND, network, inputs, labels, generator=seeded(), chunk=chunk)
    for name in OF_EVERY_KIND:
        alone = estimate(name, network, inputs, labels, generator=seeded(), chunk=chunk)
        assert_close(together[name], alone, 1e-10)


def test_averages_within_batches_of_positions_equal_the_naive_loop():
    network, inputs, labels = make(Positions, 0, torch.float64)
    inputs, labels = inputs.repeat(40, 1)[:250] * torch.linspace(1, 2, 250)[:, None], labels.repeat(40)[:250]
    expected = naive("fisher_batched", network, inputs, labels)
    for chunk in (None, 30):
        assert_close(estimate("fisher_batched", network, inputs, labels, chunk=chunk), expected, 1e-10)


@pytest.mark.parametrize("chunk", [40, 60])
def test_layers_may_be_called_differently_than_on_the_probe(chunk):
    network, inputs, labels = make(Halving, 0, torch.float64)
    inputs, labels = inputs.repeat(40, 1)[:250] * torch.linspace(1, 2, 250)[:, None], labels.repeat(40)[:250]
    with pytest.warns(SlowWarning, match="called differently") if chunk == 60 else nullcontext():
        together = estimate_all(["fisher_batched", "mas"], network, inputs, labels, chunk=chunk)
    for name in together:
        assert_close(together[name], naive(name, network, inputs, labels), 1e-10)


def test_a_network_without_parameters_has_empty_importances():
    assert estimate_all(["fisher_batched", "mas"], nn.Flatten(), torch.rand(8, 4), torch.zeros(8).long()) == {
        "fisher_batched": {}, "mas": {}
    }  # fmt: skip


@pytest.mark.parametrize("name", OF_EVERY_KIND)
def test_a_pass_is_released_before_the_next_one(name, monkeypatch):
    network, inputs, labels = make(mlp, 0, torch.float32)
    watch, earlier = passes.watch, []

    def watched(*arguments):
        assert all(logits() is None for logits in earlier)
        done = watch(*arguments)
        earlier.append(weakref.ref(done.logits))
        return done

    monkeypatch.setattr(passes, "watch", watched)
    estimate(name, network, inputs, labels, generator=seeded(), chunk=2)
    assert len(earlier) > 2


@pytest.mark.parametrize("name", ["fisher_batched", "mas", "hessian_diagonal"])
def test_passes_are_small_enough_for_the_cotangents_of_many_classes(name, monkeypatch):
    limit, classes = 2**20, 200
    monkeypatch.setattr(layers, "PASS_BYTES", limit)
    network = nn.Linear(4, classes)
    sizes = counting(network)
    estimate(name, network, torch.rand(400, 4), torch.arange(400) % classes, generator=seeded())
    assert 3 * max(sizes) * classes * 8 < limit, "cotangents in float64, and two more tensors to compute them"


def test_passes_hold_cotangents_of_one_class_if_classes_come_in_blocks():
    network = nn.Linear(4, 1000)
    sizes = counting(network)
    estimate("fisher_exact", network, torch.rand(100, 4), torch.arange(100))
    assert max(sizes) == 100


@pytest.mark.parametrize("size", [1, 4])
def test_formulas_may_differentiate(size, monkeypatch):
    """The softmax is the gradient of log Σ exp z."""

    def by_autograd(logits, labels, generator):
        leaf = logits.detach().requires_grad_()
        (softmax,) = torch.autograd.grad(leaf.logsumexp(1).sum(), leaf)
        return softmax[None], torch.ones_like(softmax[None, :, 0])

    def in_closed_form(logits, labels, generator):
        return logits.softmax(1)[None], torch.ones_like(logits[None, :, 0])

    network, inputs, labels = make(mlp, 0, torch.float64)
    results = []
    for cotangents in (by_autograd, in_closed_form):
        estimator = replace(ESTIMATORS["mas"], cotangents=cotangents, batch=size)
        monkeypatch.setattr(loading, "load", lambda name, estimator=estimator: estimator)
        results.append(estimate("mas", network, inputs, labels))
    assert_close(results[0], results[1], 1e-12)


@pytest.mark.parametrize("name", ["hessian_diagonal", "obd"])
def test_no_second_pass_through_a_piecewise_linear_network(name):
    for build, second in ((mlp, 0), (_smooth, 1)):
        network, inputs, labels = make(build, 0, torch.float32)
        sizes = counting(network)
        estimate(name, network, inputs, labels, generator=seeded())
        assert sizes.count(len(inputs)) == 1 + second


def _smooth():
    """Smooth, then piecewise linear: the logits have curvature only with respect to the first layer's weights."""
    return nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, 4))


def test_only_layers_before_a_smooth_function_have_curvature_of_the_logits():
    network, inputs, labels = make(_smooth, 0, torch.float64)
    result = estimate_all(["hessian_diagonal", "fisher_exact"], network, inputs, labels, generator=seeded())
    differences = {
        name: (value - result["fisher_exact"][name]).abs().max() for name, value in result["hessian_diagonal"].items()
    }
    assert differences["0.weight"] > 1e-3 > 1e-12 > max(differences[f"{layer}.weight"] for layer in (2, 4))


def test_a_state_of_another_version_is_refused():
    network, inputs, labels = make(mlp, 0, torch.float32)
    accumulator = Accumulator(["mas"], network)
    accumulator.update(inputs, labels)
    with pytest.raises(UserError, match="another version of this package"):
        accumulator.load_state_dict(accumulator.state_dict() | {"format": 1})
