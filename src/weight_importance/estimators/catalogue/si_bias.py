"""The bias part of Synaptic Intelligence: SI minus its unbiased version.

Benzing (2022), "SIB", as in the author's code (github.com/freedbee/continual_regularisation, ``worker_SI.py``): −Σ (g_t
− h_t)Δθ_t with the gradient g_t of the step's own batch and h_t of an independent one, as large and at the same
parameters, both without the penalty, divided by the squared displacement; its expectation is the effect of the batch's
noise on the step. Damping as in ``si``, which is the code's for MNIST (0.001 for CIFAR). It may be negative; the code
counts this as zero, task by task, as the penalty can do here. It needs a second gradient at every step.
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
