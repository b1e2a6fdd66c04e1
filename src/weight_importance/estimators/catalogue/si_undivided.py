"""Synaptic Intelligence without its denominator: each parameter's contribution to the decrease of the loss.

Zenke et al. (2017), eq. 3: ω = −Σ g_t Δθ_t with the gradient g_t of the step's batch, without the penalty. Benzing
(2022) compares Second-Order Synapses with it, as in the author's code (github.com/freedbee/continual_regularisation,
where the version with the denominator is called "SI-N"). Values may be negative; the penalty can count them as zero.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(path_integral: Tensor) -> Tensor:
    """Return ω."""
    return path_integral


ESTIMATOR = PathEstimator(
    label="SI (undivided)",
    formula=r"-\sum_t g_t\,\Delta\theta_t",
    source="zenke2017continual",
    records=("path_integral",),
    importance=importance,
)
