"""Root Fisher: the square root of the empirical Fisher information, parameter by parameter.

Benzing (2022), who relates MAS and SI to it. The root is taken of the mean over samples (it is no mean of roots,
which would be the mean absolute gradient).
"""

from torch import Tensor

from weight_importance.estimators.catalogue.fisher_empirical import cotangents
from weight_importance.estimators.kinds import MomentEstimator


def finish(fisher: Tensor, parameter: Tensor) -> Tensor:
    """√ of the empirical Fisher information."""
    return fisher.sqrt()


ESTIMATOR = MomentEstimator(
    label="root Fisher",
    formula=r"\sqrt{\mathbb{E}_{(x,y)}\bigl[(\partial_\theta \log p_y)^2\bigr]}",
    source="benzing2022unifying",
    cotangents=cotangents,
    power=2,
    finish=finish,
)
