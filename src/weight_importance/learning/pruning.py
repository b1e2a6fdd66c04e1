"""Pruning by importance: the least important weights are set to zero, per tensor or over the whole network.

Only weight tensors are pruned; biases and normalisation parameters are kept, as in Kutalev and Lapina (2021).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from weight_importance.estimators.weights import weight_names

SCOPES = ("tensor", "network")


def prune(
    parameters: Mapping[str, Tensor], importance: Mapping[str, Tensor], fraction: float, scope: str
) -> dict[str, Tensor]:
    """The parameters with a fraction of the weights of least |importance| set to zero.

    Args:
        parameters: of one network, name → tensor.
        importance: name → tensor of the same shape.
        fraction: share of weights to remove, in [0, 1]; of k weights, ``round(fraction · k)`` are removed.
        scope: ``"tensor"`` ranks each weight tensor separately, ``"network"`` all weights together.

    Returns:
        New tensors; ties are broken by position.
    """
    names = weight_names(parameters)
    groups = [[name] for name in names] if scope == "tensor" else [names]
    pruned = {name: tensor.clone() for name, tensor in parameters.items()}
    for group in groups:
        ranked = torch.cat([importance[name].abs().flatten() for name in group]).argsort(stable=True)
        keep = torch.ones(len(ranked), dtype=torch.bool, device=ranked.device)
        keep[ranked[: round(fraction * len(ranked))]] = False
        for name, mask in zip(group, keep.split([parameters[name].numel() for name in group]), strict=True):
            pruned[name] *= mask.view(parameters[name].shape)
    return pruned
