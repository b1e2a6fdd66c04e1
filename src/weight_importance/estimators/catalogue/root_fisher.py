"""Root Fisher: the square root of the exact Fisher information, parameter by parameter.

Benzing (2022) relates MAS and SI to it. The Fisher information is exact, as in the author's code
(github.com/freedbee/continual_regularisation, ``worker_MAS.py``). The root is taken of the mean over samples, not of
each sample.
"""

from torch import Tensor

from weight_importance.estimators.catalogue.fisher_exact import cotangents
from weight_importance.estimators.kinds import MomentEstimator


def finish(fisher: Tensor, parameter: Tensor) -> Tensor:
    """Square root of the exact Fisher information."""
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
