"""Batched MAS: the absolute gradient of the mean squared logit of mini-batches, as in the code of Hsu et al. (2018).

The absolute value must be taken of one sample's gradient, not of a batch's mean (Aljundi et al. 2018, eq. 3): what
samples disagree about cancels, so scale and ranks depend on the size of the batch. It is included because published
results use it. Batches of :data:`BATCH` samples in the order given, the last one may be smaller; averaged over batches.
"""

import torch
from torch import Generator, Tensor

from weight_importance.estimators.kinds import MomentEstimator

BATCH = 128
"""Samples in a batch, as many as there."""


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
