"""Networks and calls from public bug reports: correct importances, or one clear message."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from loop import by_loop, each
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from reference import assert_close
from weight_importance import ESTIMATORS, Accumulator, estimate, estimate_all
from weight_importance.estimators import kinds
from weight_importance.estimators.engine.samples import spread
from weight_importance.runtime.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::weight_importance.estimators.engine.probe.SlowWarning")
EVERY = [name for name in ESTIMATORS if ESTIMATORS[name].kind in ("moment", "curvature")]


def body(classes: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, classes))


def sequence(*layers) -> nn.Module:
    """Layers on sequences of three steps with two channels."""
    return nn.Sequential(nn.Unflatten(1, (2, 3)), *layers, nn.Flatten(), nn.Linear(8, 3))


def module(forward, **parts) -> nn.Module:
    """A module with given parts and forward function."""

    class Made(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, part in parts.items():
                if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                    self.register_buffer(name, part)
                else:
                    setattr(self, name, part)

    Made.forward = lambda self, *args, **kwargs: forward(self, *args, **kwargs)
    return Made()


def changes_input(self, x):
    return self.net(x.sub_(0.3).div_(0.5))


def changes_buffer(self, x):
    self.seen += len(x)
    self.mean = x.mean(0)
    return self.net(x)


def changes_weight(self, x):
    with torch.no_grad():
        self.net[0].weight.clamp_(-0.1, 0.1)
    return self.net(x)


def changes_weight_data(self, x):
    self.net[0].weight.data.mul_(0.5)
    return self.net(x)


def counts(self, x):
    self.calls.append(len(x))
    self.last = x
    return self.net(x)


def without_gradient(self, x):
    with torch.no_grad():
        x = self.net[1](self.net[0](x))
    return self.net[2](x)


def in_inference_mode(self, x):
    with torch.inference_mode():
        x = self.net[1](self.net[0](x))
    return self.net[2](x.clone())


def recomputed(self, x):
    return self.net[2](checkpoint(lambda x: self.net[1](self.net[0](x)), x, use_reentrant=False))


def recomputed_reentrant(self, x):
    return self.net[2](checkpoint(self.net[1], self.net[0](x), use_reentrant=True))


def routed(self, x):
    """A layer applied to some of the samples."""
    through = x[:, 0] > 0
    out = torch.zeros(len(x), 8, dtype=x.dtype)
    out[through] = self.net[0](x[through])
    out[~through] = self.other(x[~through])
    return self.net[2](torch.tanh(out))


def branching(self, x):
    return self.net(x) if x.sum().item() > 0 else self.net(2 * x)


def ordered(self, x):
    """A layer on the samples in another order."""
    order = x[:, 0].argsort()
    hidden = self.net[1](self.net[0](x[order]))
    return self.net[2](hidden[order.argsort()])


def squeezed(self, x):
    return self.net(x.view(-1, 1, 6).squeeze())


def by_function(self, x):
    return F.linear(self.net[1](self.net[0](x)), self.net[2].weight, self.net[2].bias)


def twice_used(self, x):
    return self.net(x) + 0.1 * F.linear(x, self.net[0].weight)[:, :3]


def through_numpy(self, x):
    return self.net(x) * float(np.tanh(self.net[0].bias.detach().numpy()).sum() + 3)


def overwrites_output(self, x):
    """An in-place activation in passes larger than the probe only."""
    hidden = self.other(self.net[1](self.net[0](x)))
    return self.net[2](hidden.tanh_() if len(x) > 4 else hidden.tanh())


def detaches_output(self, x):
    """A frozen first part."""
    return self.net[2](self.net[1](self.net[0](x)).detach_() + self.other(x.repeat(1, 2)[:, :8]).detach_())


def image(flat) -> nn.Module:
    """A network that flattens a convolution's output by ``flat``, which depends on the order of memory."""
    return module(
        lambda self, x: self.head(flat(self.convolution(x.view(-1, 2, 1, 3)))),
        convolution=nn.Conv2d(2, 4, (1, 2)),
        head=nn.Linear(8, 3),
    )


