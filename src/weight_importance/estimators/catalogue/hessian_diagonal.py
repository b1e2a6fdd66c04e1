"""Diagonal of the Hessian of the mean cross-entropy at the true labels.

In the networks of this study (linear, convolutional and normalisation layers, leaky ReLU, maximum pooling) it is exact:
they are piecewise linear in every tensor, where the Hessian's diagonal equals that of the Gauss-Newton matrix and the
exact Fisher information (Martens 2020, sec. 9.2). In other networks the part that comes from the curvature of the
logits is estimated with random signs (Bekas, Kokiopoulou and Saad 2007) and may be inaccurate; see
:mod:`weight_importance.estimators.engine.curvature` for its error. It may be negative there; the penalty can count
negative values as zero.
"""

from weight_importance.estimators.catalogue.fisher_exact import cotangents
from weight_importance.estimators.kinds import CurvatureEstimator

ESTIMATOR = CurvatureEstimator(
    label="Hessian",
    formula=r"\partial_\theta^2\,\mathbb{E}_{(x,y)}[-\log p_y]",
    source="martens2020new",
    gauss_newton=cotangents,
)
