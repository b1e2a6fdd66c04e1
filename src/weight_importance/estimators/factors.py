"""Rank-one structure of an importance: one factor per output neuron times one factor per input.

A linear layer's per-sample gradient is the outer product g aᵀ, so its moment is the mean of |g|^q |a|^q. If g and a
were independent over the samples, every moment would be the outer product of a row and a column factor.
"""

import torch
from torch import Tensor


def rank_one(importance: Tensor) -> Tensor:
    """Return row sums times column sums over the total, of the positive part: rank one, with the same margins.

    Args:
        importance: ``(..., out, in)``; negative entries count as zero.
    """
    positive = importance.clamp(min=0).double()
    total = positive.sum((-2, -1), keepdim=True)
    return positive.sum(-1, keepdim=True) * positive.sum(-2, keepdim=True) / total


def factor_correlation(importance: Tensor) -> Tensor:
    """Return the Pearson correlation of log importance with its log :func:`rank_one` reconstruction.

    Args:
        importance: ``(R, out, ...)``, trailing axes flattened; entries not above zero are excluded.

    Returns:
        ``(R,)``.
    """
    matrices = importance.flatten(2)
    correlations = []
    for matrix, model in zip(matrices, rank_one(matrices), strict=True):
        positive = matrix > 0
        pair = torch.stack([matrix[positive].double().log(), model[positive].log()])
        correlations.append(torch.corrcoef(pair)[0, 1])
    return torch.stack(correlations)
