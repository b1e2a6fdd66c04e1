"""Absolute Fisher: the first absolute moment in place of the Fisher information's second moment.

Benzing (2022), "AF", as in the author's code (github.com/freedbee/continual_regularisation, ``worker_MAS.py``): over
all classes, weighted by their probabilities. MAS is close to it.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from weight_importance.estimators.kinds import MomentEstimator, Weighted, blocks_of_classes


def cotangents(logits: Tensor, labels: Tensor, generator: Generator | None) -> Iterator[Weighted]:
    """e_k − p for every class k, weight p_k."""
    probabilities = logits.softmax(1)
    for block in blocks_of_classes(logits):
        classes = one_hot(torch.tensor(block, device=logits.device), logits.shape[1])
        yield classes[:, None] - probabilities, probabilities.T[block.start : block.stop]


ESTIMATOR = MomentEstimator(
    label="absolute Fisher",
    formula=r"\mathbb{E}_{x}\Bigl[\sum_k p_k\,\lvert\partial_\theta \log p_k\rvert\Bigr]",
    source="benzing2022unifying",
    cotangents=cotangents,
    power=1,
    needs_labels=False,
    separate_positions=True,
)
