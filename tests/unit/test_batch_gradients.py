"""Gradients on a GPU: the trace of a stack, batches and branches of CUDA graphs, orders drawn ahead.

Without a GPU, the operations of a CUDA graph run one by one on the CPU.
"""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn.functional import unfold

from weight_importance.data.samples import Samples
from weight_importance.estimators.engine.forms import patches
from weight_importance.learning import batches
from weight_importance.learning.batches import TaskData, batch_indices
from weight_importance.learning.engine import batch_gradients
from weight_importance.learning.engine.batch_gradients import Captured, Gathered
from weight_importance.learning.engine.flat import Layout
from weight_importance.learning.engine.tracing import Untraceable, trace_stack
from weight_importance.learning.networks import CNN, MLP
from weight_importance.learning.replicas import initialise

SEEDS, COPIES, BATCH = (0, 1, 2), 2, 6


class Stream:
    """A mock of a GPU's stream."""

    def __init__(self, device=None) -> None:
        pass

    def wait_stream(self, other) -> None:
        pass


@pytest.fixture
def device(monkeypatch):
    if torch.cuda.is_available():
        return torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(
        Captured,
        "_capture",
        lambda self, rows: self._branches(rows) if self._convolutional else self._batched(rows),
    )
    return torch.device("cpu")


class Normalised(nn.Module):
    """A network with buffers, which the trace of a stack does not support."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(784)
        self.head = nn.Linear(784, 10)

    def forward(self, images):
        return self.head(self.norm(images.flatten(1)))


def stack(build, device):
    replicas = initialise(build, SEEDS, device).take([place for place in range(len(SEEDS)) for _ in range(COPIES)])
    replicas.template.train()
    layout = Layout({name: tensor.shape[1:] for name, tensor in replicas.parameters.items()})
    replicas.parameters = layout.views(layout.filled(replicas.parameters))
    return replicas, layout


def task_data(seeds, images, labels, shared, device):
    """The same samples for all seeds, in the same order or in a different order for each."""
    whole = Samples(images, labels).to(device)
    orders = {seed: torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed)) for seed in SEEDS}
    own = {seed: whole if shared else whole.take(orders[seed].to(device)) for seed in SEEDS}
    return TaskData(seeds, [own[seed] for seed in seeds], BATCH)


@pytest.mark.parametrize("build", [MLP, CNN, Normalised])
@pytest.mark.parametrize(("most", "shared"), [(4, True), (100, True), (100, False)])
def test_graphs_have_the_gradients_of_single_replicas(build, most, shared, device, monkeypatch, capsys):
    monkeypatch.setattr(batch_gradients, "GRAPH_REPLICAS", most)
    monkeypatch.setattr(batch_gradients, "side_by_side", lambda *arguments: most)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (40, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.randint(10, (40,), generator=generator)
    replicas, layout = stack(build, device)
    data = task_data(replicas.seeds, images, labels, shared, device)
    others, _ = stack(build, device)
    graphs = one_by_one = None
    for indices in data.orders(0, range(1)):
        graphs = graphs or Captured(replicas, layout, data, indices, 0.1)
        if one_by_one is None:
            way = batch_gradients.OneByOne(others, layout, 0.1)
            one_by_one = Gathered(way, data)
        observed = torch.cat([graphs.on(indices)(rows).clone() for rows in graphs.groups])
        expected = torch.cat([one_by_one.on(indices)(rows).clone() for rows in one_by_one.groups])
        torch.testing.assert_close(observed, expected, rtol=1e-4, atol=1e-6)
    for name, buffer in others.buffers.items():
        torch.testing.assert_close(replicas.buffers[name], buffer)
    assert ("automatic differentiation" in capsys.readouterr().err) == (build is Normalised)


def test_the_trace_of_a_stack_writes_weight_gradients_in_place():
    replicas, _ = stack(MLP, "cpu")
    inputs, labels = torch.rand(6, BATCH, 1, 28, 28), torch.randint(10, (6, BATCH))
    recorded = trace_stack(replicas.template, replicas.parameters, inputs, labels)
    assert recorded._run.__self__.code.count("aten.bmm.out") == 3  # one per layer, without copies


def test_a_network_with_buffers_is_not_traced_as_a_stack():
    replicas, _ = stack(Normalised, "cpu")
    with pytest.raises(Untraceable, match="buffers"):
        trace_stack(
            replicas.template, replicas.parameters, torch.rand(6, BATCH, 1, 28, 28), torch.zeros(6, BATCH).long()
        )


def test_orders_drawn_ahead_equal_those_drawn_in_turn(monkeypatch):
    class Elsewhere:
        """A mock of a device that is no CPU."""

        type = "cuda"

    monkeypatch.setattr(batches, "STEPS_AHEAD", 5)
    in_turn = list(batch_indices((3, 4), 1, (50, 50), 8, range(3)))
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *arguments: self)
    drawn = list(batches.moved(batch_indices((3, 4), 1, (50, 50), 8, range(3)), Elsewhere()))
    assert len(drawn) == len(in_turn) == 18
    assert all(torch.equal(one, other) for one, other in zip(drawn, in_turn, strict=True))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("shape", "kernel", "dilation", "stride"),
    [
        ((3, 2, 9, 8), (3, 2), (1, 1), (1, 1)),
        ((3, 2, 9, 8), (2, 3), (2, 1), (2, 3)),
        ((5, 4, 12, 12), (3, 3), (1, 2), (1, 1)),
    ],
)
def test_patches_equal_those_of_unfold(shape, kernel, dilation, stride, groups):
    """With two groups, the two channels of the first shapes are depthwise."""
    images = torch.randn(shape)
    for layout in (images, images.to(memory_format=torch.channels_last), images[1:]):
        expected = unfold(layout, kernel, dilation=dilation, stride=stride)
        # unfold's order is (C, *kernel)
        expected = expected.unflatten(1, (groups, shape[1] // groups, kernel[0] * kernel[1])).transpose(2, 3)
        assert torch.equal(patches(layout, groups, kernel, dilation, stride), expected.flatten(2, 3))
