"""Pruning by importance: sets the least important weights to zero, per tensor or over the whole network.

Only weight tensors are pruned; biases and normalisation parameters are kept, as in Kutalev and Lapina (2021).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from weight_importance.estimators.weights import weight_names

SCOPES = ("tensor", "network")

WITHIN_OUTPUTS = "output"
"""Scope of criteria that rank weights within each output unit."""


def prune(
    parameters: Mapping[str, Tensor], importance: Mapping[str, Tensor], fractions: Sequence[float], scope: str
) -> dict[str, Tensor]:
    """Prune copies of a network, one per fraction: set the weights with the smallest |importance| to zero.

    Args:
        parameters: parameter name → tensor of one network.
        importance: name → tensor of the same shape.
        fractions: F shares of weights to remove, in [0, 1]; of k weights, ``round(fraction · k)`` are removed.
        scope: ``"output"`` ranks the weights of each output unit (row, channel) separately, ``"tensor"`` each weight
            tensor, ``"network"`` all weights together.

    Returns:
        new tensors ``(F, *shape)``, one network per fraction; ties are broken by position.
    """
    scores = {name: importance[name].abs() for name in weight_names(parameters)}
    rows = [values.reshape(len(values) if scope == WITHIN_OUTPUTS else 1, -1) for values in scores.values()]
    if scope == "network":
        kept = _kept(torch.cat(rows, 1), fractions).split([values.numel() for values in scores.values()], 2)
    else:
        kept = tuple(_kept(row, fractions) for row in rows)
    pruned = {name: tensor.expand(len(fractions), *tensor.shape).clone() for name, tensor in parameters.items()}
    for name, mask in zip(scores, kept, strict=True):
        pruned[name] *= mask.reshape(pruned[name].shape)
    return pruned


def _kept(scores: Tensor, fractions: Sequence[float]) -> Tensor:
    """Mark the entries of each row to keep, ``(F, *scores.shape)``."""
    ranked = scores.argsort(dim=1, stable=True)
    count = scores.shape[1]
    ranks = torch.empty_like(ranked).scatter_(1, ranked, torch.arange(count, device=ranked.device).expand_as(ranked))
    return torch.stack([ranks >= round(fraction * count) for fraction in fractions])
