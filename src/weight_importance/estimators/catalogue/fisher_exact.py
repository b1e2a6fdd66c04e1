"""Exact Fisher information: the expectation over the network's own predictive distribution, class by class.

Martens (2020), eq. 7; for softmax outputs it equals the diagonal of the generalised Gauss-Newton matrix.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from weight_importance.estimators.kinds import MomentEstimator, Weighted, blocks_of_classes


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> Iterator[Weighted]:
    """e_k − p for every class k, weight p_k."""
    probabilities = logits.softmax(1)
    for block in blocks_of_classes(logits):
        classes = one_hot(torch.tensor(block, device=logits.device), logits.shape[1])
        yield classes[:, None] - probabilities, probabilities.T[block.start : block.stop]


ESTIMATOR = MomentEstimator(
    label="Fisher (exact)",
    formula=r"\mathbb{E}_{x}\Bigl[\sum_k p_k\,(\partial_\theta \log p_k)^2\Bigr]",
    source="martens2020new",
    cotangents=cotangents,
    power=2,
    needs_labels=False,
    separate_positions=True,
)
