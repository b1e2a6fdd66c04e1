"""The bias part of Synaptic Intelligence: SI minus its unbiased version.

Benzing (2022), "SIB", as in the author's code (github.com/freedbee/continual_regularisation, ``worker_SI.py``): −Σ (g_t
− h_t)Δθ_t divided by the squared displacement. The gradients g_t of the step's batch and h_t of an independent batch of
equal size are taken at the same parameters, without the penalty. The expectation is the effect of batch noise on the
step. Damping as in ``si``, the code's value for MNIST (0.001 for CIFAR). Values may be negative; the code counts them
as zero, task by task, and the penalty can do the same. Every step needs a second gradient.
"""

from torch import Tensor

from weight_importance.estimators.catalogue.si import DAMPING
from weight_importance.estimators.kinds import PathEstimator


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
