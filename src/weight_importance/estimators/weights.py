"""Definition of a weight tensor, shared by pruning, analyses and text."""

from collections.abc import Mapping

from torch import Tensor


def is_weight(tensor: Tensor) -> bool:
    """Whether a parameter of one network is a weight tensor: two or more dimensions.

    Biases and normalisation parameters are not weights, as in Kutalev and Lapina (2021).
    """
    return tensor.ndim >= 2


def weight_names(parameters: Mapping[str, Tensor]) -> list[str]:
    """List the weight tensors among the parameters of one network (no replica axis), in order."""
    return [name for name, tensor in parameters.items() if is_weight(tensor)]
