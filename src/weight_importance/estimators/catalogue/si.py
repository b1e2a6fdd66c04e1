"""Synaptic Intelligence: a parameter's contribution to the decrease of the loss, divided by its squared displacement.

Zenke, Poole and Ganguli (2017), eq. 5, with the damping 0.1 of Kutalev and Lapina (2021). It uses the gradient of the
unpenalised loss, as Zenke's code does (github.com/ganguli-lab/pathint), and the optimiser's displacement. The code of
Kutalev and Lapina uses the penalised gradient; so does this estimator under the published protocol, and
``si_penalised`` always. Values may be negative; the penalty can count them as zero, task by task, as in Zenke's code.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator

DAMPING = 0.1
"""ξ in the denominator."""


def importance(path_integral: Tensor, displacement: Tensor) -> Tensor:
    """ω / (Δ² + ξ), elementwise."""
    return path_integral / (displacement.square() + DAMPING)


ESTIMATOR = PathEstimator(
    label="SI",
    formula=r"\frac{-\sum_t g_t\,\Delta\theta_t}{(\sum_t\Delta\theta_t)^2 + 0.1}",
    source="zenke2017continual",
    records=("path_integral", "displacement"),
    importance=importance,
    published={"path_integral": "penalised_path_integral"},
)
