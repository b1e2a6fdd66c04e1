"""Parameter tensors as tables name them: their order, and which of them hold weights.

Works on names alone, as tables hold nothing else of a tensor.
"""

import math
import re
from collections.abc import Iterable

from weight_importance.files.tables import NORMALISATION, is_weight_tensor

ALL = "all"
"""Name of all parameters together."""


def tensor_order(tensors: Iterable[str]) -> list[str]:
    """Parameter tensors in the order of the layers' numbers, weight before bias, and ``all`` last.

    Layers without a number follow those with one; of two layers with the same number, normalisation is the second.
    """

    def place(name: str) -> tuple:
        layer = name.rpartition(".")[0]
        number = re.search(r"\d+", layer)
        normalises = bool(NORMALISATION.search(layer))
        return name == ALL, int(number[0]) if number else math.inf, normalises, layer, name.endswith("bias")

    return sorted(dict.fromkeys(tensors), key=place)


def weight_tensors(tensors: Iterable[str]) -> list[str]:
    """The weight tensors among parameter tensors, in the order of :func:`tensor_order`."""
    return [name for name in tensor_order(tensors) if is_weight_tensor(name)]
