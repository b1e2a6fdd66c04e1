"""The rank-one reconstruction of an importance."""

import pytest
import torch

from weight_importance.estimators.factors import factor_correlation, rank_one


def product(seed: int, out: int = 7, inputs: int = 11) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    rows, columns = torch.rand(2, out, 1, generator=random), torch.rand(2, 1, inputs, generator=random)
    return (rows * columns).double()


@pytest.mark.parametrize("seed", range(3))
def test_an_exact_product_is_reconstructed_with_correlation_one(seed):
    importance = product(seed)
    torch.testing.assert_close(rank_one(importance), importance)
    torch.testing.assert_close(factor_correlation(importance), torch.ones(2, dtype=torch.float64))


def test_scale_and_order_of_neurons_have_no_effect():
    importance = product(0) + torch.rand(2, 7, 11, generator=torch.Generator().manual_seed(9))
    expected = factor_correlation(importance)
    torch.testing.assert_close(factor_correlation(1e-9 * importance), expected)
    torch.testing.assert_close(factor_correlation(importance.flip(1)), expected)


def test_entries_that_are_not_positive_are_omitted():
    importance = product(1)
    importance[:, :, 3] = 0.0
    importance[:, 2, :] = -1.0
    torch.testing.assert_close(factor_correlation(importance), torch.ones(2, dtype=torch.float64))


def test_a_replica_does_not_depend_on_the_others():
    importance = product(2) + torch.rand(2, 7, 11, generator=torch.Generator().manual_seed(3))
    alone = torch.cat([factor_correlation(importance[:1]), factor_correlation(importance[1:])])
    assert torch.equal(factor_correlation(importance), alone)


def test_convolutions_combine_inputs_and_positions():
    importance = product(4, 6, 12)
    assert torch.equal(factor_correlation(importance.view(2, 6, 3, 2, 2)), factor_correlation(importance))
