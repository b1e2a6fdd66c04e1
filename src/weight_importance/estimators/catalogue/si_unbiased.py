"""Unbiased Synaptic Intelligence: the gradient in the path integral is that of another batch than the step's.

Benzing (2022), "SIU", as in the author's code (github.com/freedbee/continual_regularisation, ``worker_SI.py``): a step
follows its own batch's noise, so that batch's gradient overestimates the decrease of the loss; the gradient h_t of an
independent batch, as large and at the same parameters, has the right expectation. Both are without the penalty. Damping
and negative values as in ``si_bias``. It needs a second gradient at every step.
"""

from torch import Tensor

from weight_importance.estimators.catalogue.si import DAMPING
from weight_importance.estimators.kinds import PathEstimator


def importance(independent_path_integral: Tensor, displacement: Tensor) -> Tensor:
    """ω / (Δ² + ξ), elementwise."""
    return independent_path_integral / (displacement.square() + DAMPING)


ESTIMATOR = PathEstimator(
    label="SI (unbiased)",
    formula=r"\frac{-\sum_t h_t\,\Delta\theta_t}{(\sum_t\Delta\theta_t)^2 + 0.1}",
    source="benzing2022unifying",
    records=("independent_path_integral", "displacement"),
    importance=importance,
)
