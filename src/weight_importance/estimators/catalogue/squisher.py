"""Squisher: Adam's moving average of squared batch gradients, taken as the diagonal of the Fisher information.

Li et al. (2025): v_t = β₂ v_{t−1} + (1 − β₂) g_t² at the end of training, which an adaptive optimiser already stores.
As g_t is a batch gradient, v contains the gradients' variance over the batch size plus their squared mean, over the
last 1 / (1 − β₂) steps instead of at the final weights. Division by 1 − β₂^T, as in Adam (Kingma and Ba 2015), is a
constant factor within one task; without it, short tasks would count less than long ones.
:func:`weight_importance.record` reads v from the optimiser's state at no cost; elsewhere it is recorded for the
unpenalised loss with Adam's default β₂ = 0.999. ``sos`` is its square root.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(squared_gradient: Tensor) -> Tensor:
    """Return the moving average."""
    return squared_gradient


ESTIMATOR = PathEstimator(
    label="Squisher",
    formula=r"\tfrac{0.001}{1-0.999^T}\textstyle\sum_t 0.999^{T-t} g_t^2",
    source="li2025fishers",
    records=("squared_gradient",),
    importance=importance,
    kept={"squared_gradient": "exp_avg_sq"},
)
