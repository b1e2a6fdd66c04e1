"""SNIP, or Taylor saliency: what the mean loss changes by, to first order, when a weight is removed.

Lee, Ajanthan and Torr (2019), connection sensitivity: |θ ∂L/∂θ| with the loss of all samples together; as a Taylor
expansion of what removal costs it is as common at trained networks. The gradient's sign counts in the mean: at a
minimum it vanishes. They divide by the sum over all weights, which changes no comparison and is left out.
"""

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from weight_importance.estimators.kinds import ALL, MomentEstimator


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The gradient of log p_y at the logits: e_y − p, weight 1."""
    cotangent = one_hot(labels.long(), logits.shape[1]) - logits.softmax(1)
    return cotangent[None], torch.ones_like(cotangent[None, :, 0])


def finish(gradient: Tensor, parameter: Tensor) -> Tensor:
    """|θ| times the absolute gradient of the mean loss."""
    return parameter.abs() * gradient


ESTIMATOR = MomentEstimator(
    label="SNIP",
    formula=r"\bigl\lvert\theta\,\partial_\theta\,\mathbb{E}_{(x,y)}[\log p_y]\bigr\rvert",
    source="lee2019snip",
    cotangents=cotangents,
    power=1,
    batch=ALL,
    finish=finish,
)
