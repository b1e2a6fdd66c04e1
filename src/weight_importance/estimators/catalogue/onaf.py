"""OnAF, the online absolute Fisher: the sum over optimiser steps of the batch gradient's absolute value.

Benzing, in the code of the preprint's first version (arXiv:2006.06357v1; github.com/freedbee/continual_regularisation
at 782708c, ``worker_SI.py``); later code has ``sos`` in its place. A sum and not a mean, which differs by the number of
steps; of the unpenalised loss's gradient. That code divides it by the squared displacement, as SI, or not, by a switch;
which of them the preprint means we could not check: here it is not divided, as ``sos`` is not.
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
