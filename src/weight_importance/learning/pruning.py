"""Pruning by importance: sets the least important weights to zero, per tensor or over the whole network.

Only weight tensors are pruned; biases and normalisation parameters are kept, as in Kutalev and Lapina (2021).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from weight_importance.estimators.weights import weight_names

SCOPES = ("tensor", "network")

WITHIN_OUTPUTS = "output"
"""Scope of criteria that rank weights within each output unit."""


def prune(
    parameters: Mapping[str, Tensor], importance: Mapping[str, Tensor], fraction: float, scope: str
) -> dict[str, Tensor]:
    """Set a fraction of the weights, those with the smallest |importance|, to zero.

    Args:
        parameters: parameter name → tensor of one network.
        importance: name → tensor of the same shape.
        fraction: share of weights to remove, in [0, 1]; of k weights, ``round(fraction · k)`` are removed.
        scope: ``"output"`` ranks the weights of each output unit (row, channel) separately, ``"tensor"`` each weight
            tensor, ``"network"`` all weights together.

    Returns:
        new tensors; ties are broken by position.
    """
    scores = {name: importance[name].abs() for name in weight_names(parameters)}
    rows = [values.reshape(len(values) if scope == WITHIN_OUTPUTS else 1, -1) for values in scores.values()]
    if scope == "network":
        kept = _kept(torch.cat(rows, 1), fraction).split([values.numel() for values in scores.values()], 1)
    else:
        kept = [_kept(row, fraction) for row in rows]
    pruned = {name: tensor.clone() for name, tensor in parameters.items()}
    for name, mask in zip(scores, kept, strict=True):
        pruned[name] *= mask.view(parameters[name].shape)
    return pruned


def _kept(scores: Tensor, fraction: float) -> Tensor:
    """Mark the entries of each row to keep."""
    ranked = scores.argsort(dim=1, stable=True)
    keep = torch.ones_like(scores, dtype=torch.bool)
    return keep.scatter_(1, ranked[:, : round(fraction * scores.shape[1])], False)
