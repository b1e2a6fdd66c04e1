"""Synaptic Intelligence with the gradient of the penalised loss, as the code of Kutalev and Lapina accumulates it.

Kutalev and Lapina (2021): Zenke, Poole and Ganguli (2017), eq. 5, with the gradient that the optimiser sees, penalty
included, in place of the loss's own (which Zenke's code takes); on the first task, where there is no penalty, the same
as ``si``. Damping as there. It may be negative.
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
