"""The columns of every table that the workflow writes: the interface for programs that read ``results/summary``.

Tables identify a parameter tensor by its name, which also shows whether it is a weight tensor.
"""

import re

NORMALISATION = re.compile("bn|norm")
"""Pattern in the names of normalisation layers, whose scales are vectors, not weight tensors."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "baseline": ("study", "seed", "split", "accuracy"),
    "correlation": ("study", "tensor", "estimator_a", "estimator_b", "coefficient", "seed", "value"),
    "correlation_null": (
        "study", "tensor", "estimator_a", "estimator_b", "coefficient", "seed", "permutation", "value",
    ),
    "correlation_used": ("study", "use", "estimator_a", "estimator_b", "seed", "value"),
    "retention": ("study", "estimator", "lambda", "seed", "tasks_learnt", "task", "split", "accuracy"),
    "selected_lambda": ("study", "estimator", "lambda", "criterion"),
    "pruning": ("study", "scope", "criterion", "seed", "fraction", "accuracy"),
    "explanation_confidence": ("study", "condition", "level", "quantity", "seed", "value"),
    "explanation_agreement": (
        "study", "tensor", "estimator_a", "estimator_b", "coefficient", "condition", "level", "seed", "value",
    ),
    "explanation_factors": ("study", "tensor", "estimator_a", "estimator_b", "quantity", "seed", "value"),
    "explanation_signal": ("study", "tensor", "estimator", "quantity", "seed", "value"),
    "explanation_reliability": ("study", "tensor", "estimator", "coefficient", "quantity", "seed", "value"),
    "explanation_noise": ("study", "tensor", "estimator_a", "estimator_b", "coefficient", "quantity", "seed", "value"),
    "explanation_trajectories": (
        "study", "tensor", "estimator_a", "estimator_b", "coefficient", "quantity", "tasks_learnt", "seed", "value",
    ),
    "explanation_shared": (
        "study", "tensor", "estimator_a", "estimator_b", "coefficient", "tasks_learnt", "seed", "value",
    ),
}  # fmt: skip

EXPLANATION = tuple(name for name in COLUMNS if name.startswith("explanation_"))
"""Tables of the optional stage ``explanation``."""

TEXT = frozenset(
    {
        "study", "tensor", "estimator", "estimator_a", "estimator_b", "coefficient", "split", "criterion", "scope",
        "condition", "quantity", "use",
    }
)  # fmt: skip
"""Columns of text; all others contain numbers."""

WHOLE = frozenset({"seed", "permutation", "tasks_learnt", "task"})
"""Columns of whole numbers."""

SHARES = frozenset({"accuracy", "fraction"})
"""Columns of numbers from 0 to 1, or ``nan`` for a missing value."""


def is_weight_tensor(name: str) -> bool:
    """Whether a name denotes a weight matrix or a kernel, not a bias or a scale."""
    layer, _, kind = name.rpartition(".")
    return kind == "weight" and not NORMALISATION.search(layer)
