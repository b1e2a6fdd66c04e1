"""Accuracy over the tasks learnt, and the ranking of estimators at their selected strengths.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from weight_importance.findings.statistics import Interval, final_accuracy, intervals, paired
from weight_importance.settings import UNPENALISED

NONE, JOINT = UNPENALISED
"""Names of training without a penalty, task by task and of all tasks so far together."""


def average_accuracy(retention: pd.DataFrame) -> pd.DataFrame:
    """The mean accuracy over the tasks learnt so far, per study, estimator, lambda, seed, tasks_learnt and split.

    It is nan as soon as one of the accuracies is: that run diverged.
    """
    learnt = retention[retention["task"] <= retention["tasks_learnt"]]
    by = ["study", "estimator", "lambda", "seed", "tasks_learnt", "split"]
    return learnt.groupby(by, sort=False, dropna=False)["accuracy"].mean(skipna=False).reset_index()


def at_selected_lambda(frame: pd.DataFrame, selected: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table with ``estimator`` and ``lambda`` at each estimator's selected lambda, and those of ``none``.

    An estimator of which every lambda diverged has none selected and is left out.
    """
    keys = ["study", "estimator", "lambda"]
    chosen = selected.loc[selected["lambda"].notna() & (selected["estimator"] != NONE), keys]
    return pd.concat([frame.merge(chosen, on=keys), frame[frame["estimator"] == NONE]], ignore_index=True)


def final_means(retention: pd.DataFrame, split: str) -> pd.DataFrame:
    """Accuracy over all tasks after the last one, by estimator and lambda, with 95 % intervals over seeds.

    Args:
        retention: the table ``retention`` of one study.
        split: ``validation`` or ``test``.

    Returns:
        columns estimator, lambda, mean, low, high, n; ``nan`` where a run diverged.
    """
    return intervals(final_accuracy(retention, split), ["estimator", "lambda"], "accuracy")


def selected_means(retention: pd.DataFrame, selected: pd.DataFrame, split: str) -> pd.DataFrame:
    """The rows of :func:`final_means` at each estimator's selected lambda, and that of ``none``.

    Args:
        retention: the table ``retention`` of one study.
        selected: the table ``selected_lambda`` of the same study.
        split: ``validation`` or ``test``.
    """
    chosen = at_selected_lambda(final_accuracy(retention, split), selected)
    return intervals(chosen, ["estimator", "lambda"], "accuracy")


@dataclass(frozen=True)
class Ranking:
    """The estimators of a study at their selected strengths; the order is that of validation accuracies.

    Attributes:
        order: estimators, the best first; those of which every lambda diverged are left out.
        means: by estimator (and ``none``), lambda and test accuracy with its interval.
        gaps: by two estimators in this order, test accuracy of the first less that of the second, paired by seed.
        spread: the gap of the best and the worst.
        gains: by estimator, test accuracy less that without a penalty, paired by seed.
        at_edge: estimators whose selected lambda is the lowest or the highest of several.
        diverged: by estimator, the strengths at which a run diverged.
    """

    order: list[str]
    means: Mapping[str, Mapping[str, float]]
    gaps: Mapping[tuple[str, str], Interval]
    spread: Interval
    gains: Mapping[str, Interval]
    at_edge: list[str]
    diverged: Mapping[str, list[float]]

    @property
    def best(self) -> str:
        return self.order[0]

    @property
    def worst(self) -> str:
        return self.order[-1]

    @property
    def indistinguishable(self) -> list[str]:
        """Estimators whose difference to the best has an interval that contains zero."""
        gaps = {name: self.gaps[self.best, name] for name in self.order[1:]}
        return [name for name, gap in gaps.items() if gap.low <= 0 <= gap.high]

    @property
    def above(self) -> list[str]:
        """Estimators that are above the best of validation data on test data, by the interval of the difference."""
        return [name for name in self.order[1:] if self.gaps[self.best, name].high < 0]

    @property
    def effective(self) -> list[str]:
        """Estimators above training without a penalty, by the interval of the difference."""
        return [name for name in self.order if self.gains[name].low > 0]


def ranking(retention: pd.DataFrame, selected: pd.DataFrame) -> Ranking:
    """The ranking of a study's estimators.

    Args:
        retention: the table ``retention`` of one study, with rows of ``none``.
        selected: the table ``selected_lambda`` of the same study.
    """
    selected = selected[selected["estimator"] != NONE]
    test = final_accuracy(retention, "test")
    chosen = at_selected_lambda(test, selected)
    validation = at_selected_lambda(final_accuracy(retention, "validation"), selected)
    rank = validation[validation["estimator"] != NONE].groupby("estimator")["accuracy"].mean()
    order = sorted(rank.index, key=lambda name: (-rank[name], name))
    by_seed = {name: group.set_index("seed")["accuracy"] for name, group in chosen.groupby("estimator")}
    means = intervals(chosen, ["estimator", "lambda"], "accuracy").set_index("estimator", drop=False)
    pairs = [(first, second) for place, first in enumerate(order) for second in order[place + 1 :]]
    return Ranking(
        order=order,
        means=means.to_dict("index"),
        gaps={pair: paired(*(by_seed[name] for name in pair)) for pair in pairs},
        spread=paired(by_seed[order[0]], by_seed[order[-1]]),
        gains={name: paired(by_seed[name], by_seed[NONE]) for name in order},
        at_edge=_at_edge(test, selected),
        diverged=_diverged(test),
    )


def _at_edge(test: pd.DataFrame, selected: pd.DataFrame) -> list[str]:
    chosen = selected.set_index("estimator")["lambda"]
    tried = test[test["estimator"] != NONE].groupby("estimator")["lambda"].unique()
    return [name for name, values in tried.items() if is_at_edge(chosen[name], values)]


def is_at_edge(strength: float, tried: pd.Series) -> bool:
    """Whether a strength is the lowest or the highest of several that were tried: a better one may lie beyond."""
    return len(tried) > 1 and strength in (min(tried), max(tried))


def _diverged(test: pd.DataFrame) -> dict[str, list[float]]:
    lost = test[test["accuracy"].isna() & (test["estimator"] != NONE)]
    return {name: sorted(group.unique()) for name, group in lost.groupby("estimator")["lambda"]}
