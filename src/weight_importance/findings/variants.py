"""A study and its variants, which change one setting: the penalty, or the statistics of batch normalisation.

Strengths are matched through the plain penalty, whose factor is λ. The stabilised penalty has the factor ½ for small λ,
so its λ corresponds to λ/2. Works on tidy tables in memory and on studies' settings; knows nothing of files, drawing or
LaTeX.
"""

import math
from collections.abc import Mapping

import pandas as pd

from weight_importance.findings.statistics import final_accuracy, interval, intervals, paired
from weight_importance.runtime.optional import present
from weight_importance.settings import Study

TOLERANCE = 0.01
"""Largest loss of mean test accuracy against the best at a usable strength: one percentage point."""

PARTS = ("mean", "low", "high")
COMPARED = [
    "variant", "estimator", "lambda", "lambda_counterpart",
    *(f"{part}_{who}" for who in ("variant", "counterpart", "difference") for part in PARTS), "n",
]  # fmt: skip
LIMITS = ("best_lambda", "best", "low", "high", "factor", "open_low", "open_high")
RANGES = [
    "variant", "estimator", "strengths", "n",
    *(f"{limit}_{who}" for who in ("variant", "counterpart") for limit in LIMITS), "outcome",
]  # fmt: skip
OUTCOMES = ("wider", "narrower", "not resolved", "undecided")


def variants(study: str, settings: Mapping[str, Study]) -> list[str]:
    """Companions of a study that learn the later tasks differently, from the same networks.

    Args:
        study: original study.
        settings: settings of this study and its companions, by study.
    """
    return [name for name, own in settings.items() if own.companion_of == study and own.networks_of == study]


def short_name(variant: str, study: str) -> str:
    """Suffix that a variant adds to the name of its original study: ``stabilised``."""
    return variant.removeprefix(f"{study}_").replace("_", " ")


def plain_lambda(strength: float, settings: Study) -> float:
    """λ of the plain penalty equivalent to a study's λ."""
    return strength / 2 if present(settings.retention).penalty == "stabilised" else strength


def compared(study: str, settings: Mapping[str, Study], retention: pd.DataFrame) -> pd.DataFrame:
    """Compare each variant with its original study at every matched strength, paired by seed.

    Args:
        study: original study.
        settings: settings of this study and its companions, by study.
        retention: the table ``retention``, of all studies.

    Returns:
        columns ``variant``, ``estimator`` (including ``none``), ``lambda`` of the variant, ``lambda_counterpart``, then
        ``mean``, ``low``, ``high`` with the suffixes ``_variant``, ``_counterpart`` and ``_difference`` (variant minus
        counterpart, paired), and ``n``: all over the seeds in common. Accuracies are mean test accuracies over all
        tasks after the last one, between 0 and 1; ``nan`` where a run diverged.
    """
    rows = []
    base = _final(study, settings, retention)
    for variant in variants(study, settings):
        both = _matched(_final(variant, settings, retention), base)
        for key, group in both.groupby(["estimator", "lambda_variant", "lambda_counterpart"]):
            a, b = (group.set_index("seed")[f"accuracy_{side}"] for side in ("variant", "counterpart"))
            row = {"variant": variant} | dict(zip(("estimator", "lambda", "lambda_counterpart"), key, strict=True))
            for side, estimate in (
                ("variant", interval(a)),
                ("counterpart", interval(b)),
                ("difference", paired(a, b)),
            ):
                row |= {f"{part}_{side}": getattr(estimate, part) for part in PARTS}
            rows.append(row | {"n": len(group)})
    return pd.DataFrame(rows, columns=COMPARED)


def _final(name: str, settings: Mapping[str, Study], retention: pd.DataFrame) -> pd.DataFrame:
    """Final accuracies of one study by estimator, ``lambda``, ``plain_lambda`` and seed; no rows if it has none."""
    rows = retention[retention["study"] == name]
    # halving is exact, so strengths written as twice those of another study match them
    accuracies = final_accuracy(rows, "test") if len(rows) else rows
    plain = [plain_lambda(strength, settings[name]) for strength in accuracies["lambda"]]
    return accuracies.assign(plain_lambda=plain)[["estimator", "lambda", "plain_lambda", "seed", "accuracy"]]


