"""The columns of every table the workflow writes: the contract with programs that read ``results/summary``."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "baseline": ("study", "seed", "split", "accuracy"),
    "correlation": ("study", "tensor", "estimator_a", "estimator_b", "coefficient", "seed", "value"),
    "correlation_null": (
        "study", "tensor", "estimator_a", "estimator_b", "coefficient", "seed", "permutation", "value",
    ),
    "retention": ("study", "estimator", "lambda", "seed", "tasks_learnt", "task", "split", "accuracy"),
    "selected_lambda": ("study", "estimator", "lambda", "criterion"),
    "pruning": ("study", "scope", "criterion", "seed", "fraction", "accuracy"),
}  # fmt: skip
