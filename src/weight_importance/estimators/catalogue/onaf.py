"""OnAF, the online absolute Fisher: the mean over optimiser steps of the batch gradient's absolute value.

Benzing, in the code of the preprint's first version (arXiv:2006.06357v1; github.com/freedbee/continual_regularisation
at 782708c, ``worker_SI.py``); later code has ``sos`` in its place. That code has the sum Σ_t |g_t|. Within one task
this is a constant factor; over several tasks it would weight each by its number of steps, so the mean is taken here.
The gradient is the unpenalised loss's. By a switch, the code also divides by the squared displacement, as SI does;
which version the preprint means could not be checked. Here it is not divided, as ``sos`` is not.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(absolute_gradient: Tensor) -> Tensor:
    """The mean of |g_t| itself."""
    return absolute_gradient


ESTIMATOR = PathEstimator(
    label="OnAF",
    formula=r"\tfrac1T\textstyle\sum_t \lvert g_t\rvert",
    source="benzing2022unifying",
    records=("absolute_gradient",),
    importance=importance,
)
