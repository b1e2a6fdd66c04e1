"""Squisher: Adam's moving average of squared batch gradients, taken as the diagonal of the Fisher information.

Li et al. (2025): v_t = β₂ v_{t−1} + (1 − β₂) g_t², which an adaptive optimiser keeps anyway, at the end of training. As
g_t is the gradient of a batch's mean loss, v contains the gradients' variance over the batch size and their squared
mean, along the last 1 / (1 − β₂) steps in place of the final weights. It is divided by 1 − β₂^T, as in Adam (Kingma and
Ba 2015): within one task a constant factor, without which short tasks would count less than long ones. In
:func:`weight_importance.record` it comes from the optimiser's state and costs nothing; elsewhere the average is
recorded with Adam's default β₂ = 0.999, of the unpenalised loss. ``sos`` is its root.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(squared_gradient: Tensor) -> Tensor:
    """The average itself."""
    return squared_gradient


ESTIMATOR = PathEstimator(
    label="Squisher",
    formula=r"\tfrac{0.001}{1-0.999^T}\textstyle\sum_t 0.999^{T-t} g_t^2",
    source="li2025fishers",
    records=("squared_gradient",),
    importance=importance,
    kept={"squared_gradient": "exp_avg_sq"},
)
