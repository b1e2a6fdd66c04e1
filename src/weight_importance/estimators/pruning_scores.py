"""Importances as scores for :mod:`torch.nn.utils.prune`."""

from collections.abc import Mapping

from torch import Tensor, nn

from weight_importance.runtime.errors import UserError


def pruning_scores(network: nn.Module, importance: Mapping[str, Tensor]) -> dict[tuple[nn.Module, str], Tensor]:
    """Return importances as ``importance_scores`` for ``torch.nn.utils.prune.global_unstructured``.

    Args:
        network: the unpruned network of the importances.
        importance: parameter name → importance, for the parameters to prune (for example, only weights).

    Returns:
        ``(module, name in the module) → score``.

    Raises:
        UserError: no parameter has this name and shape.
    """
    parameters, scores = dict(network.named_parameters()), {}
    for name, values in importance.items():
        if name not in parameters or parameters[name].shape != values.shape:
            raise UserError(f"the network has no parameter '{name}' of shape {tuple(values.shape)} to be pruned")
        module, _, own = name.rpartition(".")
        scores[network.get_submodule(module), own] = values
    return scores
