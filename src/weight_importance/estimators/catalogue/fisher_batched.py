"""Batched Fisher: the squared gradient of the mean loss of mini-batches. It is not the Fisher information.

The square belongs on per-sample gradients, not on a batch's mean gradient: over batches of B samples the expectation is
1/B of the gradients' variance plus the squared mean gradient. Scale and ranks change, and both depend on B. Van de Ven
(2025) describes how common this error is, and its effect. The estimator is included to show the error, and because
published results use it. True labels; consecutive batches of :data:`BATCH` samples, the last possibly smaller; averaged
over batches.
"""

from weight_importance.estimators.catalogue.fisher_empirical import cotangents
from weight_importance.estimators.kinds import MomentEstimator

BATCH = 100
"""Samples per batch: the training batch size of the fully connected networks."""

ESTIMATOR = MomentEstimator(
    label="Fisher (batched)",
    formula=r"\mathbb{E}_{B}\bigl[(\partial_\theta \tfrac{1}{100}\textstyle\sum_{(x,y)\in B}\log p_y)^2\bigr]",
    source="vandeven2025computation",
    cotangents=cotangents,
    power=2,
    batch=BATCH,
)
