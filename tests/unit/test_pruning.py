"""Pruning removes the least important weights, and only weights."""

import pytest
import torch

from weight_importance.learning.networks import MLP
from weight_importance.learning.pruning import prune


@pytest.fixture
def parameters():
    torch.manual_seed(0)
    return {name: tensor.detach() for name, tensor in MLP().named_parameters()}


FRACTIONS = [0.0, 0.1, 0.37, 0.5, 1.0]


@pytest.mark.parametrize(("place", "fraction"), list(enumerate(FRACTIONS)))
@pytest.mark.parametrize("scope", ["output", "tensor", "network"])
def test_the_least_important_share_is_removed(parameters, scope, place, fraction):
    importance = {name: torch.randn_like(tensor) for name, tensor in parameters.items()}
    pruned = {name: tensors[place] for name, tensors in prune(parameters, importance, FRACTIONS, scope).items()}
    weights = [name for name in parameters if name.endswith("weight")]
    groups = {
        "output": [[(name, row)] for name in weights for row in range(len(parameters[name]))],
        "tensor": [[(name, slice(None))] for name in weights],
        "network": [[(name, slice(None)) for name in weights]],
    }[scope]
    for group in groups:
        gone = torch.cat([(pruned[name][rows] == 0).flatten() for name, rows in group])
        scores = torch.cat([importance[name][rows].abs().flatten() for name, rows in group])
        assert gone.sum() == round(fraction * len(gone))
        if gone.any() and not gone.all():
            assert scores[gone].max() <= scores[~gone].min()
    for name, tensor in parameters.items():
        kept = pruned[name] != 0
        assert torch.equal(pruned[name][kept], tensor[kept])
        assert name in weights or torch.equal(pruned[name], tensor)


def test_ties_are_broken_by_position_and_the_input_is_unchanged():
    parameters = {"w": torch.ones(1, 4)}
    pruned = prune(parameters, {"w": torch.ones(1, 4)}, [0.5, 0.25], "tensor")["w"]
    assert torch.equal(pruned, torch.tensor([[[0.0, 0, 1, 1]], [[0, 1, 1, 1]]]))
    assert torch.equal(parameters["w"], torch.ones(1, 4))
