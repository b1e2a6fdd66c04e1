"""Accumulation over tasks: sums of importances, the latest anchor, and clamping of negative values."""

import pytest
import torch

from weight_importance.learning.engine.optimiser import add_gradient
from weight_importance.learning.penalty import Consolidation


def gradient_under(consolidation, name, parameter, loss_gradient):
    penalty = consolidation.penalty()
    out = torch.empty_like(loss_gradient)
    return add_gradient(loss_gradient, parameter, penalty.anchor[name], penalty.stiffness[name], out)


@pytest.mark.parametrize(("clamp", "expected"), [(True, [1.0, 2.0]), (False, [-2.0, 1.0])])
def test_importances_are_summed_and_clamped_task_by_task(clamp, expected):
    consolidation = Consolidation(torch.tensor([1.0]), clamp)
    consolidation.task_learnt({"w": torch.tensor([[5.0, 5.0]])}, {"w": torch.tensor([[-3.0, 2.0]])})
    consolidation.task_learnt({"w": torch.tensor([[7.0, 8.0]])}, {"w": torch.tensor([[1.0, -1.0]])})
    assert consolidation.importance["w"].tolist() == [expected]
    assert consolidation.anchor["w"].tolist() == [[7.0, 8.0]]


@pytest.mark.parametrize(
    ("accumulation", "decay", "expected"),
    [("sum", 0.5, 1 + 2 + 6), ("mean", 0.5, 3), ("online", 0.5, 1 / 4 + 1 + 6), ("online", 1.0, 9), ("online", 0.0, 6)],
)
def test_accumulations_of_importances_of_three_tasks(accumulation, decay, expected):
    consolidation = Consolidation(torch.ones(1), True, accumulation=accumulation, decay=decay)
    for value in (1.0, 2.0, 6.0):
        consolidation.task_learnt({"w": torch.zeros(1, 2)}, {"w": torch.tensor([[value, -value]])})
    assert consolidation.importance["w"].tolist() == [[pytest.approx(expected), 0]]


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_equals_that_of_the_plain_penalty_per_replica(seed):
    torch.manual_seed(seed)
    strengths, omega, anchor = torch.rand(4), torch.rand(4, 3, 2), torch.randn(4, 3, 2)
    consolidation = Consolidation(strengths, False)
    consolidation.task_learnt({"w": anchor}, {"w": omega})
    theta = torch.randn(4, 3, 2, requires_grad=True)
    (strengths[:, None, None] * omega * (theta - anchor) ** 2).sum().backward()
    loss_gradient = torch.randn(4, 3, 2)
    actual = gradient_under(consolidation, "w", theta.detach(), loss_gradient)
    torch.testing.assert_close(actual, loss_gradient + theta.grad)


def test_an_anchor_does_not_move_with_the_parameters():
    parameters = {"w": torch.zeros(1, 2)}
    consolidation = Consolidation(torch.tensor([1.0]), True)
    consolidation.task_learnt(parameters, {"w": torch.ones(1, 2)})
    parameters["w"] += 1
    assert gradient_under(consolidation, "w", parameters["w"], torch.zeros(1, 2)).tolist() == [[2.0, 2.0]]


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_equals_that_of_the_stabilised_penalty(seed):
    """½ Σ λΩ / (λΩη + 1) (θ − θ*)², by automatic differentiation."""
    torch.manual_seed(seed)
    rate, strengths, omega, anchor = 1e-3, 10 ** (8 * torch.rand(4) - 2), torch.rand(4, 3, 2), torch.randn(4, 3, 2)
    consolidation = Consolidation(strengths, True, "stabilised", rate)
    consolidation.task_learnt({"w": anchor}, {"w": omega})
    theta = torch.randn(4, 3, 2, requires_grad=True)
    weighted = strengths[:, None, None] * omega
    (0.5 * weighted / (weighted * rate + 1) * (theta - anchor) ** 2).sum().backward()
    actual = gradient_under(consolidation, "w", theta.detach(), torch.zeros(4, 3, 2))
    torch.testing.assert_close(actual, theta.grad)
    assert (actual.abs() <= (theta.detach() - anchor).abs() / rate * (1 + 1e-5)).all()


def test_the_stabilised_penalty_at_a_small_strength_is_half_the_plain_one():
    omega, anchor, theta = torch.rand(1, 5), torch.zeros(1, 5), torch.randn(1, 5)
    gradients = []
    for penalty, strength in (("plain", 0.01), ("stabilised", 0.02)):
        consolidation = Consolidation(torch.tensor([strength]), True, penalty, 1e-3)
        consolidation.task_learnt({"w": anchor}, {"w": omega})
        gradients.append(gradient_under(consolidation, "w", theta, torch.zeros(1, 5)))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=0)
