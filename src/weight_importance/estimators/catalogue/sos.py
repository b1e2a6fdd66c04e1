"""Second-order synapses: the root of the moving average of squared batch gradients, as Adam uses it.

Benzing (2022), as in the author's code (github.com/freedbee/continual_regularisation, ``worker_SI.py``):
v_t = 0.999 v_{t−1} + 0.001 g_t² from v_0 = 0 at each task's start, with the gradient of the unpenalised loss, and √v_T
after the last step. Under Adam, SI reduces to it. The code omits bias correction: within one task a constant factor;
over several tasks its absence would weight each task by √(1 − 0.999^T), so that short tasks count less. Here v_T is
divided by 1 − 0.999^T, as in Adam (Kingma and Ba 2015). As g_t is a batch gradient, v contains the gradients' variance
over the batch size plus their squared mean. This is the code's ``SOS_alpha`` = 0, for batches of 256; ``SOS_alpha`` =
1, for batches of 2048, replaces g_t by g_t − h_t with an independent batch's h_t, which leaves twice the variance.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(squared_gradient: Tensor) -> Tensor:
    """Return √v_T, elementwise."""
    return squared_gradient.sqrt()


ESTIMATOR = PathEstimator(
    label="SOS",
    formula=r"\sqrt{\tfrac{0.001}{1-0.999^T}\textstyle\sum_t 0.999^{T-t} g_t^2}",
    source="benzing2022unifying",
    records=("squared_gradient",),
    importance=importance,
)
