"""State estimators and path recorders against element-by-element loops."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from networks_under_test import (
    Attention,
    BareParameter,
    CalledTwice,
    ConvolutionCalledTwice,
    Tied,
    UsedOutside,
    layer_norm_of_sequences,
    make,
    mlp,
    mlp_without_bias,
    parametrised,
    shaken,
    single_layer,
)
from reference import assert_close
from weight_importance import ESTIMATORS, estimate
from weight_importance.estimators.path import PathRecorder, _on_unit_interval, importance
from weight_importance.estimators.registry import recorder
from weight_importance.learning.networks import MLP
from weight_importance.runtime.errors import UserError


def loop_total_signal(layers, inputs, slope):
    """The definition of Kutalev (2020): a sum over samples, neurons and connections."""
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


def small_convolutional() -> nn.Module:
    return shaken(
        nn.Sequential(
            nn.Conv2d(2, 4, (2, 3), stride=(1, 2), padding=(1, 0)),
            nn.BatchNorm2d(4),
            nn.LeakyReLU(0.01),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, (2, 1), groups=2),
            nn.LeakyReLU(0.01),
            nn.Flatten(),
            nn.Linear(24, 3),
        )
    )


def loop_convolution(image, weight, bias, stride, padding, groups, signal):
    """The convolution of one image by its definition; adds each |w · x| to ``signal``, of the weight's shape."""
    image = np.pad(image, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    units, inputs, height, width = weight.shape
    rows, columns = (image.shape[1] - height) // stride[0] + 1, (image.shape[2] - width) // stride[1] + 1
    out = np.zeros((units, rows, columns))
    for o, r, c in np.ndindex(out.shape):
        out[o, r, c] = bias[o]
        for i, u, v in np.ndindex(inputs, height, width):
            x = image[o // (units // groups) * inputs + i, r * stride[0] + u, c * stride[1] + v]
            out[o, r, c] += weight[o, i, u, v] * x
            signal[o, i, u, v] += abs(weight[o, i, u, v]) * abs(x)
    return out


def loop_total_signal_of_a_convolutional_network(network, images):
    """The definition for :func:`small_convolutional`: a sum over samples, positions and connections."""
    p = {name: tensor.detach().double().numpy() for name, tensor in network.state_dict().items()}
    totals = {name: np.zeros(tensor.shape) for name, tensor in network.named_parameters()}
    for image in images:
        x = loop_convolution(image, p["0.weight"], p["0.bias"], (1, 2), (1, 0), 1, totals["0.weight"])
        for c, row, column in np.ndindex(x.shape):
            totals["0.bias"][c] += abs(x[c, row, column])
            x[c, row, column] = (x[c, row, column] - p["1.running_mean"][c]) / (p["1.running_var"][c] + 1e-5) ** 0.5
            totals["1.weight"][c] += abs(p["1.weight"][c]) * abs(x[c, row, column])
            x[c, row, column] = x[c, row, column] * p["1.weight"][c] + p["1.bias"][c]
        x = np.where(x > 0, x, 0.01 * x)
        pooled = np.zeros((4, x.shape[1] // 2, x.shape[2] // 2))
        for c, row, column in np.ndindex(pooled.shape):
            pooled[c, row, column] = x[c, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].max()
            totals["1.bias"][c] += abs(pooled[c, row, column])
        x = loop_convolution(pooled, p["4.weight"], p["4.bias"], (1, 1), (0, 0), 2, totals["4.weight"])
        x = np.where(x > 0, x, 0.01 * x)
        for c, row, column in np.ndindex(x.shape):
            totals["4.bias"][c] += abs(x[c, row, column])
        flat = x.ravel()
        for i, j in np.ndindex(3, len(flat)):
            totals["7.weight"][i, j] += abs(p["7.weight"][i, j]) * abs(flat[j])
        z = np.exp(p["7.weight"] @ flat + p["7.bias"])
        totals["7.bias"] += z / z.sum()
    return {name: torch.tensor(total / len(images)) for name, total in totals.items()}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("seed", range(4))
def test_total_signal_of_a_convolutional_network(seed, dtype, tolerance):
    torch.manual_seed(seed)
    network, images = small_convolutional().to(dtype), torch.randn(5, 2, 5, 9).to(dtype)
    expected = loop_total_signal_of_a_convolutional_network(network, images.double().numpy())
    assert_close(estimate("total_signal", network, images, torch.zeros(5).long()), expected, tolerance)


@pytest.mark.parametrize("seed", range(4))
def test_total_signal_of_sequences_sums_over_the_steps(seed):
    network, inputs, labels = make(layer_norm_of_sequences, seed, torch.float64)
    with torch.no_grad():
        outputs = [inputs]
        for module in network.eval():
            outputs.append(module(outputs[-1]))
        step = outputs[2] - outputs[2].mean(3, keepdim=True)
        step /= (step.square().mean(3, keepdim=True) + 1e-5).sqrt()
        whole = outputs[4] - outputs[4].mean((2, 3), keepdim=True)
        whole /= (whole.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
        expected = {
            "1.weight": network[1].weight.abs() * outputs[1].abs().sum((1, 2)).mean(0),
            "1.bias": outputs[2].abs().sum((1, 2)).mean(0),
            "2.weight": network[2].weight.abs() * step.abs().sum((1, 2)).mean(0),
            "4.weight": network[4].weight.abs() * whole.abs().sum(1).mean(0),
            "4.bias": outputs[5].abs().sum(1).mean(0),
            "6.weight": network[6].weight.abs() * outputs[6].abs().mean(0),
            "6.bias": outputs[7].softmax(1).mean(0),
        }
    assert_close(estimate("total_signal", network, inputs, labels), expected, 1e-10)


def test_a_unit_without_a_receiving_layer_has_the_layer_s_output():
    """The key follows the query, but receives the sequence."""
    network, inputs, labels = make(Attention, 0, torch.float64)
    importance = estimate("total_signal", network, inputs, labels)
    with torch.no_grad():
        own = network.query(network.lift(inputs)).abs().sum(1).mean(0)
    assert_close({"bias": importance["query.bias"]}, {"bias": own}, 1e-10)


def test_positions_are_not_mistaken_for_units():
    """Four channels at four positions become four positions of four channels."""
    torch.manual_seed(0)

    class Transposed(nn.Module):
        def forward(self, x):
            return x.flatten(2).transpose(1, 2)

    network = nn.Sequential(nn.Conv2d(1, 4, 2), nn.Tanh(), Transposed(), nn.Linear(4, 2), nn.Flatten()).double()
    images = torch.randn(5, 1, 3, 3).double()
    importance = estimate("total_signal", network, images, torch.zeros(5).long())
    own = network[0](images).detach().abs().sum((2, 3)).mean(0)
    assert_close({"bias": importance["0.bias"]}, {"bias": own}, 1e-10)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(3, 4, batch_first=True)
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        return self.head(self.memory(x.view(-1, 2, 3))[0][:, -1])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Recurrent, "'memory.weight_ih_l0' .module type LSTM"),
        (BareParameter, "'scale' .module type BareParameter"),
        (CalledTwice, "exactly once.* 'square.weight'"),
        (ConvolutionCalledTwice, "exactly once.* 'layer.weight'"),
        (Tied, "shares no parameter.* 'first.weight'"),
        (UsedOutside, "'layer.weight'"),
        (parametrised, "module type ParametrizedLinear"),
    ],
)
def test_total_signal_refuses_undefined_parameters(build, message):
    network, inputs, labels = make(build, 0, torch.float32)
    with pytest.raises(UserError, match=message):
        estimate("total_signal", network, inputs, labels)


def test_l2_is_one_everywhere():
    network = MLP()
    importance = estimate("l2", network, torch.rand(2, 1, 28, 28), torch.tensor([0, 1]))
    for name, parameter in network.named_parameters():
        assert torch.equal(importance[name], torch.ones_like(parameter))


def test_magnitude():
    network = MLP()
    importance = estimate("magnitude", network, torch.rand(2, 1, 28, 28), torch.tensor([0, 1]))
    assert all(torch.equal(importance[name], tensor.abs()) for name, tensor in network.named_parameters())


@pytest.mark.parametrize("seed", range(3))
def test_every_path_estimator_equals_an_element_by_element_loop(seed):
    """With three different gradients; RWalk's third interval stays incomplete."""
    rng = np.random.default_rng(seed)
    plain, penalty, other, moves = rng.normal(size=(4, 23, 4, 3))
    names = [name for name in ESTIMATORS if ESTIMATORS[name].kind == "path"]
    expected = {name: np.zeros((4, 3)) for name in names}
    fishers, scores = np.zeros((2, 4, 3))  # of RWalk, of four networks with three parameters
    for i in range(4):
        for j in range(3):
            g, h, d = plain[:, i, j], other[:, i, j], moves[:, i, j]
            seen = g + penalty[:, i, j]
            below = d.sum() ** 2 + 0.1
            fisher = [g[0] ** 2]
            for value in g[1:]:
                fisher.append(0.9 * value**2 + 0.1 * fisher[-1])
            falls = [-(g[t : t + 10] * d[t : t + 10]).sum() for t in (0, 10)]
            distances = [fisher[t] * d[t : t + 10].sum() ** 2 / 2 for t in (0, 10)]
            formulas = {
                "si": -(g * d).sum() / below,
                "si_penalised": -(seen * d).sum() / below,
                "si_undivided": -(g * d).sum(),
                "si_unbiased": -(h * d).sum() / below,
                "si_bias": -((g - h) * d).sum() / below,
                "onaf": abs(g).mean(),
                "squisher": sum(0.001 * 0.999 ** (22 - t) * g[t] ** 2 for t in range(23)) / (1 - 0.999**23),
            }
            formulas["sos"] = math.sqrt(formulas["squisher"])
            for name, value in formulas.items():
                expected[name][i, j] = value
            fishers[i, j] = fisher[-1]
            scores[i, j] = sum(max(0, fall / (way + 1e-3)) for fall, way in zip(falls, distances, strict=True))
    for part in (fishers, scores):
        low, high = part.min(1, keepdims=True), part.max(1, keepdims=True)
        expected["rwalk"] += (part - low) / (high - low)
    watchers = [recorder(*names), *map(recorder, names)]
    for watcher in watchers:
        for g, p, h, d in zip(plain, penalty, other, moves, strict=True):
            given = {key: {"w": torch.tensor(value)} for key, value in {"penalised": g + p, "independent": h}.items()}
            watcher.step({"w": torch.tensor(g)}, {"w": torch.tensor(d)}, **given)
        for name, result in watcher.importances().items():
            assert_close(result, {"w": torch.tensor(expected[name])}, 1e-10)
    assert [*watchers[0].importances()] == names


def test_rwalk_maps_the_values_of_all_tensors_of_a_network_onto_one_unit_interval():
    values = {"a": torch.tensor([[1.0, 3.0], [8.0, 8.0]]), "b": torch.tensor([[[2.0], [5.0]], [[8.0], [8.0]]])}
    expected = {"a": [[0.0, 0.5], [0.0, 0.0]], "b": [[[0.25], [1.0]], [[0.0], [0.0]]]}
    assert {name: value.tolist() for name, value in _on_unit_interval(values).items()} == expected


def test_the_published_protocol_changes_only_si_to_the_bits_of_si_penalised():
    """In single precision, with plain and penalised gradients as in training."""
    torch.manual_seed(0)
    plain, penalty, independent, moves = torch.randn(4, 11, 4, 3)

    def formed(name, published=False):
        watcher = recorder("si", name, published=published)  # other estimators are not replaced
        for g, p, h, d in zip(plain, penalty, independent, moves, strict=True):
            watcher.step({"w": g}, {"w": d}, penalised={"w": g + p}, independent={"w": h})
        return watcher.importances()[name]["w"]

    penalised, below = torch.zeros(4, 3), torch.zeros(4, 3)
    for g, p, d in zip(plain, penalty, moves, strict=True):
        penalised.addcmul_(g + p, d, value=-1)
        below += d
    assert torch.equal(formed("si", published=True), penalised / (below.square() + 0.1))
    assert not torch.equal(formed("si", published=True), formed("si"))
    assert torch.equal(formed("si_penalised"), formed("si", published=True)), "always penalised"
    for name in (name for name in ESTIMATORS if ESTIMATORS[name].kind == "path" and name != "si"):
        assert torch.equal(formed(name, published=True), formed(name)), name


def test_a_missing_record_is_named():
    with pytest.raises(UserError, match=r"unknown record 'path_integrl'\. Did you mean 'path_integral'"):
        PathRecorder(["path_integrl"])
    watcher = PathRecorder(["absolute_gradient"])
    watcher.step({"w": torch.ones(2)}, {"w": torch.ones(2)})
    with pytest.raises(UserError, match="'SI' needs the record path_integral, which training did not record"):
        importance(ESTIMATORS["si"], watcher.recorded())


def loop_wanda(weights, factors):
    """|w_ij| times the norm of what it multiplies, over samples and positions ``(N, in, positions)``, by loops."""
    values = np.zeros_like(weights)
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            values[i, j] = abs(weights[i, j]) * math.sqrt(sum((x[j] ** 2).sum() for x in factors) / len(factors))
    return torch.tensor(values)


def test_wanda_equals_a_loop():
    network, inputs, labels = make(mlp, 0, torch.float64)
    result = estimate("wanda", network, inputs, labels)
    with torch.no_grad():
        received = {layer: network[:layer](inputs)[..., None].numpy() for layer in (0, 2, 4)}
    for layer, x in received.items():
        expected = loop_wanda(network[layer].weight.detach().numpy(), x)
        assert_close({"w": result[f"{layer}.weight"]}, {"w": expected}, 1e-12)
        assert_close({"b": result[f"{layer}.bias"]}, {"b": network[layer].bias.detach().abs()}, 1e-12)


def test_wanda_of_a_convolution_takes_the_patches():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 2, padding=1), nn.Flatten(), nn.Linear(3 * 16, 2)).double()
    images = torch.randn(5, 2, 3, 3).double()
    result = estimate("wanda", network, images, torch.zeros(5).long())
    patches = torch.nn.functional.unfold(images, 2, padding=1).numpy()
    expected = loop_wanda(network[0].weight.detach().flatten(1).numpy(), patches).view(3, 2, 2, 2)
    assert_close({"w": result["0.weight"]}, {"w": expected}, 1e-12)
    # a bias multiplies ones at each of sixteen positions
    assert_close({"b": result["0.bias"]}, {"b": network[0].bias.detach().abs() * 4}, 1e-12)


def test_a_moment_estimator_has_no_recorder():
    with pytest.raises(UserError, match="use estimate"):
        recorder("mas")
