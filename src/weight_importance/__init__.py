"""Weight importances for continual learning: estimators, consolidation, and their comparison.

``from weight_importance import estimate, estimate_all, ESTIMATORS`` is the public way in. The names are resolved on
first use, so that a program which needs one room of the house (training, say) does not load, or depend on, the others.
"""

from importlib import import_module

__all__ = ["ESTIMATORS", "estimate", "estimate_all"]


def __getattr__(name: str):
    if name in __all__:
        return getattr(import_module("weight_importance.estimators.registry"), name)
    raise AttributeError(f"module 'weight_importance' has no attribute '{name}'")
