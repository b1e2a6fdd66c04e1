"""Factored importances: the margins of the full importance, and the product of two hooks."""

import pytest
import torch
from torch import nn

from networks_under_test import NETWORKS, make
from reference import assert_close
from weight_importance import estimate, factored
from weight_importance.estimators.factored import Factors
from weight_importance.runtime.errors import UserError

NAMES = ("fisher_exact", "fisher_empirical", "mas")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_margins_equal_those_of_the_full_importance(name, build):
    network, inputs, labels = make(build, 0, torch.float64)
    factors, full = factored(name, network, inputs, labels), estimate(name, network, inputs, labels)
    assert factors.keys() == full.keys()
    for key, value in full.items():
        rows = value.flatten(1).sum(1) if value.ndim > 1 else value
        assert_close({key: factors[key].rows}, {key: rows}, 1e-9)
        if value.ndim > 1:
            assert_close({key: factors[key].columns}, {key: value.sum(0)}, 1e-9)
            assert_close({key: factors[key].dense().flatten(1).sum(1)}, {key: rows}, 1e-9)


def sequence() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Tanh(), nn.Flatten(), nn.Linear(18, 3)).double()


@pytest.mark.parametrize("chunk", [11, 4])
def test_the_product_equals_that_of_two_hooks(chunk):
    torch.manual_seed(0)
    network, x, y = sequence(), torch.randn(11, 3, 4).double(), torch.randint(3, (11,))
    kept = {}
    for place in (0, 4):
        network[place].register_forward_hook(lambda m, given, out, place=place: kept.update({place: (given[0], out)}))
    loss = nn.functional.cross_entropy(network(x), y, reduction="sum")
    gradients = torch.autograd.grad(loss, [kept[0][1], kept[4][1]])
    received = {place: given for place, (given, _) in kept.items()}
    batches = list(zip(x.split(chunk), y.split(chunk), strict=True))
    factors = factored("fisher_empirical", network, batches, product=True)
    for place, gradient in zip((0, 4), gradients, strict=True):
        g, a = gradient.reshape(11, -1, gradient.shape[-1]), received[place].reshape(11, -1, received[place].shape[-1])
        outgoing, incoming = g.square().sum(1).mean(0), a.square().mean(1).mean(0)
        product = outgoing[:, None] * incoming
        assert_close({"w": factors[f"{place}.weight"].dense()}, {"w": product.detach()}, 1e-10)
    full = estimate("fisher_empirical", network, x, y)
    for name in ("0.bias", "1.weight", "1.bias", "4.bias"):
        assert_close({name: factors[name].dense()}, {name: full[name]}, 1e-10)


def test_for_one_sample_at_one_position_the_product_is_the_importance():
    torch.manual_seed(0)
    network, x, y = nn.Linear(6, 3).double(), torch.randn(1, 6).double(), torch.tensor([1])
    for name in ("fisher_empirical", "mas"):
        product = factored(name, network, x, y, product=True)["weight"].dense()
        assert_close({"w": product}, {"w": estimate(name, network, x, y)["weight"]}, 1e-12)


def test_tasks_add_up_in_factored_form():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(3, 4, generator=generator) for _ in range(2))
    factors = Factors(first.sum(1), first.sum(0)) + Factors(second.sum(1), second.sum(0))
    assert_close({"rows": factors.rows}, {"rows": (first + second).sum(1)}, 1e-6)
    assert_close({"columns": factors.dense().sum(0)}, {"columns": (first + second).sum(0)}, 1e-6)
    assert Factors(torch.zeros(3), torch.zeros(4)).dense().isfinite().all()


@pytest.mark.parametrize("name", ["snip", "root_fisher", "obd", "si", "wanda"])
def test_other_kinds_have_no_factored_form(name):
    with pytest.raises(UserError, match="no factored form"):
        factored(name, nn.Linear(6, 3), torch.zeros(2, 6), torch.tensor([0, 1]))
