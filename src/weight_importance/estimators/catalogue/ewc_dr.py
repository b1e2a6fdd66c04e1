"""EWC-DR: the second moment of the gradient of the cross-entropy at the reversed logits −z.

Liu and Chang (2026), "logits reversal": if the network is confident of the true class, p_y ≈ 1, the gradient of log p_y
vanishes. With reversed logits the true class has a probability near zero, and the gradient keeps its full size.
True labels; averaged over samples.
"""

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from weight_importance.estimators.kinds import MomentEstimator


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The gradient of −log softmax(−z)_y at the logits: e_y − softmax(−z), weight 1."""
    cotangent = one_hot(labels.long(), logits.shape[1]) - (-logits).softmax(1)
    return cotangent[None], torch.ones_like(cotangent[None, :, 0])


ESTIMATOR = MomentEstimator(
    label="EWC-DR",
    formula=r"\mathbb{E}_{(x,y)}\bigl[(\partial_\theta \log \mathrm{softmax}(-z)_y)^2\bigr]",
    source="liu2026elastic",
    cotangents=cotangents,
    power=2,
)
