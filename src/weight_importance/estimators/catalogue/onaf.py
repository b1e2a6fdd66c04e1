"""OnAF, the online absolute Fisher: the mean absolute batch gradient over optimiser steps.

Benzing, code of the preprint's first version (arXiv:2006.06357v1; github.com/freedbee/continual_regularisation at
782708c, ``worker_SI.py``); later code uses ``sos`` instead. The code sums |g_t|, the gradient of the unpenalised loss.
Within one task, sum and mean differ by a constant factor; over several tasks the sum would weight each task by its
number of steps, so this estimator takes the mean. An option of the code also divides by the squared displacement, as SI
does; which version the preprint means could not be checked. This estimator does not divide, like ``sos``.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(absolute_gradient: Tensor) -> Tensor:
    """Return the mean of |g_t|."""
    return absolute_gradient


ESTIMATOR = PathEstimator(
    label="OnAF",
    formula=r"\tfrac1T\textstyle\sum_t \lvert g_t\rvert",
    source="benzing2022unifying",
    records=("absolute_gradient",),
    importance=importance,
)
