"""Unbiased Synaptic Intelligence: the path integral uses the gradient of an independent batch.

Benzing (2022), "SIU", as in the author's code (github.com/freedbee/continual_regularisation, ``worker_SI.py``): a step
follows the noise of its batch, whose gradient therefore overestimates the decrease of the loss. The gradient h_t of
an independent batch of equal size at the same parameters has the right expectation. Both exclude the penalty. Damping
and negative values as in ``si_bias``. Every step needs a second gradient.
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
