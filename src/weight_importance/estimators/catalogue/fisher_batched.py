"""Batched Fisher: the squared gradient of the mean loss of mini-batches. It is WRONG as a Fisher information.

The square must be taken of one sample's gradient, not of a batch's mean: over batches of B samples the expectation is
1/B of the gradients' variance plus the squared mean gradient, so what samples disagree about is lost, scale and ranks
change, and both depend on B. Van de Ven (2025) describes how common this is, and its effect. It is included to show the
error, and because published results use it. True labels; batches of :data:`BATCH` samples in the order given,
the last one may be smaller; averaged over batches.
"""

from weight_importance.estimators.catalogue.fisher_empirical import cotangents
from weight_importance.estimators.kinds import MomentEstimator

BATCH = 100
"""Samples in a batch, as many as the fully connected networks train on at a step."""

ESTIMATOR = MomentEstimator(
    label="Fisher (batched)",
    formula=r"\mathbb{E}_{B}\bigl[(\partial_\theta \tfrac{1}{100}\textstyle\sum_{(x,y)\in B}\log p_y)^2\bigr]",
    source="vandeven2025computation",
    cotangents=cotangents,
    power=2,
    batch=BATCH,
)
