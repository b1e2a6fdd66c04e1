"""Riemannian Walk (RWalk): running Fisher information plus path score, each rescaled to [0, 1] over the network.

Chaudhry et al. (2018). F (eq. 6) is the moving average 0.9 g² + 0.1 F of the squared batch gradient after the last
step. The score (eq. 7) sums (decrease of the loss) / (½F Δθ² + ε) over intervals of Δt = 10 steps; negative terms count
as zero. The decrease is −Σ g·Δθ over the interval with the gradient g of the unpenalised loss. Δθ is the interval's
displacement; F is taken at the interval's start, including its first step. The importance is F + score (eq. 8), each
minus its minimum and divided by its range over all parameters. The equations leave ε, the normalisation and the initial
F open: F starts with the first step's g²; ε = 10⁻³ and the normalisation follow the first author's code
(github.com/facebookresearch/agem, ``model/model.py``). That code deviates from the equations in two points not adopted
here: it omits the ½, and updates F once per interval with the mean g². With this ε the denominator is close to ε for
almost all parameters.

This is the importance on one task. Over several tasks the authors continue F (which at rate 0.9 reflects only the last
steps) and average old and new score equally. Here F and score restart with each task, and ``retention.accumulation``
combines the tasks as for all estimators; ``online`` with decay ½ is closest to the paper.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(rwalk_fisher: Tensor, rwalk_score: Tensor) -> Tensor:
    """Return F + score, each in [0, 1]."""
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
