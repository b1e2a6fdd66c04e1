"""Path estimators in any training loop: the same as by hand, without effect on training."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from reference import assert_close
from weight_importance import ESTIMATORS, record
from weight_importance.estimators.registry import recorder
from weight_importance.runtime.errors import UserError

PATH = [name for name in ESTIMATORS if ESTIMATORS[name].kind == "path"]
OPTIMISERS = {
    "adam": lambda network: torch.optim.Adam(network.parameters(), lr=0.01),
    "adamw": lambda network: torch.optim.AdamW(network.parameters(), lr=0.01),
    "sgd": lambda network: torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01),
}


def setting():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    batches = [(torch.randn(5, 6).double(), torch.randint(3, (5,))) for _ in range(26)]
    return network, batches[:13], iter(batches[13:])


def penalty(network):
    return sum((parameter**2).sum() for parameter in network.parameters())


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_recorded_importances_equal_those_by_hand(kind):
    """Compares with recorders that receive the gradients of each part of a penalised loss step by step."""
    network, batches, others = setting()
    optimiser, watchers = OPTIMISERS[kind](network), {name: recorder(name) for name in PATH}
    names = [name for name, _ in network.named_parameters()]
    for (x, y), (x_other, y_other) in zip(batches, others, strict=True):
        parts = [cross_entropy(network(x), y), penalty(network), cross_entropy(network(x_other), y_other)]
        plain, of_penalty, independent = (
            dict(zip(names, torch.autograd.grad(part, list(network.parameters())), strict=True)) for part in parts
        )
        before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        for name, parameter in network.named_parameters():
            parameter.grad = plain[name] + of_penalty[name]
        seen = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
        optimiser.step()
        moved = {name: parameter.detach() - before[name] for name, parameter in network.named_parameters()}
        for watcher in watchers.values():
            parts = [{name: value[None] for name, value in each.items()} for each in (plain, moved, seen, independent)]
            watcher.step(*parts[:2], penalised=parts[2], independent=parts[3])
    trained = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}

    network, batches, others = setting()
    optimiser = OPTIMISERS[kind](network)

    def other_batch():
        x, y = next(others)
        return cross_entropy(network(x), y)

    with record(optimiser, network, PATH, penalty=penalty, independent=other_batch) as recorded:
        for x, y in batches:
            optimiser.zero_grad()
            (cross_entropy(network(x), y) + penalty(network)).backward()
            optimiser.step()
    importances = recorded.result()
    assert list(importances) == PATH
    for name in PATH:
        expected = {key: value[0] for key, value in watchers[name].importances()[name].items()}
        if name == "squisher" and kind != "sgd":  # of the penalised gradient, as the optimiser sees it
            states = {key: optimiser.state[value] for key, value in network.named_parameters()}
            expected = {key: state["exp_avg_sq"] / (1 - 0.999**13) for key, state in states.items()}
        assert_close(importances[name], expected, 1e-9)
    assert_close({name: value.detach() for name, value in network.named_parameters()}, trained, 1e-12)


def test_squisher_reads_adam_s_state():
    network, batches, _ = setting()
    optimiser = OPTIMISERS["adam"](network)
    with record(optimiser, network, ["squisher"]) as recorded:
        for x, y in batches:
            optimiser.zero_grad()
            cross_entropy(network(x), y).backward()
            optimiser.step()
    assert not recorded._recorder.records
    for (name, parameter), value in zip(
        network.named_parameters(), recorded.result()["squisher"].values(), strict=True
    ):
        assert torch.equal(value, optimiser.state[parameter]["exp_avg_sq"] / (1 - 0.999 ** len(batches))), name


def test_recording_ends_with_the_context_and_omits_frozen_parameters():
    network, batches, _ = setting()
    network[0].requires_grad_(False)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)

    def step():
        cross_entropy(network(batches[0][0]), batches[0][1]).backward()
        optimiser.step()

    with record(optimiser, network, ["si"]) as recorded:
        step()
    result = recorded.result()["si"]
    assert set(result) == {"2.weight", "2.bias"}
    step()
    assert all(torch.equal(value, result[name]) for name, value in recorded.result()["si"].items())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["mas"], "use estimate"),
        (["sii"], "Did you mean 'si'"),
        (["si_bias"], "independent=lambda"),
        (["si"], "has not made a step"),
    ],
)
def test_errors_suggest_a_remedy(names, message):
    network, _, _ = setting()
    optimiser = OPTIMISERS["sgd"](network)
    with pytest.raises(UserError, match=message), record(optimiser, network, names) as recorded:
        recorded.result()


def test_gradients_computed_inside_the_step_are_refused():
    network, batches, _ = setting()
    optimiser = torch.optim.LBFGS(network.parameters())

    def closure():
        optimiser.zero_grad()
        loss = cross_entropy(network(batches[0][0]), batches[0][1])
        loss.backward()
        return loss

    with pytest.raises(UserError, match="cannot be recorded"), record(optimiser, network, ["si"]):
        optimiser.step(closure)
