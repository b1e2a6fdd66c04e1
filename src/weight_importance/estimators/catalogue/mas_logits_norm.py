"""Memory Aware Synapses on the norm of the logits: the mean absolute gradient of ‖z‖, not of its square.

Aljundi et al. (2018), sec. 4.1, propose the squared norm for its simpler gradient; this estimator uses the norm itself.
Its gradient lacks the factor 2‖z‖ of the squared norm, so samples with large logits count less.
"""

import torch
from torch import Generator, Tensor

from weight_importance.estimators.kinds import MomentEstimator


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The gradient of ‖z‖ at the logits: z / ‖z‖, weight 1; zero where all logits are zero."""
    norm = logits.norm(dim=1, keepdim=True)
    cotangent = logits / norm.clamp_min(torch.finfo(logits.dtype).tiny)
    return cotangent[None], torch.ones_like(logits[None, :, 0])


ESTIMATOR = MomentEstimator(
    label="MAS (logits, norm)",
    formula=r"\mathbb{E}_{x}\bigl[\lvert\partial_\theta \lVert z\rVert_2\rvert\bigr]",
    source="aljundi2018memory",
    cotangents=cotangents,
    power=1,
    needs_labels=False,
)
