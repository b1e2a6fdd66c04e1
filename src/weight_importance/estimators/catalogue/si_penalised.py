"""Synaptic Intelligence with the gradient of the penalised loss, as in the code of Kutalev and Lapina.

Kutalev and Lapina (2021): Zenke, Poole and Ganguli (2017), eq. 5, with the optimiser's gradient, penalty included;
Zenke's code uses the unpenalised gradient. On the first task, without a penalty, it equals ``si``. Damping as in
``si``. Values may be negative.
"""

from torch import Tensor

from weight_importance.estimators.catalogue.si import DAMPING
from weight_importance.estimators.kinds import PathEstimator


def importance(penalised_path_integral: Tensor, displacement: Tensor) -> Tensor:
    """ω / (Δ² + ξ), elementwise."""
    return penalised_path_integral / (displacement.square() + DAMPING)


ESTIMATOR = PathEstimator(
    label="SI (penalised)",
    formula=r"\frac{-\sum_t (g_t + \partial_\theta\mathrm{penalty})\,\Delta\theta_t}{(\sum_t\Delta\theta_t)^2 + 0.1}",
    source="kutalev2021stabilizing",
    records=("penalised_path_integral", "displacement"),
    importance=importance,
)
