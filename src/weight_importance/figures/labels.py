"""Display names of ablations, coefficients and scopes in figures, tables and the explorer."""

from collections.abc import Iterable

from weight_importance.figures.style import label
from weight_importance.settings.ablation_names import TRANSFORMS, WITH_NUMBER, is_ablation, parse

COEFFICIENT_LABELS = {
    "pearson": "Pearson correlation",
    "spearman": "Spearman rank correlation",
    "pearson_log": "Pearson correlation of logarithms",
    "overlap_top10": "overlap of the top 10 %",
}

SCOPE_LABELS = {"tensor": "ranked within each weight matrix", "network": "ranked over the whole network"}


def ablation_label(ablation: str, estimator: str) -> str:
    """Display name of an ablation listed under one of its estimators.

    Args:
        ablation: ablation, or the estimator itself.
        estimator: one of the estimators that the ablation is made from.
    """
    if not is_ablation(ablation):
        return label(ablation)
    parts = parse(ablation)
    if parts.transform != "values_in_ranks":
        return parts.label
    values, ranks = parts.estimators
    return f"values of {label(values)}" if estimator == ranks else f"in ranks of {label(ranks)}"


def in_ablation_order(names: Iterable[str]) -> list[str]:
    """Ablations in the order of transforms, transforms with a number by number, ablations of two estimators last."""
    known = [*TRANSFORMS, *WITH_NUMBER, "values_in_ranks"]

    def place(name: str) -> tuple:
        parts = parse(name)
        return known.index(parts.transform), parts.number, name

    return sorted(names, key=place)
