"""The bias part of Synaptic Intelligence: SI less its unbiased version.

Benzing (2022), "SIB": −Σ (g_t − h_t)Δθ_t with the gradient g_t of the step's own batch and h_t of an independent one,
both without the penalty; in expectation what the step owes to its batch's noise. Damping as in ``si``. It may be
negative. It costs a second gradient at every step.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator

DAMPING = 0.1
"""ξ in the denominator."""


def importance(path_integral: Tensor, independent_path_integral: Tensor, displacement: Tensor) -> Tensor:
    """(ω − ω_unbiased) / (Δ² + ξ), elementwise."""
    return (path_integral - independent_path_integral) / (displacement.square() + DAMPING)


ESTIMATOR = PathEstimator(
    label="SI (bias)",
    formula=r"\frac{-\sum_t (g_t - h_t)\,\Delta\theta_t}{(\sum_t\Delta\theta_t)^2 + 0.1}",
    source="benzing2022unifying",
    records=("path_integral", "independent_path_integral", "displacement"),
    importance=importance,
)
