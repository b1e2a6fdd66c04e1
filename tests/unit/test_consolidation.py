"""Accumulation over tasks: importances are summed, the anchor is the latest, negative values count as chosen."""

import pytest
import torch

from weight_importance.consolidation import Consolidation


@pytest.mark.parametrize(("clamp", "expected"), [(True, [1.0, 2.0]), (False, [-2.0, 1.0])])
def test_importances_are_summed_and_clamped_task_by_task(clamp, expected):
    consolidation = Consolidation(torch.tensor([1.0]), clamp)
    consolidation.task_learnt({"w": torch.tensor([[5.0, 5.0]])}, {"w": torch.tensor([[-3.0, 2.0]])})
    consolidation.task_learnt({"w": torch.tensor([[7.0, 8.0]])}, {"w": torch.tensor([[1.0, -1.0]])})
    assert consolidation.importance["w"].tolist() == [expected]
    assert consolidation.anchor["w"].tolist() == [[7.0, 8.0]]


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_lambda_omega_squared_distance_per_replica(seed):
    torch.manual_seed(seed)
    strengths, omega, anchor = torch.rand(4), torch.rand(4, 3, 2), torch.randn(4, 3, 2)
    consolidation = Consolidation(strengths, False)
    consolidation.task_learnt({"w": anchor}, {"w": omega})
    theta = torch.randn(4, 3, 2, requires_grad=True)
    (strengths[:, None, None] * omega * (theta - anchor) ** 2).sum().backward()
    loss_gradient = torch.randn(4, 3, 2)
    actual = consolidation.penalty().gradient("w", theta.detach(), loss_gradient)
    torch.testing.assert_close(actual, loss_gradient + theta.grad)


def test_an_anchor_does_not_move_with_the_parameters():
    parameters = {"w": torch.zeros(1, 2)}
    consolidation = Consolidation(torch.tensor([1.0]), True)
    consolidation.task_learnt(parameters, {"w": torch.ones(1, 2)})
    parameters["w"] += 1
    assert consolidation.penalty().gradient("w", parameters["w"], torch.zeros(1, 2)).tolist() == [[2.0, 2.0]]
