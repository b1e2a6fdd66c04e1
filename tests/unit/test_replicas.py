"""Stacks of networks: one per seed, copied and selected."""

import pytest
import torch
from torch import nn

from networks_under_test import NormalisedVector
from weight_importance.files.trained import AdamState, Trained
from weight_importance.learning.replicas import initialise, restore
from weight_importance.runtime.errors import UserError


def test_dropout_is_refused_by_name():
    def build():
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Dropout(0.5))

    with pytest.raises(UserError, match="layer '2' is a Dropout"):
        initialise(build, [0, 1])


def test_take_repeats_and_copies():
    replicas = initialise(NormalisedVector, [5, 7])
    replicas.adam = AdamState(3, replicas.parameters, replicas.parameters)
    taken = replicas.take([1, 1, 0])
    assert taken.seeds == [7, 7, 5] and len(taken) == 3
    taken.parameters["fc1.bias"][0] = 0
    assert torch.equal(taken.parameters["fc1.bias"][1], replicas.parameters["fc1.bias"][1])
    assert torch.equal(taken.parameters["fc1.bias"][2], replicas.parameters["fc1.bias"][0])
    assert torch.equal(taken.adam.first["fc1.bias"][2], replicas.parameters["fc1.bias"][0])


def test_a_stack_is_restored_and_one_of_another_network_refused():
    replicas = initialise(NormalisedVector, [5, 7])
    trained = Trained(replicas.seeds, replicas.parameters, replicas.buffers, None)
    again = restore(NormalisedVector, trained, "cpu")
    assert again.seeds == [5, 7] and again.adam is None
    for name, value in (replicas.parameters | replicas.buffers).items():
        assert torch.equal((again.parameters | again.buffers)[name], value)
    with pytest.raises(UserError, match="the weights do not fit the network Linear: 'weight' is missing"):
        restore(lambda: nn.Linear(16, 4), trained, "cpu")
