"""Weight importances for continual learning: estimators, consolidation, and their comparison.

``from weight_importance import estimate, Accumulator, record, Penalty`` (see ``__all__``) is the public way in. Names
are imported on first use: planning a workflow imports sub-packages and must not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weight_importance.estimators.accumulator import Accumulator
    from weight_importance.estimators.recording import record
    from weight_importance.estimators.registry import ESTIMATORS, estimate, estimate_all

_HOMES = {"Accumulator": "accumulator", "record": "recording"}
"""Public name → its module in ``estimators``; all others are in ``registry``."""

__all__ = ["ESTIMATORS", "Accumulator", "estimate", "estimate_all", "record"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.estimators.{_HOMES[name]}"), name)
    if name in __all__:
        return getattr(import_module("weight_importance.estimators.registry"), name)
    raise AttributeError(f"module 'weight_importance' has no attribute '{name}'")
