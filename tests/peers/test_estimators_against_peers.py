"""Estimators against other libraries in float64: BackPACK, NNGeometry, ASDL, and torch's Adam.

Needs the environment of the benchmark: ``make test-peers``. None of these libraries has the path estimators (except
SOS), total signal, Wanda or magnitude: these are compared with loops only (``tests/unit/test_state_and_path.py``).
"""

import copy

import pytest
import torch
from backpack import backpack, extend
from backpack.extensions import BatchGrad, DiagHessian
from torch import nn
from torch.nn.functional import cross_entropy, unfold

from networks_under_test import CLASSES, mlp, shaken
from reference import BATCHES, FINISHES, POWERS, assert_close, scalars
from speed.peers import PEERS
from weight_importance import estimate
from weight_importance.estimators.registry import recorder
from weight_importance.learning.networks import CNN, MLP

TOLERANCE = 1e-10
"""Of the largest value of each parameter tensor."""


@pytest.fixture(autouse=True)
def _double():
    """Some libraries allocate in the default precision instead of the network's."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def smooth() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 7), nn.Sigmoid(), nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, CLASSES))


def convolutional() -> nn.Sequential:
    """The paper's layers, small: convolution, batch normalisation with running statistics, pooling, linear."""
    return shaken(
        nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.LeakyReLU(0.01), nn.MaxPool2d(2),
            nn.Conv2d(3, 4, 2, stride=2), nn.LeakyReLU(0.01), nn.Flatten(), nn.Linear(16, CLASSES),
        )
    )  # fmt: skip


SHAPES = {
    mlp: (6,),
    smooth: (6,),
    convolutional: (1, 8, 8),
    MLP: (1, 28, 28),
    CNN: (1, 28, 28),
}


def made(build, samples, seed=0):
    """A network in evaluation mode with ``(inputs (N, ...), labels (N,))``."""
    torch.manual_seed(seed)
    network = build().eval()
    classes = 10 if build in (MLP, CNN) else CLASSES
    return network, torch.randn(samples, *SHAPES[build]), torch.randint(classes, (samples,))


def sampled_labels(network, inputs, seed):
    """The labels that ``fisher_sampled`` draws."""
    with torch.no_grad():
        p = network(inputs).softmax(1)
    return torch.multinomial(p, 1, generator=torch.Generator().manual_seed(seed))[:, 0]


def named(network, values):
    return dict(zip(dict(network.named_parameters()), values, strict=True))


def by_peer(who, estimator, network, inputs, labels, batch=3):
    """An importance by another library as in the benchmark, a few samples at a time."""
    way = next(way for way in PEERS if way.who == who)
    return way.prepare(estimator, copy.deepcopy(network), batch)(inputs, labels)


def relative_errors(observed, expected):
    return {name: ((observed[name] - value).abs().max() / value.abs().max()).item() for name, value in expected.items()}


OWN_WAYS = [
    pytest.param(way.who, name, build, id=f"{way.who}-{name}-{build.__name__}")
    for way in PEERS
    for name in way.estimators
    for build in (mlp, convolutional, MLP, CNN)
    if (way.who, build) != ("ASDL", CNN)  # ASDL is wrong there, see below
]


@pytest.mark.parametrize(("who", "estimator", "build"), OWN_WAYS)
def test_estimates_equal_the_library_s(who, estimator, build):
    network, inputs, labels = made(build, 5)
    expected = by_peer(who, estimator, network, inputs, labels)
    assert_close(estimate(estimator, network, inputs, labels), expected, TOLERANCE)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("build", [mlp, smooth, convolutional], ids=lambda build: build.__name__)
