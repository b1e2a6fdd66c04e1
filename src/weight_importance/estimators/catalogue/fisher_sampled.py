"""Fisher information with one label per sample drawn from the network's own predictive distribution.

Unbiased for the exact Fisher information: Kunstner et al. (2019), sec. 2.
"""

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from weight_importance.estimators.kinds import MomentEstimator
from weight_importance.runtime.errors import UserError


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """e_ỹ − p with ỹ drawn from p, weight 1."""
    if generator is None:
        raise UserError("fisher_sampled draws labels: pass generator=torch.Generator().manual_seed(...)")
    probabilities = logits.softmax(1)
    drawn = torch.multinomial(probabilities.to(generator.device), 1, generator=generator)[:, 0].to(logits.device)
    cotangent = one_hot(drawn, logits.shape[1]) - probabilities
    return cotangent[None], torch.ones_like(cotangent[None, :, 0])


ESTIMATOR = MomentEstimator(
    label="Fisher (sampled)",
    formula=r"\mathbb{E}_{x}\,\mathbb{E}_{\tilde y\sim p}\bigl[(\partial_\theta \log p_{\tilde y})^2\bigr]",
    source="kunstner2019limitations",
    cotangents=cotangents,
    power=2,
    needs_labels=False,
)