FAITHFUL = {
    "changes its input": lambda: module(changes_input, net=body()),
    "changes a buffer": lambda: module(changes_buffer, net=body(), seen=torch.zeros(()), mean=torch.zeros(6)),
    "changes a weight": lambda: module(changes_weight, net=body()),
    "overwrites an output": lambda: module(overwrites_output, net=body(), other=nn.Linear(8, 8)),
    "detaches an output": lambda: module(detaches_output, net=body(), other=nn.Linear(8, 8)),
    "view of an image": lambda: image(lambda hidden: hidden.view(-1, 8)),
    "memory of an image": lambda: image(lambda hidden: hidden.as_strided((len(hidden), 8), (8, 1))),
    "counts its calls": lambda: module(counts, net=body(), calls=[]),
    "no_grad backbone": lambda: module(without_gradient, net=body()),
    "inference_mode backbone": lambda: module(in_inference_mode, net=body()),
    "checkpoint": lambda: module(recomputed, net=body()),
    "reentrant checkpoint": lambda: module(recomputed_reentrant, net=body()),
    "layers for some samples": lambda: module(routed, net=body(), other=nn.Linear(6, 8)),
    "another order": lambda: module(ordered, net=body()),
    "squeezed": lambda: module(squeezed, net=body()),
    "functional call": lambda: module(by_function, net=body()),
    "weight used elsewhere": lambda: module(twice_used, net=body()),
    "numpy inside": lambda: module(through_numpy, net=body()),
    "prelu": lambda: nn.Sequential(nn.Linear(6, 4), nn.PReLU(), nn.Linear(4, 3)),
    "prelu per channel": lambda: sequence(nn.Conv1d(2, 4, 2), nn.PReLU(4)),
    "grouped conv1d": lambda: sequence(
        nn.Conv1d(2, 4, 2, groups=2, padding="same", padding_mode="circular"), nn.Conv1d(4, 4, 2, stride=2, padding=1)
    ),
    "bias only": lambda: nn.Sequential(nn.Linear(6, 4).requires_grad_(False), nn.Tanh(), nn.Linear(4, 3)),
    "unused parameter": lambda: module(lambda self, x: self.net(x), net=body(), unused=nn.Parameter(torch.ones(2))),
    "sparse and repeated tokens": lambda: module(
        lambda self, x: self.head(self.table((x.abs() * 3).long() % 4).flatten(1)),
        table=nn.Embedding(4, 2, sparse=True),
        head=nn.Linear(12, 3),
    ),
    "embedding with padding": lambda: module(
        lambda self, x: self.head(self.table((x.abs() * 3).long() % 4).sum(1)),
        table=nn.Embedding(4, 2, padding_idx=1),
        head=nn.Linear(2, 3),
    ),
    "embedding with a largest norm": lambda: module(
        lambda self, x: self.head(self.table((x.abs() * 3).long() % 4).sum(1)),
        table=nn.Embedding(4, 2, max_norm=0.5),
        head=nn.Linear(2, 3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("samples", [1, 9, 13])
@pytest.mark.parametrize("kind", FAITHFUL)
def test_importances_are_correct_and_change_no_state(kind, samples):
    torch.manual_seed(0)
    network, x, y = FAITHFUL[kind]().double(), torch.randn(samples, 6).double(), torch.randint(3, (samples,))
    if kind == "squeezed" and samples == 1:
        expected = by_loop("fisher_empirical", network, [lambda network: network(torch.cat([x, x]))[:1]], y)
    elif kind == "squeezed":
        twice = [lambda network, i=i: network(torch.cat([x[i : i + 1]] * 2))[:1] for i in range(samples)]
        expected = by_loop("fisher_empirical", network, twice, y)
    else:
        expected = by_loop("fisher_empirical", network, each(x), y)
    before = ({n: v.clone() for n, v in network.state_dict().items()}, x.clone(), dict(vars(network)))
    calls = list(getattr(network, "calls", []))
    numbers = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    for chunk in (None, 4):
        assert_close(estimate("fisher_empirical", network, x, y, chunk=chunk), expected, 1e-9)
    assert torch.equal(x, before[1]) and not x.requires_grad
    assert all(torch.equal(v, before[0][n]) for n, v in network.state_dict().items())
    assert vars(network).keys() == before[2].keys() and list(getattr(network, "calls", [])) == calls
    assert torch.equal(torch.get_rng_state(), numbers[0]) and random.getstate() == numbers[1]
    assert (np.random.get_state()[1] == numbers[2]).all()
    assert network.training and all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("chunk", [None, 4])
def test_a_layer_that_a_sample_outside_the_probe_skips(chunk):
    """All samples of the probe pass the layer; one of the others skips it."""
    torch.manual_seed(0)
    network = module(routed, net=body(), other=nn.Linear(6, 8)).double()
    x, y = torch.randn(40, 6).double(), torch.randint(3, (40,))
    x[:, 0] = x[:, 0].abs()
    odd = next(number for number in range(18, 40) if number not in spread(40, 4))
    x[odd, 0] = -1
    expected = by_loop("fisher_empirical", network, each(x), y)
    assert_close(estimate("fisher_empirical", network, x, y, chunk=chunk), expected, 1e-9)


def test_a_view_of_images_whose_size_no_probe_has_seen():
    """With channels last, the view of the last, larger images fails; batches three to seven but four are not probed."""
    torch.manual_seed(0)
    network = module(lambda self, x: self.net(x).flatten(2).mean(2), net=nn.Conv2d(2, 3, 3)).double()
    viewing = module(lambda self, x: (h := self.net(x)).view(len(h), 3, -1).mean(2), net=network.net)
    images = [torch.randn(4, 2, side, side).double() for side in (3, 3, 5)]
    labels = torch.randint(3, (12,))
    accumulator = Accumulator(["fisher_empirical"], viewing)
    for part, truth in zip(images, labels.split(4), strict=True):
        accumulator.update(part, truth)
    calls = [lambda network, x=x: network(x[None]) for x in [*images[0], *images[1], *images[2]]]
    expected = by_loop("fisher_empirical", network, calls, labels)
    assert_close(accumulator.result()["fisher_empirical"], expected, 1e-9)


def test_a_weight_that_shrinks_with_every_call_is_restored():
    network = module(changes_weight_data, net=body())
    before = network.net[0].weight.detach().clone()
    estimate("mas", network, torch.randn(9, 6))
    assert torch.equal(network.net[0].weight, before)


def attention():
    return nn.MultiheadAttention(4, 2)


def over_the_batch(self, x):
    h = self.inp(x.view(-1, 2, 3))
    return self.head(self.attention(h, h, h)[0].mean(1))


def normalised(self, x):
    return self.net((x - x.mean(0)) / (x.std(0) + 1))


def noisy(self, x):
    return self.net(x + 0.1 * torch.randn_like(x))


def python_noise(self, x):
    return self.net(x * random.random())


def hidden_state(self, x):
    self.state = getattr(self, "state", 0) + x.mean().item()
    return self.net(x + self.state)


FAULTY = {
    "attention over the batch": (
        lambda: module(over_the_batch, inp=nn.Linear(3, 4), attention=attention(), head=nn.Linear(4, 3)),
        "samples influence each other.*'attention' .MultiheadAttention.",
    ),
    "a branch on the batch": (lambda: module(branching, net=body()), "samples influence each other"),
    "statistics over the batch": (lambda: module(normalised, net=body()), "samples influence each other"),
    "dropout by function": (
        lambda: module(lambda self, x: self.net(F.dropout(x, 0.5)), net=body()),
        "random in evaluation mode.*the network itself",
    ),
    "noise": (lambda: module(noisy, net=body()), "random in evaluation mode"),
    "noise of Python": (lambda: module(python_noise, net=body()), "random in evaluation mode"),
    "state from call to call": (lambda: module(hidden_state, net=body()), "depends on earlier calls"),
    "one logit": (lambda: body(1), "K ≥ 2 classes.*logits .0, z."),
    "two outputs": (lambda: module(lambda self, x: (self.net(x), x), net=body()), "returns a tuple .*forward="),
    "rows lost": (lambda: module(lambda self, x: self.net(x)[:-1], net=body()), "row per sample"),
    "no batch axis": (lambda: module(lambda self, x: self.net(x).flatten(), net=body()), "expected .N, K."),
    "classes on axis 1": (lambda: nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 1)), "K., classes last"),
    "whole numbers": (lambda: module(lambda self, x: self.net(x).argmax(1, keepdim=True), net=body()), "torch.int64"),
    "other width": (lambda: nn.Linear(5, 3), "cannot be called on these inputs .*RuntimeError"),
}  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kind", FAULTY)
def test_faulty_networks_are_refused_with_the_reason(kind, name):
    torch.manual_seed(0)
    build, message = FAULTY[kind]
    network, x, y = build(), torch.randn(12, 6), torch.randint(3, (12,))
    with pytest.raises(UserError, match=message):
        estimate(name, network, x, y, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("decorator", [torch.no_grad(), torch.inference_mode()], ids=["no_grad", "inference_mode"])
def test_a_network_without_any_gradient_is_refused(decorator):
    network = body()
    network.forward = decorator(network.forward)
    with pytest.raises(UserError, match="no parameter has a gradient"):
        estimate("mas", network, torch.randn(9, 6))


LABELS = {
    "too large": (lambda y: y + 10, "must be 0 to 2"),
    "ignored without saying so": (lambda y: torch.full_like(y, -100), "found -100.*ignore_index"),
    "a column": (lambda y: y[:, None], r"shape \(.*\); found \(.*, 1\)"),
    "too few": (lambda y: y[:5], r"shape \(5,\) come with 12 samples"),
    "one-hot": (lambda y: F.one_hot(y, 3).float(), "integers.*argmax"),
    "real numbers": (lambda y: y.double(), "integers"),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kind", LABELS)
def test_invalid_labels_are_refused(kind, name):
    change, message = LABELS[kind]
    x, y = torch.randn(12, 6), torch.randint(3, (12,))
    with pytest.raises(UserError, match=message):
        estimate(name, body(), x, change(y), generator=torch.Generator().manual_seed(0))


def test_only_formulas_with_labels_need_labels():
    x, generator = torch.randn(12, 6), torch.Generator().manual_seed(0)
    for name in (name for name in ESTIMATORS if ESTIMATORS[name].kind != "path"):
        if name in ("fisher_empirical", "fisher_batched", "snip", "ewc_dr", "hessian_diagonal", "obd"):
            with pytest.raises(UserError, match=f"{name} needs labels"):
                estimate(name, body(), x, generator=generator)
        else:
            estimate(name, body(), x, generator=generator)


# fisher_sampled draws other labels for other samples
@pytest.mark.parametrize("name", [name for name in EVERY if name != "fisher_sampled"])
def test_ignored_labels_count_in_neither_numerator_nor_denominator(name):
    torch.manual_seed(0)
    network, x, y = body().double(), torch.randn(12, 6).double(), torch.randint(3, (12,))
    some = y.clone()
    some[7:] = 255
    given = {"generator": torch.Generator().manual_seed(0)}
    expected = estimate(name, network, x[:7], y[:7], generator=torch.Generator().manual_seed(0))
    assert_close(estimate(name, network, x, some, ignore_index=255, **given), expected, 1e-10)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", [*EVERY, "wanda", "total_signal", "magnitude"])
def test_half_precision_is_computed_in_single_precision(name, half):
    torch.manual_seed(0)
    network, x, y = body().to(half), (torch.randn(20, 6) * 1e-2).to(half), torch.randint(3, (20,))
    importance = estimate(name, network, x, y, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    assert_close(importance, estimate(name, network.float(), x.float(), y, generator=generator), 1e-5)


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
@pytest.mark.parametrize("name", EVERY)
def test_surrounding_contexts_do_not_matter(name, around):
    torch.manual_seed(0)
    network, x, y = body(), torch.randn(12, 6), torch.randint(3, (12,))
    expected = estimate(name, network, x, y, generator=torch.Generator().manual_seed(0))
    with around():
        importance = estimate(name, network, x, y, generator=torch.Generator().manual_seed(0))
    assert_close(importance, expected, 1e-6)
    assert not any(value.requires_grad or value.is_inference() for value in importance.values())


def test_autocast_in_the_network():
    torch.manual_seed(0)
    network = body()

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            return self.net(x)

    x, y = torch.randn(30, 6), torch.randint(3, (30,))
    importance = estimate("fisher_exact", module(forward, net=network), x, y)
    expected = {f"net.{name}": value for name, value in estimate("fisher_exact", network, x, y).items()}
    assert_close(importance, expected, 0.03)


def test_common_forms_of_data():
    torch.manual_seed(0)
    network, x, y = body().double(), torch.randn(23, 6).double(), torch.randint(3, (23,))
    names, options = ["mas", "fisher_empirical", "fisher_batched", "snip", "wanda", "total_signal", "obd"], {}

    def result(*data):
        return estimate_all(names, network, *data, generator=torch.Generator().manual_seed(0), **options)

    expected = result(x, y)
    kinds = {
        "pair": (x, y),
        "loader": DataLoader(TensorDataset(x, y), 5),
        "data set": TensorDataset(x, y),
        "list": list(zip(x.split(4), y.split(4), strict=True)),
        "lists of two": [[a, b] for a, b in zip(x.split(4), y.split(4), strict=True)],
        "generator": ((a, b) for a, b in zip(x.split(4), y.split(4), strict=True)),
        "numpy": (x.numpy(), y.numpy()),
    }
    for kind, data in kinds.items():
        for name, values in result(data).items():
            assert_close(values, expected[name], 1e-10), kind
    by_key = module(lambda self, pixels: self.net(pixels), net=network)
    importance = estimate_all(names, by_key, [{"pixels": x, "labels": y}], generator=torch.Generator().manual_seed(0))
    assert_close({n.removeprefix("net."): v for n, v in importance["mas"].items()}, expected["mas"], 1e-10)
    importance = estimate("mas", network, [{"pixels": x}], forward=lambda network, batch: network(batch["pixels"]))
    assert_close(importance, expected["mas"], 1e-10)


def test_a_shuffling_loader_does_not_change_the_random_state():
    x, y = torch.randn(23, 6), torch.randint(3, (23,))
    before = torch.get_rng_state()
    estimate("mas", body().requires_grad_(), DataLoader(TensorDataset(x, y), 5, shuffle=True))
    torch.set_rng_state(before)
    expected = torch.rand(3)
    torch.set_rng_state(before)
    network = body()
    torch.set_rng_state(before)
    estimate("mas", network, DataLoader(TensorDataset(x, y), 5, shuffle=True))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "at least one sample that counts"),
        (torch.zeros(0, 6), "inputs are empty"),
        ({"text": "words"}, "a batch is a tensor"),
        (3, "an iterable of such batches"),
    ],
)
def test_invalid_data_are_refused(data, message):
    with pytest.raises(UserError, match=message):
        estimate("mas", body(), data)


@pytest.mark.parametrize("name", ["fisher_exact", "absolute_fisher", "root_fisher", "ggn"])
def test_memory_does_not_grow_with_the_square_of_the_number_of_classes(name, monkeypatch):
    """Cotangents come in blocks without effect on results."""
    torch.manual_seed(0)
    network, x = body(40).double(), torch.randn(12, 6).double()
    once = estimate(name, network, x)
    monkeypatch.setattr(kinds, "BLOCK_BYTES", 7 * 12 * 40 * 8)
    blocks = list(ESTIMATORS[name].cotangents(network(x).detach(), None, None))
    assert [len(cotangents) for cotangents, _ in blocks] == [7] * 5 + [4 if name == "ggn" else 5]
    assert_close(estimate(name, network, x), once, 1e-12)


def test_a_gradient_decided_by_rounding_at_a_kink_is_accepted():
    # in single precision the second unit is zero or not, by the size of the batch; in double precision it is positive
    network = module(
        lambda self, x: self.last(F.relu(self.first(x) + len(x) - len(x))), first=nn.Linear(6, 2), last=nn.Linear(2, 3)
    )
    with torch.no_grad():
        network.first.weight[1], network.first.bias[1] = 0.0, 6.1e-8
    inputs = torch.randn(8, 6)
    assert network.first(inputs)[:, 1].add(8).sub(8).eq(0).all()
    assert network.first(inputs)[:, 1].add(1).sub(1).gt(0).all()
    importance = estimate("total_signal", network, inputs)  # defined for layers of closed form alone
    weight = network.first.weight.detach().abs() * inputs.abs().mean(0)
    assert_close({"weight": importance["first.weight"]}, {"weight": weight}, 1e-6)
