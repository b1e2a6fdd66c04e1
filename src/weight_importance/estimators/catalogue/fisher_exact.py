"""Exact Fisher information: the expectation over the network's own predictive distribution, class by class.

Martens (2020), eq. 7; for softmax outputs it equals the diagonal of the generalised Gauss-Newton matrix.
"""

import torch
from torch import Generator, Tensor

from weight_importance.estimators.kinds import MomentEstimator


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """e_k − p for every class k, weight p_k."""
    probabilities = logits.softmax(1)
    classes = torch.eye(logits.shape[1], dtype=logits.dtype, device=logits.device)
    return classes[:, None] - probabilities, probabilities.T


ESTIMATOR = MomentEstimator(
    label="Fisher (exact)",
    formula=r"\mathbb{E}_{x}\Bigl[\sum_k p_k\,(\partial_\theta \log p_k)^2\Bigr]",
    source="martens2020new",
    cotangents=cotangents,
    power=2,
)
