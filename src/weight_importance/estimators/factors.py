"""How much of an importance is one factor per output neuron times one factor per input.

For a linear layer the gradient of a sample is the outer product g aᵀ, so a moment of it is the mean of |g|^q |a|^q;
were the two independent over the samples, every moment would be the outer product of a row and a column factor.
"""

import torch
from torch import Tensor


def rank_one(importance: Tensor) -> Tensor:
    """Row sums times column sums over the total, of the positive part: independent factors with the same margins.

    Args:
        importance: ``(..., out, in)``; negative entries count as zero.
    """
    positive = importance.clamp(min=0).double()
    total = positive.sum((-2, -1), keepdim=True)
    return positive.sum(-1, keepdim=True) * positive.sum(-2, keepdim=True) / total


def factor_correlation(importance: Tensor) -> Tensor:
    """Pearson correlation of the logarithms of an importance and of its :func:`rank_one` reconstruction.

    Args:
        importance: ``(R, out, ...)``, the trailing axes taken as one; entries not above zero are left out.

    Returns:
        ``(R,)``.
    """
    matrices = importance.flatten(2)
    found = []
    for matrix, model in zip(matrices, rank_one(matrices), strict=True):
        positive = matrix > 0
        pair = torch.stack([matrix[positive].double().log(), model[positive].log()])
        found.append(torch.corrcoef(pair)[0, 1])
    return torch.stack(found)


def log_slope(first: Tensor, second: Tensor) -> Tensor:
    """The least-squares slope of log ``second`` on log ``first`` over the entries that are positive in both.

    Args:
        first, second: two importances ``(R, ...)`` of the same shape.

    Returns:
        ``(R,)``; ``nan`` where fewer than two entries are left.
    """
    slopes = []
    for a, b in zip(first.flatten(1).double(), second.flatten(1).double(), strict=True):
        both = (a > 0) & (b > 0)
        x, y = a[both].log(), b[both].log()
        centred = x - x.mean()
        slopes.append((centred * y).sum() / centred.square().sum())
    return torch.stack(slopes)
