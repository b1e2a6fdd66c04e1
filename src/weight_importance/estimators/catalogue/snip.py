"""SNIP, or Taylor saliency: the change of the mean loss, to first order, when a weight is removed.

Lee, Ajanthan and Torr (2019), connection sensitivity: |θ ∂L/∂θ| with the mean loss over all samples; as a Taylor
expansion of the cost of removal, it is also common for trained networks. The mean gradient keeps signs and vanishes at
a minimum. The paper's division by the sum over all weights changes no ranking and is omitted.
"""

from torch import Tensor

from weight_importance.estimators.catalogue.fisher_empirical import cotangents
from weight_importance.estimators.kinds import ALL, MomentEstimator


def finish(gradient: Tensor, parameter: Tensor) -> Tensor:
    """|θ| times the absolute gradient of the mean loss."""
    return parameter.abs() * gradient


ESTIMATOR = MomentEstimator(
    label="SNIP",
    formula=r"\bigl\lvert\theta\,\partial_\theta\,\mathbb{E}_{(x,y)}[\log p_y]\bigr\rvert",
    source="lee2019snip",
    cotangents=cotangents,
    power=1,
    batch=ALL,
    finish=finish,
)
