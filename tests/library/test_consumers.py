"""Uses of importances: penalty, files, pruning, merging; and the examples of the library's page."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import weight_importance
from weight_importance import Penalty, estimate, estimate_all, load_importance, pruning_scores, save_importance
from weight_importance.runtime.errors import UserError

PAGE = Path(__file__).parents[2] / "docs/library.md"


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def importances(count: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {name: torch.randn(p.shape, generator=generator).double() for name, p in network().named_parameters()}
        for _ in range(count)
    ]


OMEGA = {
    "sum": lambda a, b, c: a + b + c,
    "mean": lambda a, b, c: (a + b + c) / 3,
    "online": lambda a, b, c: 0.25 * a + 0.5 * b + c,
}


@pytest.mark.parametrize("clamp_negative", [False, True])
@pytest.mark.parametrize("accumulation", OMEGA)
def test_the_penalty_and_its_gradient(accumulation, clamp_negative):
    net, tasks = network(), importances(3)
    penalty = Penalty(2.5, accumulation=accumulation, decay=0.5, clamp_negative=clamp_negative)
    assert penalty(net) == 0
    for task in tasks:
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += 0.1
        penalty.update(net, task)
    anchor = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += torch.randn_like(parameter)
    value = penalty(net)
    value.backward()
    expected = 0.0
    for name, parameter in net.named_parameters():
        counted = [task[name].clamp(min=0) if clamp_negative else task[name] for task in tasks]
        omega, moved = OMEGA[accumulation](*counted), parameter.detach() - anchor[name]
        expected += 2.5 * (omega * moved**2).sum()
        torch.testing.assert_close(parameter.grad, 2 * 2.5 * omega * moved)
    torch.testing.assert_close(value.detach(), expected)
    again = Penalty(2.5, accumulation=accumulation, decay=0.5, clamp_negative=clamp_negative)
    again.load_state_dict(penalty.state_dict())
    assert torch.equal(again(net), value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda task: {"unknown": torch.ones(2)}, "no parameter 'unknown'"),
        (lambda task: task | {"0.bias": torch.ones(2)}, "no parameter '0.bias' of shape .2,."),
        (lambda task: task | {"0.bias": torch.full((8,), torch.nan)}, "'0.bias' is not finite"),
        (lambda task: {"0.bias": task["0.bias"]}, "these differ: 0.weight, 2.bias, 2.weight"),
        (lambda task: {"mas": task}, "of 'mas' is not a tensor. Pass the importances of one"),
    ],
)
def test_a_penalty_refuses_incompatible_importances(change, message):
    penalty, (task,) = Penalty(1.0), importances(1)
    penalty.update(network(), task)
    with pytest.raises(UserError, match=message):
        penalty.update(network(), change(task))
    with pytest.raises(UserError, match="Did you mean 'mean'"):
        Penalty(1.0, accumulation="maen")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": -1.0}, "strength .* at least 0; found -1.0"),
        ({"strength": float("nan")}, "strength .* found nan"),
        ({"strength": "1"}, "strength .* found '1'"),
        ({"strength": torch.ones(2)}, "strength .* found tensor"),
        ({"strength": 1.0, "accumulation": "online", "decay": 7}, "decay .* between 0 and 1; found 7"),
    ],
)
def test_a_penalty_refuses_values_outside_their_range(arguments, message):
    with pytest.raises(UserError, match=message):
        Penalty(**arguments)


@pytest.mark.parametrize("outputs", [1, 4, None])
def test_a_penalty_refuses_a_network_with_another_head(outputs):
    penalty, (task,) = Penalty(1.0), importances(1)
    penalty.update(network(), task)
    other = network()[:2] if outputs is None else nn.Sequential(*network()[:2], nn.Linear(8, outputs))
    with pytest.raises(UserError, match=r"no parameter '2.weight' of shape \(3, 8\), which the penalty covers"):
        penalty(other)
    if outputs is not None:
        with pytest.raises(UserError, match=r"no parameter '2.weight' of shape \(3, 8\)"):
            penalty.update(other, {name: torch.ones_like(values) for name, values in other.named_parameters()})
        assert penalty.tasks == 1
    with pytest.raises(UserError, match="expected tasks, importance, anchor; found a"):
        penalty.load_state_dict({"a": 1})


def test_files(tmp_path):
    (task,) = importances(1)
    save_importance(tmp_path / "x.safetensors", task, estimator="mas", data="digits", samples=7)
    loaded, header = load_importance(tmp_path / "x.safetensors")
    assert all(torch.equal(loaded[name], value) for name, value in task.items()) and loaded.keys() == task.keys()
    assert (header["estimator"], header["data"], header["samples"]) == ("mas", "digits", "7")
    assert torch.__version__ in header["versions"] and len(list(tmp_path.iterdir())) == 1
    (tmp_path / "y.safetensors").write_text("no tensors")
    for name in ("y", "z"):
        with pytest.raises(UserError, match=f"cannot read importances from .*{name}.safetensors"):
            load_importance(tmp_path / f"{name}.safetensors")
    with pytest.raises(UserError, match=r"no folder .*nowhere"):
        save_importance(tmp_path / "nowhere/x.safetensors", task, estimator="mas")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("mas", "names must be a list of estimators, such as .'mas'."),
        ([["mas"]], "named by a string, such as 'mas'; found list"),
        (["mine.py"], "'mine.py' is a file: .* IMPORTANCE_ATLAS_ESTIMATORS, and name the estimator 'mine'"),
    ],
)
def test_names_of_estimators_are_checked(names, message):
    with pytest.raises(UserError, match=message):
        estimate_all(names, network(), torch.zeros(2, 6).double())


def test_the_least_important_weights_are_pruned():
    net, (task,) = network(), importances(1)
    weights = {name: task[name].abs() for name in ("0.weight", "2.weight")}
    scores = pruning_scores(net, weights)
    prune.global_unstructured(list(scores), prune.L1Unstructured, importance_scores=scores, amount=0.25)
    threshold = torch.cat([value.flatten() for value in weights.values()]).sort().values[18]  # a quarter of 72
    for layer in ("0", "2"):
        assert torch.equal(net.get_submodule(layer).weight_mask == 1, weights[f"{layer}.weight"] >= threshold)
    with pytest.raises(UserError, match="to be pruned"):
        pruning_scores(net, weights)


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(blocks) == 7
    assert float(names["penalty"](names["network"])) > 0
    zero = sum((value == 0).sum().item() for value in (names["pruned"][0].weight, names["pruned"][2].weight))
    assert zero == (20 * 32 + 32 * 4) // 2
    assert names["merged"][0].weight.shape == (32, 20)


def test_public_names_exist_and_torch_is_loaded_on_first_use():
    import subprocess
    import sys

    for name in weight_importance.__all__:
        assert getattr(weight_importance, name) is not None
    code = "import sys, weight_importance; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'estimat'"):
        _ = weight_importance.estimat
    assert estimate is weight_importance.estimate
