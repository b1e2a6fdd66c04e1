"""Weight importances for continual learning: estimators, consolidation, and their comparison.

``from weight_importance import estimate, Accumulator, record, Penalty`` (see ``__all__``) is the public way in. Names
are imported on first use: planning a workflow imports sub-packages and must not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weight_importance.estimators.accumulator import Accumulator
    from weight_importance.estimators.factored import factored
    from weight_importance.estimators.importance_file import load_importance, save_importance
    from weight_importance.estimators.pruning_scores import pruning_scores
    from weight_importance.estimators.recording import record
    from weight_importance.estimators.registry import ESTIMATORS, estimate, estimate_all
    from weight_importance.learning.consolidation import Penalty

_HOMES = {
    "Accumulator": "estimators.accumulator",
    "Penalty": "learning.consolidation",
    "factored": "estimators.factored",
    "load_importance": "estimators.importance_file",
    "pruning_scores": "estimators.pruning_scores",
    "record": "estimators.recording",
    "save_importance": "estimators.importance_file",
}
"""Public name → its module, of those that no program of the workflow uses."""

__all__ = [
    "ESTIMATORS",
    "Accumulator",
    "Penalty",
    "estimate",
    "estimate_all",
    "factored",
    "load_importance",
    "pruning_scores",
    "record",
    "save_importance",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in __all__:
        return getattr(import_module("weight_importance.estimators.registry"), name)
    raise AttributeError(f"module 'weight_importance' has no attribute '{name}'")
