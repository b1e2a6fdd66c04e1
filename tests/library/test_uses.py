"""Parameters outside layers: importances from their use in the graph, against per-sample automatic differentiation."""

import pytest
import torch
import torch.nn.functional as F
from loop import by_loop, each, exact_by_loop
from torch import nn
from torch.utils.checkpoint import checkpoint

from reference import assert_close
from weight_importance import Accumulator, estimate, estimate_all, factored
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.probe import SlowWarning, examine
from weight_importance.estimators.engine.products import PRODUCT_BYTES
from weight_importance.estimators.engine.samples import batch, spread
from weight_importance.estimators.engine.uses import Rows

WIDTH, LENGTH = 4, 5


class Sequence(nn.Module):
    """Sequences ``(N, L, 4)`` changed by ``body``, and a linear layer on their mean."""

    def __init__(self, body, **parts) -> None:
        super().__init__()
        self.body = body
        self.inp, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(torch.randn(part)) if isinstance(part, tuple) else part)

    def forward(self, x):
        return self.out(self.body(self, self.inp(x)).tanh().mean(1))


class OwnLinear(nn.Linear):
    """A user's subclass of ``nn.Linear``, whose type has no closed form."""


def attention(*extra, first=True, **options):
    def body(self, h):
        h = h if first else h.transpose(0, 1)
        h = self.attend(h, h, h, need_weights="weights" in extra)[0]
        return h if first else h.transpose(0, 1)

    return lambda: Sequence(body, attend=nn.MultiheadAttention(WIDTH, 2, batch_first=first, **options))


def positions(h):
    return torch.arange(h.shape[1])


ATTEND = ("attend.in_proj_weight", "attend.out_proj.weight", "attend.out_proj.bias", "attend.in_proj_bias")
FOUND = {
    "attention": (attention(), dict.fromkeys(ATTEND, 1)),
    "attention with weights": (attention("weights"), dict.fromkeys(ATTEND, 1)),
    "sequence first": (attention(first=False), dict.fromkeys(ATTEND, 1)),
    "without biases": (attention(bias=False), dict.fromkeys(ATTEND[:2], 1)),
    "transformer layer": (
        lambda: Sequence(
            lambda self, h: self.layer(h), layer=nn.TransformerEncoderLayer(WIDTH, 2, 6, 0.0, batch_first=True)
        ),
        {f"layer.self_attn.{name.removeprefix('attend.')}": 1 for name in ATTEND},
    ),
    "position embedding": (lambda: Sequence(lambda self, h: h + self.p, p=(1, LENGTH, WIDTH)), {"p": 0}),
    "position embedding on the left": (lambda: Sequence(lambda self, h: self.p + h, p=(LENGTH, WIDTH)), {"p": 0}),
    "embedded positions": (
        lambda: Sequence(lambda self, h: h + self.p(positions(h)), p=nn.Embedding(7, WIDTH)), {"p.weight": 0}
    ),
    "repeated positions and padding": (
        lambda: Sequence(lambda self, h: h * self.p(positions(h)[None] % 3), p=nn.Embedding(4, WIDTH, padding_idx=1)),
        {"p.weight": 0},
    ),
    "class token": (
        lambda: Sequence(lambda self, h: torch.cat([self.p.expand(len(h), -1, -1), h], 1), p=(1, 1, WIDTH)), {"p": 0}
    ),
    "scale of a layer": (lambda: Sequence(lambda self, h: self.p * h.sin(), p=(WIDTH,)), {"p": 0}),
    "scale of channels": (
        lambda: Sequence(lambda self, h: (h.mT[:, :, None] * self.p)[:, :, 0].mT, p=(WIDTH, 1, 1)), {"p": 0}
    ),
    "scalar": (lambda: Sequence(lambda self, h: h * self.p, p=()), {"p": 0}),
    "matrix product": (lambda: Sequence(lambda self, h: h @ self.p, p=(WIDTH, WIDTH)), {"p": 0}),
    "product on the left": (lambda: Sequence(lambda self, h: self.p @ h, p=(LENGTH, LENGTH)), {"p": 0}),
    "product with the transpose": (
        lambda: Sequence(lambda self, h: h @ self.p.transpose(0, 1), p=(WIDTH, WIDTH)), {"p": 0}
    ),
    "linear function": (
        lambda: Sequence(lambda self, h: F.linear(h, self.p, self.q), p=(WIDTH, WIDTH), q=(WIDTH,)), {"p": 0, "q": 0}
    ),
    "linear function of vectors": (
        lambda: Sequence(
            lambda self, h: F.linear(h.flatten(1), self.p, self.q).unflatten(1, (LENGTH, WIDTH)), p=(20, 20), q=(20,)
        ),
        {"p": 0, "q": 0},
    ),
    "sum and product": (
        lambda: Sequence(
            lambda self, h: torch.addmm(self.q, h.flatten(0, 1), self.p).view_as(h), p=(WIDTH, WIDTH), q=(WIDTH,)
        ),
        {"p": 0, "q": 0},
    ),
    "subclass": (
        lambda: Sequence(lambda self, h: self.p(h), p=OwnLinear(WIDTH, WIDTH)), {"p.weight": 0, "p.bias": 0}
    ),
}  # fmt: skip
"""Function that builds the network, and parameter → sample axis of its use."""

