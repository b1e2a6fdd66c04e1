"""RWalk's score: how much the loss fell per unit of the distance that the parameter moved the network's distribution.

Chaudhry et al. (2018), eq. 7: over intervals of Δt = 10 steps the sum of (fall of the loss) / (½F Δθ² + ε). The fall
is −Σ g·Δθ over the interval's steps with the unpenalised loss's batch gradient g; Δθ is the interval's displacement;
F is eq. 6, the moving average 0.9 g² + 0.1 F of the squared *batch* gradient (as the authors do, not a sample's),
taken at the interval's end, and that of the first step to begin with; ε is float32's rounding unit, as the paper
leaves it open. A last, incomplete interval does not count. The score alone: their penalty adds F, after both are
divided by their largest value over the network, and averages the score over tasks. At this ε the denominator is ε
nearly everywhere, and the score comes close to SI's path integral. It may be negative.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(rwalk_score: Tensor) -> Tensor:
    """The score itself."""
    return rwalk_score


ESTIMATOR = PathEstimator(
    label="RWalk",
    formula=r"\sum_{\text{intervals}}\frac{-\sum_t g_t\,\Delta\theta_t}{\frac12 F\,(\sum_t\Delta\theta_t)^2+\epsilon}",
    source="chaudhry2018riemannian",
    records=("rwalk_score",),
    importance=importance,
)
