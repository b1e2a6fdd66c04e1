"""Empirical Fisher information: the diagonal of the gradients' second moment at the true labels.

Kirkpatrick et al. (2017) as implemented by Kutalev and Lapina (2021); Kunstner et al. (2019), eq. 3, discuss its
limits.
"""

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from weight_importance.estimators.kinds import MomentEstimator


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The gradient of log p_y at the logits: e_y − p, weight 1."""
    probabilities = logits.softmax(1)
    cotangent = one_hot(labels.long(), logits.shape[1]) - probabilities
    return cotangent[None], torch.ones_like(cotangent[None, :, 0])


ESTIMATOR = MomentEstimator(
    label="Fisher (empirical)",
    formula=r"\mathbb{E}_{(x,y)}\bigl[(\partial_\theta \log p_y)^2\bigr]",
    source="kirkpatrick2017overcoming",
    cotangents=cotangents,
    power=2,
)