OTHER = {
    "used twice": (lambda: Sequence(lambda self, h: (h @ self.p) @ self.p, p=(WIDTH, WIDTH)), "p"),
    "with a coefficient": (lambda: Sequence(lambda self, h: torch.add(h, self.p, alpha=2), p=(WIDTH,)), "p"),
    "product with coefficients": (
        lambda: Sequence(
            lambda self, h: torch.addmm(self.q, h.flatten(0, 1), self.p, beta=2, alpha=3).view_as(h),
            p=(WIDTH, WIDTH), q=(WIDTH,),
        ),
        "p", "q",
    ),
    "product with a whole matrix added": (
        lambda: Sequence(
            lambda self, h: h @ torch.addmm(self.p, self.q, self.r),
            p=(WIDTH, WIDTH), q=(WIDTH, 2), r=(2, WIDTH),
        ),
        "p", "q", "r",
    ),
    "low-rank change of a weight": (
        lambda: Sequence(
            lambda self, h: h @ (self.p + self.q @ self.r), p=(WIDTH, WIDTH), q=(WIDTH, 2), r=(2, WIDTH)
        ),
        "p", "q", "r",
    ),
    "a part": (lambda: Sequence(lambda self, h: h + self.p[: h.shape[1]], p=(7, WIDTH)), "p"),
    "a function": (lambda: Sequence(lambda self, h: h * self.p.exp(), p=(WIDTH,)), "p"),
    "a frequency-scaled embedding": (
        lambda: Sequence(
            lambda self, h: h + self.p(positions(h)), p=nn.Embedding(7, WIDTH, scale_grad_by_freq=True)
        ),
        "p.weight",
    ),
    "biases of keys and values": (attention(add_bias_kv=True), "attend.bias_k", "attend.bias_v"),
    "complex numbers": (
        lambda: Sequence(
            lambda self, h: torch.fft.irfft(torch.fft.rfft(h, dim=2) * self.p, n=WIDTH, dim=2), p=(3,)
        ),
        "p",
    ),
    "nothing": (lambda: Sequence(lambda self, h: torch.cat([h, h[:, :0] @ self.p], 1), p=(WIDTH, WIDTH)), "p"),
}  # fmt: skip
"""Function that builds the network, and names of the parameters whose use has no closed form."""


def packed(self, h):
    lengths = (h[:, :, 0].detach() > -1).sum(1).clamp(min=1)
    rows = nn.utils.rnn.pack_padded_sequence(h, lengths, batch_first=True, enforce_sorted=False)
    return nn.utils.rnn.pad_packed_sequence(self.p(rows)[0], batch_first=True, total_length=h.shape[1])[0]


def masked(self, h):
    mask = h[:, :, 0].detach() > -1
    return torch.zeros_like(h).index_put((mask,), F.linear(h[mask], self.p, self.q))


def exchanged(self, h):
    """Change the positions selected by the input: one per sample, or several in some samples and none in others."""
    mask = h[:, :, 0].detach() > 0
    return h + torch.zeros_like(h).index_put((mask,), h[mask] @ self.p)


def sorted_by_value(self, h):
    order = h[:, 0, 0].detach().argsort(stable=True)
    return (h[order] @ self.p)[order.argsort()]


def nested(self, h):
    rows = torch.nested.as_nested_tensor(list(h.unbind(0)))
    return torch.nested.to_padded_tensor(F.linear(rows, self.p, self.q), 0.0)


def experts(self, h):
    first = h[:, 0, 0].detach() > 0
    rows = torch.zeros_like(h).index_put((first,), h[first] @ self.p)
    return rows.index_put((~first,), h[~first] @ self.q)


class Named(torch.autograd.Function):
    """An autograd function whose attribute ``name`` hides the method ``name()`` of its graph node."""

    @staticmethod
    def forward(ctx, h):
        ctx.name = "named"
        return h * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


