"""Batched MAS: the absolute gradient of the mean squared logit of mini-batches, as in the code of Hsu et al. (2018).

The absolute value belongs on per-sample gradients, not on a batch's mean gradient (Aljundi et al. 2018, eq. 3):
opposite signs cancel within a batch, so scale and ranks depend on the batch size. The estimator is included because
published results use it. Consecutive batches of :data:`BATCH` samples, the last may be smaller; averaged over batches.
"""

import torch
from torch import Generator, Tensor

from weight_importance.estimators.kinds import MomentEstimator

BATCH = 128
"""Samples per batch, as in that code."""


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The gradient of the mean over k of z_k² at the logits: 2z/K, weight 1."""
    return 2 / logits.shape[1] * logits[None], torch.ones_like(logits[None, :, 0])


ESTIMATOR = MomentEstimator(
    label="MAS (batched)",
    formula=r"\mathbb{E}_{B}\bigl[\lvert\partial_\theta \tfrac{1}{128K}\textstyle\sum_{x\in B,k} z_k^2\rvert\bigr]",
    source="hsu2018reevaluating",
    cotangents=cotangents,
    power=1,
    batch=BATCH,
    needs_labels=False,
)