def _matched(variant: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """Runs in common, one per row: same estimator, plain-equivalent strength and seed."""
    return variant.merge(base, on=["estimator", "plain_lambda", "seed"], suffixes=("_variant", "_counterpart"))


def curves(study: str, settings: Mapping[str, Study], retention: pd.DataFrame) -> pd.DataFrame:
    """Accuracy against strength for a study and its variants, each over all its seeds.

    Args:
        study, settings, retention: as for :func:`compared`.

    Returns:
        columns ``study``, ``estimator``, ``lambda``, ``plain_lambda``, ``mean``, ``low``, ``high``, ``n``.
    """
    parts = [
        intervals(_final(name, settings, retention), ["estimator", "lambda", "plain_lambda"], "accuracy").assign(
            study=name
        )
        for name in [study, *variants(study, settings)]
    ]
    columns = ["study", "estimator", "lambda", "plain_lambda", "mean", "low", "high", "n"]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)[columns]


def usable_range(study: str, settings: Mapping[str, Study], retention: pd.DataFrame) -> pd.DataFrame:
    """Strengths around the best with an accuracy within :data:`TOLERANCE` of the best, for variant and counterpart.

    Both use only the strengths and seeds in common, so that neither range depends on its grid. The ends of a range are
    strengths that were run: the true ends are known only up to the neighbouring strengths, and ranges that differ by
    less than a step have the same ends or are one step apart.

    Args:
        study, settings, retention: as for :func:`compared`.

    Returns:
        one row per ``variant`` and ``estimator`` in common, with ``strengths`` and ``n``, the numbers of strengths and
        seeds in common; then with the suffixes ``_variant`` and ``_counterpart`` ``best_lambda``, ``best`` (accuracy),
        ``low``, ``high``, ``factor`` (high over low), ``open_low`` and ``open_high`` (the range reaches the end of the
        strengths in common and may extend beyond). λ are those of the plain penalty; ``nan`` if every λ diverged.
        ``outcome``, one of :data:`OUTCOMES`, compares the variant's factor with its counterpart's: ``not resolved`` if
        they are equal, ``undecided`` if an open range could reverse the order, or if there is no range.
    """
    rows = []
    base = _final(study, settings, retention)
    for variant in variants(study, settings):
        varied = _final(variant, settings, retention)
        both = _matched(varied, base)
        for estimator in [name for name in varied["estimator"].unique() if name != "none"]:
            if estimator not in set(base["estimator"]):
                continue
            group = both[both["estimator"] == estimator]
            row = {"variant": variant, "estimator": estimator}
            row |= {"strengths": group["plain_lambda"].nunique(), "n": group["seed"].nunique()}
            limits = {side: _limits(group, f"accuracy_{side}") for side in ("variant", "counterpart")}
            row |= {f"{limit}_{side}": value for side, ends in limits.items() for limit, value in ends.items()}
            rows.append(row | {"outcome": _outcome(limits["variant"], limits["counterpart"])})
    return pd.DataFrame(rows, columns=RANGES)


def _limits(runs: pd.DataFrame, accuracy: str) -> dict[str, float]:
    """:data:`LIMITS` of one usable range, from runs at several strengths and seeds."""
    means = intervals(runs, ["plain_lambda"], accuracy)
    strengths, mean = means["plain_lambda"], means["mean"]
    if mean.isna().all():
        return dict.fromkeys(LIMITS, math.nan) | {"open_low": False, "open_high": False}
    best = int(mean.idxmax())
    # rounded, so that a loss equal to the tolerance is within it
    usable = (mean.max() - mean).round(12) <= TOLERANCE
    first = last = best
    while first > 0 and usable[first - 1]:
        first -= 1
    while last + 1 < len(means) and usable[last + 1]:
        last += 1
    ends = (strengths[first], strengths[last], strengths[last] / strengths[first], first == 0, last + 1 == len(means))
    return dict(zip(LIMITS, (strengths[best], mean[best], *ends), strict=True))


def _outcome(variant: Mapping, counterpart: Mapping) -> str:
    a, b = variant["factor"], counterpart["factor"]
    if math.isnan(a) or math.isnan(b):
        return "undecided"
    a_open, b_open = (limits["open_low"] or limits["open_high"] for limits in (variant, counterpart))
    if math.isclose(a, b):
        return "undecided" if a_open or b_open else "not resolved"
    # an open range is at least as wide as it appears: a wider one stays wider, a narrower one need not stay narrower
    if a > b:
        return "undecided" if b_open else "wider"
    return "undecided" if a_open else "narrower"
