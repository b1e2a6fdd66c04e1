"""Values with intervals, lists of estimators and table rows, shared by several topics of the paper."""

from collections.abc import Iterable, Mapping

import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.files.derivation import Rows, rows
from weight_importance.paper.latex import listing, number, plain, rounded

Results = dict[str, str]
"""Printed values by key."""

PERCENT = 100.0

ADJECTIVES = {"differs": "different"}
"""Outcomes of comparisons as the text counts them."""


def label(name: str) -> str:
    """Label of an estimator."""
    return ESTIMATORS[name].label


def pair_label(row: Mapping[str, str]) -> str:
    """Labels of the two estimators of a row."""
    return f"{label(row['estimator_a'])} with {label(row['estimator_b'])}"


def mean(key: str, row: Mapping[str, float], decimals: int = 2, scale: float = 1.0) -> Results:
    """``{key}/{mean, low, high, interval}`` of a row with ``mean``, ``low`` and ``high``."""
    results = {f"{key}/{name}": number(row[name] * scale, decimals) for name in ("mean", "low", "high")}
    ends = [rounded(row[name] * scale, decimals) for name in ("low", "high")]
    return results | {f"{key}/interval": "no interval" if None in ends else rf"\numrange{{{ends[0]}}}{{{ends[1]}}}"}


def names(key: str, items: Iterable[str], nothing: str = "none") -> Results:
    """``{key}/{list, count}`` of finished names, and ``{key}/any`` if there are some."""
    items = list(items)
    some = {f"{key}/any": "yes"} if items else {}
    return some | {f"{key}/list": listing(items, nothing), f"{key}/count": plain(len(items))}


def counted(key: str, outcomes: Mapping[str, int]) -> Results:
    """Outcomes of comparisons: ``{key}/count``, their sum, and ``{key}/outcomes``, the numbers of those that occur."""
    occurring = [f"{plain(count)} {ADJECTIVES.get(name, name)}" for name, count in outcomes.items() if count]
    return {f"{key}/count": plain(sum(outcomes.values())), f"{key}/outcomes": listing(occurring)}


def labels(key: str, estimators: Iterable[str]) -> Results:
    """``{key}/{list, count}`` of estimators."""
    return names(key, map(label, estimators))


def after_last_task(
    retention: pd.DataFrame, split: str, estimator: str | tuple[str, ...] | None = None, strength: float | None = None
) -> Rows:
    """Rows of a study's table ``retention`` after its last task: of some or all estimators, at one or every λ."""
    only = {"estimator": estimator, "lambda": strength}
    where = {name: value for name, value in only.items() if value is not None}
    return rows("retention", split=split, tasks_learnt=int(retention["tasks_learnt"].max()), **where)
