"""Diagonal of the generalised Gauss-Newton matrix JᵀHJ of the cross-entropy, H being its Hessian at the logits.

Schraudolph (2002). For the softmax, H = diag(p) − ppᵀ for every label, and JᵀHJ is the exact Fisher information
(Martens 2020, sec. 9.2). Unlike ``fisher_exact``, it uses the Cholesky factor H = LLᵀ of Tanabe and Sagae (1992): the
diagonal is the sum of the squared pull-backs of L's K − 1 columns. With the tail sums q_k = Σ_{j>k} p_j (q_0 = 1),
column k contains √(p_k q_k / q_{k−1}) at k and −p_i √(p_k / (q_{k−1} q_k)) at every i > k.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from weight_importance.estimators.kinds import MomentEstimator, Weighted, blocks_of_classes


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> Iterator[Weighted]:
    """The K − 1 columns of L, weight 1."""
    p = logits.softmax(1)
    # summed from the end, because rounding would ruin 1 − Σ_{j≤k} p_j; the first class's tail is 1
    tails = p.flip(1).cumsum(1).flip(1)
    tiny = torch.finfo(p.dtype).tiny
    classes = torch.arange(p.shape[1], device=p.device)
    for block in blocks_of_classes(logits):
        k = torch.tensor(block, device=p.device)[: p.shape[1] - 1 - block.start]
        if len(k) == 0:
            continue
        before, after = tails[:, k].clamp_min(tiny).T[..., None], tails[:, k + 1].clamp_min(tiny).T[..., None]
        own = p[:, k].T[..., None]
        on_diagonal = (own * after / before).sqrt()
        below = (own / before).sqrt() * (p / after.sqrt())
        k = k[:, None, None]
        columns = torch.where(classes == k, on_diagonal, torch.where(classes > k, -below, 0))
        yield columns, torch.ones_like(columns[..., 0])


ESTIMATOR = MomentEstimator(
    label="Gauss-Newton",
    formula=r"\mathbb{E}_{x}\bigl[(J^\top(\mathrm{diag}(p)-pp^\top)J)_{\theta\theta}\bigr]",
    source="schraudolph2002fast",
    cotangents=cotangents,
    power=2,
    needs_labels=False,
    separate_positions=True,
)