CHANGING = {
    "packed sequences": lambda: Sequence(packed, p=nn.LSTM(WIDTH, WIDTH, batch_first=True)),
    "masked positions": lambda: Sequence(masked, p=(WIDTH, WIDTH), q=(WIDTH,)),
    "exchanged rows": lambda: Sequence(exchanged, p=(WIDTH, WIDTH)),
    "sorted samples": lambda: Sequence(sorted_by_value, p=(WIDTH, WIDTH)),
    "nested tensors": lambda: Sequence(nested, p=(WIDTH, WIDTH), q=(WIDTH,)),
    "two transpositions": lambda: Sequence(
        lambda self, h: (h.mT * self.p.transpose(0, 1).transpose(1, 2)).mT, p=(1, 1, WIDTH)
    ),
    "experts": lambda: Sequence(experts, p=(WIDTH, WIDTH), q=(WIDTH, WIDTH)),
    "checkpoint": lambda: Sequence(
        lambda self, h: checkpoint(lambda h: self.p((h * self.q).tanh()), h, use_reentrant=False),
        p=nn.TransformerEncoderLayer(WIDTH, 2, 6, 0.0, batch_first=True), q=(WIDTH,),
    ),
    "a function with a name": lambda: Sequence(lambda self, h: Named.apply(h) * self.p, p=(WIDTH,)),
}  # fmt: skip
"""Networks in which samples, or batches, differ in how they use parameters, and networks that are hard to watch."""

FIXED_LENGTH = (
    "position embedding",
    "position embedding on the left",
    "linear function of vectors",
    "product on the left",
)

EVERY = {name: case[0] for name, case in (FOUND | OTHER).items()} | CHANGING


def data(samples, length=LENGTH):
    return torch.randn(samples, length, WIDTH).double(), torch.randint(3, (samples,))


BATCHES = {
    "one": ((1, LENGTH),),
    "as many as positions": ((LENGTH, LENGTH),),
    "eleven": ((11, LENGTH),),
    "growing": ((1, LENGTH), (1, LENGTH), (4, LENGTH), (LENGTH, LENGTH), (2, LENGTH)),
    "longer": ((6, 1), (6, 1), (6, LENGTH)),
}
"""Numbers of samples and positions of batches."""


@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.filterwarnings("ignore")
def test_importances_are_those_of_automatic_differentiation(kind, batches):
    torch.manual_seed(0)
    network = EVERY[kind]().double()
    parts = [data(*shape) for shape in BATCHES[batches]]
    if batches == "longer" and kind in FIXED_LENGTH:
        parts = [data(samples) for samples, _ in BATCHES[batches]]
    calls, labels = [call for x, _ in parts for call in each(x)], torch.cat([y for _, y in parts])
    expected = {name: by_loop(name, network, calls, labels) for name in ("fisher_empirical", "mas")}
    expected["fisher_exact"] = exact_by_loop(network, calls, torch.ones(len(calls), dtype=torch.bool))
    for chunk in (None, 3):
        accumulator = Accumulator(list(expected), network, chunk=chunk)
        for x, y in parts:
            accumulator.update(x, y)
        for name, importance in accumulator.result().items():
            assert_close(importance, expected[name], 1e-9)


@pytest.mark.parametrize("body", [exchanged, sorted_by_value])
@pytest.mark.filterwarnings("ignore::weight_importance.estimators.engine.probe.SlowWarning")
def test_rows_in_another_order_than_on_the_probe(body):
    torch.manual_seed(0)
    network, (x, y) = Sequence(body, p=(WIDTH, WIDTH)).double(), data(40)
    nn.init.eye_(network.inp.weight)
    nn.init.zeros_(network.inp.bias)
    x[..., 0] = -1
    x[:, 0, 0] = 1
    several, none = [number for number in range(40) if number not in spread(40, 4)][3:5]
    x[several, :2, 0] = 2
    x[none, :, 0] = -2
    expected = exact_by_loop(network, each(x), torch.ones(40, dtype=torch.bool))
    assert_close(estimate("fisher_exact", network, x, y), expected, 1e-9)


def test_a_first_batch_of_one_sample_leaves_the_uses_open():
    torch.manual_seed(0)
    network = FOUND["attention"][0]().double()
    accumulator = Accumulator(["fisher_empirical"], network)
    for samples in (1, 7):
        accumulator.update(*data(samples))
    assert accumulator._plan.uses == FOUND["attention"][1]


@pytest.mark.parametrize("kind", FOUND)
def test_uses_are_found(kind):
    torch.manual_seed(0)
    build, uses = FOUND[kind]
    plan = examine(Forward(build().double().eval()), batch(data(4)[0]))
    assert plan.uses == uses and not plan.vectorised and not plan.looped


