"""State estimators and path recorders against element-by-element loops."""

import numpy as np
import pytest
import torch

from networks_under_test import CalledTwice, convolution, make, mlp, mlp_without_bias, single_layer
from reference import assert_close
from weight_importance import estimate
from weight_importance.errors import UserError
from weight_importance.estimators.registry import recorder
from weight_importance.networks import MLP


def loop_total_signal(layers, inputs, slope):
    """Kutalev (2020) literally: a sum over samples, neurons and connections."""
    totals = [(np.zeros_like(weight), np.zeros(len(weight))) for weight, _ in layers]
    for x in inputs:
        signal = x
        for depth, (weight, bias) in enumerate(layers):
            out = weight @ signal + bias
            last = depth == len(layers) - 1
            out = (
                np.exp(out - out.max()) / np.exp(out - out.max()).sum() if last else np.where(out > 0, out, slope * out)
            )
            for i in range(weight.shape[0]):
                for j in range(weight.shape[1]):
                    totals[depth][0][i, j] += abs(weight[i, j]) * abs(signal[j])
                totals[depth][1][i] += abs(out[i])
            signal = out
    return [(weight / len(inputs), bias / len(inputs)) for weight, bias in totals]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("seed", range(4))
def test_total_signal(seed, dtype, tolerance):
    network, inputs, labels = make(mlp, seed, dtype)
    layers = [
        (network[i].weight.detach().double().numpy(), network[i].bias.detach().double().numpy()) for i in (0, 2, 4)
    ]
    expected = {}
    for i, (weight, bias) in zip((0, 2, 4), loop_total_signal(layers, inputs.double().numpy(), 0.01), strict=True):
        expected |= {f"{i}.weight": torch.tensor(weight), f"{i}.bias": torch.tensor(bias)}
    assert_close(estimate("total_signal", network, inputs, labels), expected, tolerance)


@pytest.mark.parametrize("build", [single_layer, mlp_without_bias])
def test_total_signal_of_one_layer_and_without_bias(build):
    network, inputs, labels = make(build, 0, torch.float64)
    importance = estimate("total_signal", network, inputs, labels)
    assert importance.keys() == dict(network.named_parameters()).keys()
    first = next(iter(network.parameters())).detach()
    assert_close({"w": next(iter(importance.values()))}, {"w": first.abs() * inputs.abs().mean(0)}, 1e-12)


@pytest.mark.parametrize(("build", "message"), [(convolution, "Conv2d"), (CalledTwice, "exactly once")])
def test_total_signal_refuses_what_it_does_not_define(build, message):
    network, inputs, labels = make(build, 0, torch.float32)
    with pytest.raises(UserError, match=message):
        estimate("total_signal", network, inputs, labels)


def test_magnitude():
    network = MLP()
    importance = estimate("magnitude", network, torch.rand(2, 1, 28, 28), torch.tensor([0, 1]))
    assert all(torch.equal(importance[name], tensor.abs()) for name, tensor in network.named_parameters())


@pytest.mark.parametrize("seed", range(4))
def test_synaptic_intelligence_equals_an_element_by_element_loop(seed):
    rng = np.random.default_rng(seed)
    gradients, displacements = rng.normal(size=(2, 11, 6, 5))
    watcher = recorder("si")
    for g, d in zip(gradients, displacements, strict=True):
        watcher.step({"w": torch.tensor(g)}, {"w": torch.tensor(d)})
    expected = np.zeros((6, 5))
    for i in range(6):
        for j in range(5):
            omega = sum(-g[i, j] * d[i, j] for g, d in zip(gradients, displacements, strict=True))
            expected[i, j] = omega / (sum(d[i, j] for d in displacements) ** 2 + 0.1)
    assert (expected < 0).any()
    assert_close(watcher.importance(), {"w": torch.tensor(expected)}, 1e-12)


def test_a_moment_estimator_has_no_recorder():
    with pytest.raises(UserError, match="use estimate"):
        recorder("mas")
