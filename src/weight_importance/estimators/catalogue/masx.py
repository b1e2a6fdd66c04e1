"""MASX: the mean absolute gradient of the square of the largest output probability.

Benzing (2022), as in the author's code (github.com/freedbee/continual_regularisation, ``worker_MAS.py``): MAS takes
the gradient of the squared norm of the probabilities, MASX the gradient of its largest term. For confident networks the
two are nearly equal.
"""

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from weight_importance.estimators.kinds import MomentEstimator


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The gradient of p_ŷ² with ŷ = argmax p at the logits: 2p_ŷ²(e_ŷ − p), weight 1; ties go to the first class."""
    probabilities = logits.softmax(1)
    predicted = logits.argmax(1)
    largest = probabilities.gather(1, predicted[:, None])
    cotangent = 2 * largest.square() * (one_hot(predicted, logits.shape[1]) - probabilities)
    return cotangent[None], torch.ones_like(cotangent[None, :, 0])


ESTIMATOR = MomentEstimator(
    label="MASX",
    formula=r"\mathbb{E}_{x}\bigl[\lvert\partial_\theta \max_k p_k^2\rvert\bigr]",
    source="benzing2022unifying",
    cotangents=cotangents,
    power=1,
    needs_labels=False,
)