@pytest.mark.parametrize("kind", OTHER)
def test_other_uses_are_differentiated(kind):
    torch.manual_seed(0)
    build, *names = OTHER[kind]
    plan = examine(Forward(build().double().eval()), batch(data(4)[0]))
    assert plan.vectorised == names and not plan.looped


def test_with_one_sample_the_axis_is_unknown():
    torch.manual_seed(0)
    plan = examine(Forward(FOUND["attention"][0]().double().eval()), batch(data(1)[0]))
    assert not plan.uses


def test_parameters_used_differently_by_a_sample_outside_the_probe():
    """All samples of the probe use the parameter once; another one uses it twice."""
    torch.manual_seed(0)

    def body(self, h):
        return h * self.p * self.p if (h[:, 0, 0] > 3).any() else h * self.p

    network = Sequence(body, p=(WIDTH,)).double()
    nn.init.eye_(network.inp.weight)
    nn.init.zeros_(network.inp.bias)
    x, y = data(40)
    x.clamp_(-1, 1)
    odd = next(number for number in range(18, 40) if number not in spread(40, 4))
    x[odd, 0, 0] = 4
    expected = by_loop("fisher_empirical", network, each(x), y)
    accumulator = Accumulator(
        ["fisher_empirical"], network, chunk=1
    )  # in a shared batch, this sample changes the others' outputs
    with pytest.warns(SlowWarning, match="torch.func"):
        accumulator.update(x, y)
    assert_close(accumulator.result()["fisher_empirical"], expected, 1e-9)


def test_a_layout_that_depends_on_the_number_of_samples():
    def body(self, h):
        return (h.transpose(0, 1) @ self.p).transpose(0, 1) if len(h) > 4 else h @ self.p

    torch.manual_seed(0)
    network, (x, y) = Sequence(body, p=(WIDTH, WIDTH)).double(), data(11)
    expected = by_loop("fisher_empirical", network, each(x), y)
    assert_close(estimate("fisher_empirical", network, x, y), expected, 1e-9)


@pytest.mark.filterwarnings("ignore::weight_importance.estimators.engine.probe.SlowWarning")
def test_sequences_shorter_than_those_of_the_probe():
    torch.manual_seed(0)
    network, (x, y) = Sequence(masked, p=(WIDTH, WIDTH), q=(WIDTH,)).double(), data(12)
    nn.init.eye_(network.inp.weight)
    nn.init.zeros_(network.inp.bias)
    x.clamp_(-0.9, 0.9)
    others = [number for number in range(12) if number not in spread(12, 4)]
    x[others[:4], 3:, 0] = -2
    expected = exact_by_loop(network, each(x), torch.ones(12, dtype=torch.bool))
    assert_close(estimate("fisher_exact", network, x, y), expected, 1e-9)


def test_single_precision_and_other_kinds_of_sums():
    torch.manual_seed(0)
    network, (x, y) = FOUND["transformer layer"][0](), data(9)
    x = x.float()
    names = ("fisher_empirical", "hessian_diagonal")
    both = estimate_all(names, network, x, y, generator=torch.Generator().manual_seed(0))
    assert_close(both["fisher_empirical"], by_loop("fisher_empirical", network, each(x), y), 1e-4)
    hessian = estimate("hessian_diagonal", network, x, y, generator=torch.Generator().manual_seed(0))
    assert_close(both["hessian_diagonal"], hessian, 1e-4)
    for name, margins in factored("fisher_empirical", network, x, y).items():
        importance = both["fisher_empirical"][name].double()
        rows = importance.flatten(1).sum(1) if importance.ndim > 1 else importance
        torch.testing.assert_close(margins.rows.double(), rows, rtol=1e-4, atol=1e-9)


def test_gradients_of_parameters_are_computed_in_parts(monkeypatch):
    """Per-sample gradients of a large table are not all in memory at once."""
    torch.manual_seed(0)
    network = Sequence(lambda self, h: h + self.p(positions(h)), p=nn.Embedding(5000, WIDTH)).double()
    x, y = data(200)
    largest = 0
    placed = Rows.placed

    def watched(self, values):
        nonlocal largest
        matrix = placed(self, values)
        largest = max(largest, matrix.nbytes)
        return matrix

    monkeypatch.setattr(Rows, "placed", watched)
    importance = estimate("fisher_empirical", network, x, y)
    assert_close(importance, by_loop("fisher_empirical", network, each(x), y), 1e-9)
    assert 0 < largest <= PRODUCT_BYTES
