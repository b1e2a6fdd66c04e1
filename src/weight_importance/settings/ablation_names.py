"""Names of ablations such as ``shuffled(mas)``: a transform of one importance, or values and ranks of two.

The transforms are in :mod:`weight_importance.learning.ablations`. Imports neither torch nor estimators, so that the
rules can use it to read a configuration.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from weight_importance.runtime.errors import UserError, unknown_name

TRANSFORMS: Mapping[str, str] = {
    "uniform": "uniform",
    "tensor_mean": "tensor mean",
    "input_factor": "input factor",
    "output_factor": "output factor",
    "rank_one": "rank one",
    "in_order_of_factors": "in order of factors",
    "shuffled": "shuffled",
    "shuffled_within_neuron": "shuffled within neuron",
    "reversed": "reversed",
}
"""Transforms of one importance without a parameter, and their names in figures."""

WITH_NUMBER = ("power", "depth")
"""Transforms with a number: an exponent, or the ratio of the last layer's factor to the first layer's."""

FORMS = "transform(estimator), such as shuffled(mas), or values_of(estimator)_in_ranks_of(estimator)"


@dataclass(frozen=True)
class Ablation:
    """The parts of an ablation's name.

    Attributes:
        name: full name in configuration and tables.
        transform: a name in :data:`TRANSFORMS`, ``power``, ``depth``, or ``values_in_ranks``.
        estimators: source of the importance, or sources of the values and of the ranks.
        number: exponent of ``power``, ratio of ``depth``; otherwise 1.
    """

    name: str
    transform: str
    estimators: tuple[str, ...]
    number: float = 1.0

    @property
    def label(self) -> str:
        """Name of the transform in figures; empty for ablations of two estimators, which figures name differently."""
        if self.transform in WITH_NUMBER:
            return f"{self.transform} {self.number:g}"
        return TRANSFORMS.get(self.transform, "")


def is_ablation(name: str) -> bool:
    """Whether a name in a column ``estimator`` denotes an ablation."""
    return "(" in name


def parse(name: str) -> Ablation:
    """Parse an ablation's name.

    Raises:
        UserError: unknown form, transform or exponent; names of estimators are not checked.
    """
    two = re.fullmatch(r"values_of\((\w+)\)_in_ranks_of\((\w+)\)", name)
    if two:
        if two[1] == two[2]:
            raise UserError(f"'{name}' changes nothing: name two different estimators.")
        return Ablation(name, "values_in_ranks", two.groups())
    one = re.fullmatch(r"([^()]+)\((\w+)\)", name)
    if not one:
        raise UserError(f"'{name}' is not an ablation. Allowed: {FORMS}.")
    transform, estimator = one.groups()
    kind, separator, text = transform.partition("_")
    if separator and kind in WITH_NUMBER:
        return Ablation(name, kind, (estimator,), _number(name, text))
    if transform not in TRANSFORMS:
        known = [*TRANSFORMS, "power_0.5", "depth_10", "values_of(estimator)_in_ranks_of"]
        raise unknown_name("ablation", transform, known)
    return Ablation(name, transform, (estimator,))


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise UserError(f"'{name}' needs a number above zero, such as power_0.5 or depth_10, found '{text}'.")
    return value


def folder(name: str) -> str:
    """Folder name without brackets: ``shuffled.mas``, ``values_of.mas.in_ranks_of.si``; others are kept."""
    return name.replace(")_", ".").replace("(", ".").replace(")", "")
