"""Diagonal of the Hessian of the mean cross-entropy at the true labels.

The diagonal is exact for the networks of this study (linear, convolutional and normalisation layers, leaky ReLU, max
pooling): their logits are piecewise linear in every tensor, so the Hessian, the Gauss-Newton matrix and the exact
Fisher information share one diagonal (Martens 2020, sec. 9.2). In other networks the curvature of the logits
contributes a part estimated with random signs (Bekas, Kokiopoulou and Saad 2007), which may be inaccurate or negative;
see :mod:`weight_importance.estimators.engine.curvature`. The penalty can count negative values as zero.
"""

from weight_importance.estimators.catalogue.fisher_exact import cotangents
from weight_importance.estimators.kinds import CurvatureEstimator

ESTIMATOR = CurvatureEstimator(
    label="Hessian",
    formula=r"\partial_\theta^2\,\mathbb{E}_{(x,y)}[-\log p_y]",
    source="martens2020new",
    gauss_newton=cotangents,
)
