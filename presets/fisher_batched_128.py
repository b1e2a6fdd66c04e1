"""Batched Fisher information over batches of 128 samples, the batch size of training in lambda-range.yaml."""

from weight_importance.estimators.catalogue.fisher_empirical import cotangents
from weight_importance.estimators.kinds import MomentEstimator

ESTIMATOR = MomentEstimator(
    label="Fisher (batches of 128)",
    formula=r"\mathbb{E}_{B}\bigl[(\partial_\theta \tfrac{1}{128}\textstyle\sum_{(x,y)\in B}\log p_y)^2\bigr]",
    source="vandeven2025computation",
    cotangents=cotangents,
    power=2,
    batch=128,
)
