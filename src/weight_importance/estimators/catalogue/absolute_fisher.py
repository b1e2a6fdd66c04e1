"""Absolute Fisher: the first absolute moment where the Fisher information takes the second.

Benzing (2022), "AF", as in the author's code (github.com/freedbee/continual_regularisation, ``worker_MAS.py``): over
all classes, weighted by their probabilities. MAS comes close to it.
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
    label="absolute Fisher",
    formula=r"\mathbb{E}_{x}\Bigl[\sum_k p_k\,\lvert\partial_\theta \log p_k\rvert\Bigr]",
    source="benzing2022unifying",
    cotangents=cotangents,
    power=1,
)
