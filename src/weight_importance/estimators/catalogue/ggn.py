"""Diagonal of the generalised Gauss-Newton matrix JᵀHJ of the cross-entropy, H being its Hessian at the logits.

Schraudolph (2002). For the softmax H = diag(p) − ppᵀ whatever the label, and JᵀHJ is the exact Fisher information
(Martens 2020, sec. 9.2). It is computed in another way than that one, from the Cholesky factor H = LLᵀ of Tanabe and
Sagae (1992): the diagonal is the sum of the squared pull-backs of L's K − 1 columns. With the tail sums q_k = Σ_{j>k}
p_j (q_0 = 1) column k holds √(p_k q_k / q_{k−1}) at k and −p_i √(p_k / (q_{k−1} q_k)) at every i > k.
"""

import torch
from torch import Generator, Tensor

from weight_importance.estimators.kinds import MomentEstimator


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The K − 1 columns of L, weight 1."""
    p = logits.softmax(1)
    # summed from the end, as 1 − Σ_{j≤k} p_j would be lost to rounding; the first class's tail is 1
    tails = p.flip(1).cumsum(1).flip(1)
    before, after = (tails[:, part].clamp_min(torch.finfo(p.dtype).tiny) for part in (slice(-1), slice(1, None)))
    on_diagonal = (p[:, :-1] * after / before).sqrt()
    below = (p[:, :-1] / before).sqrt()[..., None] * (p[:, None] / after.sqrt()[..., None])
    columns = torch.diag_embed(on_diagonal, dim1=1, dim2=2)
    columns = torch.cat([columns, torch.zeros_like(columns[..., :1])], 2) - below.triu(1)
    return columns.transpose(0, 1), torch.ones_like(columns[..., 0].T)


ESTIMATOR = MomentEstimator(
    label="Gauss-Newton",
    formula=r"\mathbb{E}_{x}\bigl[(J^\top(\mathrm{diag}(p)-pp^\top)J)_{\theta\theta}\bigr]",
    source="schraudolph2002fast",
    cotangents=cotangents,
    power=2,
)
