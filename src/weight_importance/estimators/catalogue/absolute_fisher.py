"""Absolute Fisher: the first absolute moment in place of the Fisher information's second moment.

Benzing (2022), "AF", as in the author's code (github.com/freedbee/continual_regularisation, ``worker_MAS.py``): over
all classes, weighted by their probabilities. MAS is close to it.
"""

from weight_importance.estimators.catalogue.fisher_exact import cotangents
from weight_importance.estimators.kinds import MomentEstimator

ESTIMATOR = MomentEstimator(
    label="absolute Fisher",
    formula=r"\mathbb{E}_{x}\Bigl[\sum_k p_k\,\lvert\partial_\theta \log p_k\rvert\Bigr]",
    source="benzing2022unifying",
    cotangents=cotangents,
    power=1,
    needs_labels=False,
    separate_positions=True,
)
