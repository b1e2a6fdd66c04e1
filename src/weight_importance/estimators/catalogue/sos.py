"""Second-order synapses: the root of the running mean of squared batch gradients, as Adam keeps it.

Benzing (2022), as in the author's code (github.com/freedbee/continual_regularisation, ``worker_SI.py``):
v_t = 0.999 v_{t−1} + 0.001 g_t² from v_0 = 0 at each task's start, and √v_T after its last step, divided by nothing;
what SI comes down to under Adam. Not corrected for the start from zero, which is one factor for all parameters; of the
unpenalised loss's gradient. As g_t is of a batch, v holds the gradients' variance over the batch size beside their
squared mean. That is the code's ``SOS_alpha`` = 0, for batches of 256; with 1, for batches of 2048, it takes g_t − h_t
instead, h_t of an independent batch, which leaves (twice) the variance alone.
"""

from torch import Tensor

from weight_importance.estimators.kinds import PathEstimator


def importance(squared_gradient: Tensor) -> Tensor:
    """√v, elementwise."""
    return squared_gradient.sqrt()


ESTIMATOR = PathEstimator(
    label="SOS",
    formula=r"\sqrt{0.001\textstyle\sum_t 0.999^{T-t} g_t^2}",
    source="benzing2022unifying",
    records=("squared_gradient",),
    importance=importance,
)
