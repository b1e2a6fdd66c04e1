"""Riemannian Walk (RWalk): running Fisher information plus the path's score, each mapped onto [0, 1] over the network.

Chaudhry et al. (2018). F is eq. 6, the moving average 0.9 g² + 0.1 F of the squared batch gradient, after the last
step. The score is eq. 7: over intervals of Δt = 10 steps the sum of (fall of the loss) / (½F Δθ² + ε), negative ones
counted as zero; the fall is −Σ g·Δθ over the interval's steps with the unpenalised loss's gradient g, Δθ the interval's
displacement, F that at the interval's start, its first step included. The penalty's factor is F + score (eq. 8), each
less its least value and divided by its range over all parameters. The equations leave open ε, the normalisation, and
the beginning of F, which is the first step's g²: ε = 10⁻³ and the normalisation are those of the first author's code
(github.com/facebookresearch/agem, ``model/model.py``). That code differs from the equations in what is not followed
here: it has no ½, and updates F once per interval, by the mean of the interval's g². At this ε the denominator is ε
nearly everywhere.

This is the importance on one task. Over several tasks the authors carry F on, which with rate 0.9 is that of the last
steps, and average the score with the earlier one, half and half. Here F and score begin with each task, and
``retention.accumulation`` combines the tasks as for all estimators; ``online`` with decay ½ is closest to the authors.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(rwalk_fisher: Tensor, rwalk_score: Tensor) -> Tensor:
    """The sum of the two, each between 0 and 1."""
    return rwalk_fisher + rwalk_score


ESTIMATOR = PathEstimator(
    label="RWalk",
    formula=r"[F]_0^1 + \Bigl[\sum_{\text{intervals}}"
    r"\frac{(-\sum_t g_t\Delta\theta_t)_+}{\frac12 F(\sum_t\Delta\theta_t)^2+\epsilon}\Bigr]_0^1",
    source="chaudhry2018riemannian",
    records=("rwalk_fisher", "rwalk_score"),
    normalised=("rwalk_fisher", "rwalk_score"),
    importance=importance,
)
