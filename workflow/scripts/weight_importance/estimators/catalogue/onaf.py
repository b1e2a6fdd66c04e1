"""OnAF, the online absolute Fisher: the sum over optimiser steps of the batch gradient's absolute value.

Benzing (2022). A sum and not a mean, which differs by the number of steps; of the unpenalised loss's gradient.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(absolute_gradient: Tensor) -> Tensor:
    """Σ_t |g_t| itself."""
    return absolute_gradient


ESTIMATOR = PathEstimator(
    label="OnAF",
    formula=r"\sum_t \lvert g_t\rvert",
    source="benzing2022unifying",
    records=("absolute_gradient",),
    importance=importance,
)
