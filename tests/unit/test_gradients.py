"""All ways to compute a stack's gradients agree with a backward pass; untraceable networks are refused."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, leaky_relu

from weight_importance.learning.engine.flat import VECTOR, Layout, pieces
from weight_importance.learning.engine.gradients import OneByOne, SideBySide, side_by_side, way_to_compute
from weight_importance.learning.engine.tracing import Untraceable, trace
from weight_importance.learning.networks import CNN, MLP
from weight_importance.learning.replicas import Replicas, initialise

REPLICAS, BATCH = 5, 6


class Tied(nn.Module):
    """A weight used twice, an unused parameter, and normalisation with running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(784, 12)
        self.norm = nn.BatchNorm1d(12)
        self.head = nn.Linear(12, 10)
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, images):
        hidden = leaky_relu(self.norm(self.inner(images.flatten(1))))
        return self.head(hidden) + 0.1 * self.head(hidden.square())


class Branching(nn.Module):
    """A network whose operations depend on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(784, 10)

    def forward(self, images):
        logits = self.head(images.flatten(1))
        return logits * 2 if logits.sum() > 0 else logits


class Counting(nn.Module):
    """A network whose output depends on the number of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(784, 10)
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        return self.head(images.flatten(1)) * self.calls


class Constant(nn.Module):
    """A network that creates a tensor in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(784, 10)

    def forward(self, images):
        return self.head(images.flatten(1)) * torch.tensor([1.0, 2.0]).repeat(5)


NETWORKS = [MLP, CNN, Tied]


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(REPLICAS, BATCH, 1, 28, 28, generator=generator), torch.randint(
        10, (REPLICAS, BATCH), generator=generator
    )


def stack(build) -> tuple[Replicas, Layout]:
    replicas = initialise(build, range(REPLICAS))
    replicas.template.train()
    layout = Layout({name: tensor.shape[1:] for name, tensor in replicas.parameters.items()})
    replicas.parameters = layout.views(layout.filled(replicas.parameters))
    return replicas, layout


def expected(build, replica: int, inputs, labels) -> tuple[dict, dict]:
    """Gradients and buffers of one network trained alone."""
    network = initialise(build, [replica]).network(0).train()
    cross_entropy(network(inputs), labels).backward()
    gradients = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in network.named_parameters()
    }
    return gradients, dict(network.named_buffers())


def check(build, replicas: Replicas, layout: Layout, gradients) -> None:
    inputs, labels = batch()
    seen = []
    for rows in gradients.groups:
        gradients_of = layout.views(gradients(rows, inputs[rows], labels[rows]))
        for place, replica in enumerate(range(rows.start, rows.stop)):
            seen.append(replica)
            wanted, buffers = expected(build, replica, inputs[replica], labels[replica])
            for name, gradient in wanted.items():
                torch.testing.assert_close(gradients_of[name][place], gradient, rtol=1e-4, atol=1e-6)
            for name, buffer in buffers.items():
                torch.testing.assert_close(replicas.buffers[name][replica], buffer)
    assert seen == list(range(REPLICAS))


@pytest.mark.parametrize("build", [*NETWORKS, Branching])
def test_replicas_one_by_one_have_the_gradients_of_single_networks(build):
    replicas, layout = stack(build)
    check(build, replicas, layout, OneByOne(replicas, layout))


@pytest.mark.parametrize("build", [*NETWORKS, Constant])
def test_a_traced_gradient_equals_automatic_differentiation(build):
    replicas, _ = stack(build)
    (inputs, labels), parameters = batch(1), replicas.state(0)[0]
    traced = trace(replicas.template, *replicas.state(0), *(part[1] for part in batch()))
    result = {name: torch.full_like(parameter, torch.nan) for name, parameter in parameters.items()}
    traced(*replicas.state(0), inputs[0], labels[0], result)
    wanted, buffers = expected(build, 0, inputs[0], labels[0])
    for name, gradient in wanted.items():
        torch.testing.assert_close(result[name], gradient, rtol=1e-4, atol=1e-6)
    for name, buffer in buffers.items():
        torch.testing.assert_close(replicas.buffers[name][0], buffer)


@pytest.mark.parametrize("build", [Branching, Counting])
def test_a_network_with_varying_operations_is_not_traced(build):
    replicas, _ = stack(build)
    with pytest.raises(Untraceable):
        trace(replicas.template, *replicas.state(0), *(part[0] for part in batch()))


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize("size", [1, 2, REPLICAS, 100])
def test_replicas_in_groups_have_the_gradients_of_single_networks(build, size):
    replicas, layout = stack(build)
    check(build, replicas, layout, SideBySide(replicas, layout, size))


@pytest.mark.parametrize("build", [CNN, Tied])
def test_measuring_memory_changes_no_statistics(build):
    replicas, layout = stack(build)
    before = {name: buffer.clone() for name, buffer in replicas.template.named_buffers()}
    assert side_by_side(replicas, layout, batch()[0][0]) >= 1
    assert replicas.template.training
    assert all(torch.equal(buffer, before[name]) for name, buffer in replicas.template.named_buffers())


def test_a_group_is_as_large_as_memory_allows_and_at_least_one(monkeypatch):
    replicas, layout = stack(MLP)
    inputs = batch()[0][0]
    most = side_by_side(replicas, layout, inputs)
    assert 500 < most < 2000  # 4 GiB of about 3.5 MB each
    monkeypatch.setattr("weight_importance.learning.engine.gradients.STACK_BYTES", 1)
    assert side_by_side(replicas, layout, inputs) == 1


@pytest.mark.parametrize("build", NETWORKS)
def test_on_a_cpu_replicas_run_one_by_one(build):
    replicas, layout = stack(build)
    assert isinstance(way_to_compute(replicas, layout, batch()[0][0]), OneByOne)


def test_a_layout_keeps_every_value_and_aligns_each_parameter():
    values = {"a": torch.randn(3, 7, 5), "b": torch.randn(3), "c": torch.randn(3, VECTOR)}
    layout = Layout({name: value.shape[1:] for name, value in values.items()})
    assert layout.size == 3 * VECTOR
    rows = layout.filled(values)
    assert rows.shape == (3, layout.size)
    for name, view in layout.views(rows).items():
        assert torch.equal(view, values[name])
        assert view.storage_offset() % VECTOR == 0
    assert (rows != 0).sum() == sum((value != 0).sum() for value in values.values())


@pytest.mark.parametrize(("length", "most"), [(64, 64), (640, 256), (6400, 32768), (282 * 64, 4096)])
def test_pieces_are_whole_vectors_within_the_limit(length, most):
    row = torch.arange(length)
    cut = pieces(row, most)
    assert torch.equal(torch.cat(cut), row)
    assert all(len(piece) % VECTOR == 0 and len(piece) <= most for piece in cut)
    assert len({len(piece) for piece in cut[:-1]}) <= 1


def test_label_smoothing_is_that_of_torch():
    replicas, layout = stack(MLP)
    inputs, labels = batch()
    network = initialise(MLP, [0]).network(0).train()
    cross_entropy(network(inputs[0]), labels[0], label_smoothing=0.3).backward()
    for way in (OneByOne(replicas, layout, 0.3), SideBySide(replicas, layout, 1, 0.3)):
        result = layout.views(way(slice(0, 1), inputs[:1], labels[:1]))
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(result[name][0], parameter.grad, rtol=1e-4, atol=1e-6)
