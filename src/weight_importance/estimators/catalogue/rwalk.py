"""RWalk's score: how much the loss fell per unit of the distance that the parameter moved the network's distribution.

Chaudhry et al. (2018), eq. 7: over intervals of Δt = 10 steps the sum of (fall of the loss) / (½F Δθ² + ε), each
negative one counted as zero. The fall is −Σ g·Δθ over the interval's steps with the unpenalised loss's batch gradient
g; Δθ is the interval's displacement; F is eq. 6, the moving average 0.9 g² + 0.1 F of the squared *batch* gradient (not
a sample's) at the interval's start, around which the divergence is expanded, its first step's gradient included; to
begin with that alone. Of what the equations leave open, ε = 10⁻³, the batch gradient, and F from before the interval
are those of the first author's later code (github.com/facebookresearch/agem, ``model/model.py``). That code differs
from the equations in what is not followed here: it has no ½, and moves F once per interval, by the mean of the
interval's g². A last, incomplete interval does not count. The score alone: their penalty adds F, after both are mapped
onto [0, 1] over the network, and averages the score over tasks. At this ε the denominator is ε nearly everywhere, and
the score is that of SI's path integral over the intervals in which the loss fell.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(rwalk_score: Tensor) -> Tensor:
    """The score itself, never negative."""
    return rwalk_score


ESTIMATOR = PathEstimator(
    label="RWalk",
    formula=r"\sum_{\text{intervals}}\frac{(-\sum_t g_t\Delta\theta_t)_+}{\frac12 F(\sum_t\Delta\theta_t)^2+\epsilon}",
    source="chaudhry2018riemannian",
    records=("rwalk_score",),
    importance=importance,
)
