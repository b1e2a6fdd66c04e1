"""Memory Aware Synapses on the logits: the mean absolute gradient of the squared norm of the network's output.

Aljundi et al. (2018), eq. 3.
"""

import torch
from torch import Generator, Tensor

from weight_importance.estimators.kinds import MomentEstimator


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The gradient of Σ_k z_k² at the logits: 2z, weight 1."""
    return 2 * logits[None], torch.ones_like(logits[None, :, 0])


ESTIMATOR = MomentEstimator(
    label="MAS (logits)",
    formula=r"\mathbb{E}_{x}\bigl[\lvert\partial_\theta \textstyle\sum_k z_k^2\rvert\bigr]",
    source="aljundi2018memory",
    cotangents=cotangents,
    power=1,
    needs_labels=False,
)
