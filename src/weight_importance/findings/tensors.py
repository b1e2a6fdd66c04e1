"""Names of parameter tensors in tables: their order, and which of them are weights.

Works on names alone because tables store nothing else about a tensor.
"""

import math
import re
from collections.abc import Iterable

from weight_importance.files.tables import NORMALISATION, is_weight_tensor

ALL = "all"
"""Name of all parameters together."""


def tensor_order(tensors: Iterable[str]) -> list[str]:
    """Parameter tensors by layer number, weight before bias, ``all`` last.

    Layers without a number follow the numbered ones; if two layers share a number, normalisation is second.
    """

    def place(name: str) -> tuple:
        layer = name.rpartition(".")[0]
        number = re.search(r"\d+", layer)
        normalises = bool(NORMALISATION.search(layer))
        return name == ALL, int(number[0]) if number else math.inf, normalises, layer, name.endswith("bias")

    return sorted(dict.fromkeys(tensors), key=place)


def weight_tensors(tensors: Iterable[str]) -> list[str]:
    """Weight tensors among parameter tensors, in the order of :func:`tensor_order`."""
    return [name for name in tensor_order(tensors) if is_weight_tensor(name)]
