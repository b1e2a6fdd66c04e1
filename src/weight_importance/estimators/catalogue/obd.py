"""Optimal brain damage: the increase of the loss, to second order, when a weight is removed at a minimum.

LeCun, Denker and Solla (1989): the saliency ½hθ² with the diagonal h of the Hessian of the mean cross-entropy. The
paper propagates a diagonal Gauss-Newton approximation; here h is the diagonal of ``hessian_diagonal``.
"""

from torch import Tensor

from weight_importance.estimators.catalogue.fisher_exact import cotangents
from weight_importance.estimators.kinds import CurvatureEstimator


def finish(diagonal: Tensor, parameter: Tensor) -> Tensor:
    """½hθ²."""
    return diagonal * parameter.square() / 2


ESTIMATOR = CurvatureEstimator(
    label="optimal brain damage",
    formula=r"\tfrac12\,\theta^2\,\partial_\theta^2\,\mathbb{E}_{(x,y)}[-\log p_y]",
    source="lecun1989optimal",
    gauss_newton=cotangents,
    finish=finish,
)
