"""Memory Aware Synapses on the softmax: the mean absolute gradient of the squared norm of the probabilities.

Aljundi et al. (2018), eq. 3, with the softmax as the output function, as in Kutalev (2022).
"""

import torch
from torch import Generator, Tensor

from weight_importance.estimators.kinds import MomentEstimator


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The gradient of Σ_k p_k² at the logits: 2p∘(p − Σ_k p_k²), weight 1."""
    probabilities = logits.softmax(1)
    cotangent = 2 * probabilities * (probabilities - probabilities.square().sum(1, keepdim=True))
    return cotangent[None], torch.ones_like(cotangent[None, :, 0])


ESTIMATOR = MomentEstimator(
    label="MAS (softmax)",
    formula=r"\mathbb{E}_{x}\bigl[\lvert\partial_\theta \textstyle\sum_k p_k^2\rvert\bigr]",
    source="aljundi2018memory",
    cotangents=cotangents,
    power=1,
    needs_labels=False,
)