@pytest.mark.parametrize("name", sorted(POWERS))
def test_moments_equal_those_of_backpack_s_per_sample_gradients(name, build, seed):
    """Applies the definition of the estimator to BackPACK's per-sample gradients of every scalar."""
    network, inputs, labels = made(build, 130, seed)
    drawn = sampled_labels(network, inputs, seed) if name == "fisher_sampled" else labels
    model = extend(copy.deepcopy(network))
    size = BATCHES.get(name, 1) or len(inputs)
    totals = [0.0 for _ in model.parameters()]
    for number in range(len(scalars(name, torch.zeros(CLASSES), labels[0], drawn[0]))):
        logits = model(inputs)
        terms = [scalars(name, logits[n], labels[n], drawn[n])[number] for n in range(len(inputs))]
        weights = torch.tensor([weight for _, weight in terms])
        with backpack(BatchGrad()):
            sum(scalar for scalar, _ in terms).backward()
        for index, parameter in enumerate(model.parameters()):
            means = torch.stack([batch.mean(0) for batch in parameter.grad_batch.split(size)])
            # only estimators of single samples have several scalars, and weights
            powered = means.abs() ** POWERS[name]
            totals[index] += torch.tensordot(weights, powered, 1) if size == 1 else powered.sum(0)
    finish = FINISHES.get(name, lambda value, theta: value)
    batches = -(-len(inputs) // size)
    values = [finish(total / batches, theta.detach()) for total, theta in zip(totals, model.parameters(), strict=True)]
    actual = estimate(name, network, inputs, labels, generator=torch.Generator().manual_seed(seed))
    assert_close(actual, named(network, values), TOLERANCE)


@pytest.mark.parametrize("build", [mlp, smooth, convolutional], ids=lambda build: build.__name__)
def test_gauss_newton_and_root_fisher_equal_backpack_s_gauss_newton(build):
    network, inputs, labels = made(build, 20)
    expected = by_peer("BackPACK", "fisher_exact", network, inputs, labels, 7)
    assert_close(estimate("ggn", network, inputs, labels), expected, TOLERANCE)
    roots = {name: value.sqrt() for name, value in expected.items()}
    assert_close(estimate("root_fisher", network, inputs, labels), roots, TOLERANCE)


@pytest.mark.parametrize("who", ["BackPACK", "NNGeometry", "ASDL"])
@pytest.mark.parametrize("build", [mlp, convolutional], ids=lambda build: build.__name__)
def test_the_sampled_fisher_is_the_library_s_empirical_one_at_the_drawn_labels(build, who):
    network, inputs, labels = made(build, 20)
    drawn = sampled_labels(network, inputs, 3)
    actual = estimate("fisher_sampled", network, inputs, labels, generator=torch.Generator().manual_seed(3))
    assert_close(actual, by_peer(who, "fisher_empirical", network, inputs, drawn), TOLERANCE)
    assert (drawn != labels).any()


@pytest.mark.parametrize("build", [mlp, convolutional], ids=lambda build: build.__name__)
def test_the_batched_fisher_is_the_squared_gradient_of_a_loader_s_batches(build):
    """The formula of continual-learning libraries: mean of the squared gradients of batches' mean losses."""
    network, inputs, labels = made(build, 250)
    totals = [torch.zeros_like(parameter) for parameter in network.parameters()]
    batches = [*zip(inputs.split(100), labels.split(100), strict=True)]
    for samples, truth in batches:
        network.zero_grad()
        cross_entropy(network(samples), truth).backward()
        for total, parameter in zip(totals, network.parameters(), strict=True):
            total += parameter.grad.square() / len(batches)
    assert_close(estimate("fisher_batched", network, inputs, labels), named(network, totals), TOLERANCE)


def hessian_by_backpack(network, inputs, labels):
    model, loss = extend(copy.deepcopy(network)), extend(nn.CrossEntropyLoss())
    with backpack(DiagHessian()):
        loss(model(inputs), labels).backward()
    return named(network, [parameter.diag_h for parameter in model.parameters()])


@pytest.mark.parametrize("build", [mlp, convolutional], ids=lambda build: build.__name__)
def test_hessian_diagonal_and_gauss_newton_of_a_piecewise_linear_network_equal_backpack_s_hessian(build):
    network, inputs, labels = made(build, 12)
    if build is convolutional:  # BackPACK's Hessian has no batch normalisation
        del network[1]
    exact = hessian_by_backpack(network, inputs, labels)
    assert_close(estimate("ggn", network, inputs, labels), exact, TOLERANCE)
    draw = torch.Generator().manual_seed(0)
    assert_close(estimate("hessian_diagonal", network, inputs, labels, generator=draw), exact, TOLERANCE)


def test_sos_is_the_denominator_of_torch_s_adam():
    network, inputs, labels = made(mlp, 60)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    watcher = recorder("sos")
    for samples, truth in zip(inputs.split(10), labels.split(10), strict=True):
        before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        optimiser.zero_grad()
        cross_entropy(network(samples), truth).backward()
        optimiser.step()
        gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
        watcher.step(gradients, {name: value.detach() - before[name] for name, value in network.named_parameters()})
    kept = [(optimiser.state[each]["exp_avg_sq"] / (1 - 0.999**6)).sqrt() for each in network.parameters()]
    assert_close(watcher.importances()["sos"], named(network, kept), 1e-12)


@pytest.mark.parametrize("estimator", ["fisher_empirical", "fisher_exact"])
def test_asdl_is_wrong_in_two_convolutions_of_the_paper_s_network(estimator):
    """ASDL is correct in the other layers; the next test shows the cause."""
    network, inputs, labels = made(CNN, 5)
    peer = by_peer("ASDL", estimator, network, inputs, labels)
    errors = relative_errors(peer, estimate(estimator, network, inputs, labels))
    assert min(errors.pop(name) for name in ("conv2.weight", "conv3.weight")) > 0.1
    assert max(errors.values()) < TOLERANCE


def test_asdl_is_wrong_on_convolutions_of_few_positions():
    """ASDL squares the gradient of each position and sums, to save memory, instead of squaring the sum over positions.

    It does so if positions × (outputs + inputs × kernel) are fewer than weights (``Conv2d.cov_diag_weight``).
    """
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 16, 3), nn.Flatten(), nn.Linear(64, CLASSES))
    inputs, labels = torch.randn(6, 8, 4, 4), torch.randint(CLASSES, (6,))
    peer = by_peer("ASDL", "fisher_empirical", network, inputs, labels)
    observed = estimate("fisher_empirical", network, inputs, labels)
    assert_close(observed, by_peer("BackPACK", "fisher_empirical", network, inputs, labels), TOLERANCE)
    errors = relative_errors(peer, observed)
    assert errors.pop("0.weight") > 0.1
    assert max(errors.values()) < TOLERANCE
    output = network[0](inputs)
    (at_output,) = torch.autograd.grad(cross_entropy(network[1:](output), labels, reduction="sum"), output)
    squares = at_output.flatten(2).square() @ unfold(inputs, 3).square().transpose(1, 2)
    assert_close({"w": peer["0.weight"]}, {"w": squares.mean(0).view_as(network[0].weight)}, TOLERANCE)


def test_nngeometry_s_exact_fisher_is_wrong_where_the_network_is_confident():
    """NNGeometry divides by the probability of the remaining classes, computed as 1 − Σ p (``metrics.FIM``).

    If the first classes have probability one up to rounding, this is 0 / 0, and one such sample makes the mean NaN.
    """
    network, inputs, labels = made(mlp, 5)
    with torch.no_grad():
        network[4].bias[0] += 60
    expected = by_peer("BackPACK", "fisher_exact", network, inputs, labels)
    assert_close(estimate("fisher_exact", network, inputs, labels), expected, TOLERANCE)
    peer = by_peer("NNGeometry", "fisher_exact", network, inputs, labels)
    assert all(value.isnan().all() for value in peer.values())
