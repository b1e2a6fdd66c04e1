"""Root Fisher: the square root of the empirical Fisher information, parameter by parameter.

Benzing (2022), who relates MAS and SI to it. The root is taken of the mean over samples (it is no mean of roots,
which would be the mean absolute gradient).
"""

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from weight_importance.estimators.kinds import MomentEstimator


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The gradient of log p_y at the logits: e_y − p, weight 1."""
    cotangent = one_hot(labels.long(), logits.shape[1]) - logits.softmax(1)
    return cotangent[None], torch.ones_like(cotangent[None, :, 0])


def finish(fisher: Tensor, parameter: Tensor) -> Tensor:
    """√ of the empirical Fisher information."""
    return fisher.sqrt()


ESTIMATOR = MomentEstimator(
    label="root Fisher",
    formula=r"\sqrt{\mathbb{E}_{(x,y)}\bigl[(\partial_\theta \log p_y)^2\bigr]}",
    source="benzing2022unifying",
    cotangents=cotangents,
    power=2,
    finish=finish,
)
