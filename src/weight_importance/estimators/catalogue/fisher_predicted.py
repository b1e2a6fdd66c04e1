"""Fisher information at the predicted label: the second moment of the gradient of log max_k p_k.

Label mode ``max_pred`` of Masana et al. (2023) and of many implementations. It is neither the exact Fisher
information (one class replaces the expectation over all) nor the empirical one (misclassified samples use the
predicted label): with p the probability of the predicted class, the squared norm of the gradient at the logits is
(1 − p)² + Σ_{k≠ŷ} p_k² ≤ 2(1 − p)², so samples with a confident prediction hardly contribute. Averaged over samples.
"""

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from weight_importance.estimators.kinds import MomentEstimator


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """e_ŷ − p with ŷ = argmax p, weight 1; ties go to the first class."""
    cotangent = one_hot(logits.argmax(1), logits.shape[1]) - logits.softmax(1)
    return cotangent[None], torch.ones_like(cotangent[None, :, 0])


ESTIMATOR = MomentEstimator(
    label="Fisher (predicted)",
    formula=r"\mathbb{E}_{x}\bigl[(\partial_\theta \log \max_k p_k)^2\bigr]",
    source="masana2023class",
    cotangents=cotangents,
    power=2,
    needs_labels=False,
)
