"""Root Fisher: the square root of the exact Fisher information, parameter by parameter.

Benzing (2022), who relates MAS and SI to it; of the exact one, as in the author's code
(github.com/freedbee/continual_regularisation, ``worker_MAS.py``). It is the root of the mean over samples, not the mean
of roots, which would be the mean absolute gradient.
"""

from torch import Tensor

from weight_importance.estimators.catalogue.fisher_exact import cotangents
from weight_importance.estimators.kinds import MomentEstimator


def finish(fisher: Tensor, parameter: Tensor) -> Tensor:
    """√ of the exact Fisher information."""
    return fisher.sqrt()


ESTIMATOR = MomentEstimator(
    label="root Fisher",
    formula=r"\sqrt{\mathbb{E}_{x}\bigl[\textstyle\sum_k p_k\,(\partial_\theta \log p_k)^2\bigr]}",
    source="benzing2022unifying",
    cotangents=cotangents,
    power=2,
    finish=finish,
    needs_labels=False,
    separate_positions=True,
)
