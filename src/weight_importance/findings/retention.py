"""Accuracy over the tasks learnt, and the ranking of estimators at their selected strengths.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from weight_importance.findings.baselines import LEVEL, NONE, above, estimators_of, gains, with_baselines
from weight_importance.findings.selection import Contrast, contrast, curves, holm
from weight_importance.findings.statistics import final_accuracy, intervals


def average_accuracy(retention: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy over the tasks learnt so far, by study, estimator, lambda, seed, tasks_learnt and split.

    ``nan`` if any of the accuracies is: that run diverged.
    """
    learnt = retention[retention["task"] <= retention["tasks_learnt"]]
    by = ["study", "estimator", "lambda", "seed", "tasks_learnt", "split"]
    return learnt.groupby(by, sort=False, dropna=False)["accuracy"].mean(skipna=False).reset_index()


def at_selected_lambda(frame: pd.DataFrame, selected: pd.DataFrame) -> pd.DataFrame:
    """Rows of a table with ``estimator`` and ``lambda`` at each estimator's selected lambda, and the rows of ``none``.

    An estimator is omitted if every lambda diverged.
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
    """Rows of :func:`final_means` at each estimator's selected lambda, and the row of ``none``.

    Args:
        retention: the table ``retention`` of one study.
        selected: the table ``selected_lambda`` of the same study.
        split: ``validation`` or ``test``.
    """
    chosen = at_selected_lambda(final_accuracy(retention, split), selected)
    return intervals(chosen, ["estimator", "lambda"], "accuracy")


@dataclass(frozen=True)
class Ranking:
    """Estimators of a study at their selected strengths, in order of validation accuracy.

    Attributes:
        order: estimators, best first; an estimator is omitted if every lambda diverged.
        means: lambda and test accuracy with its interval, by estimator (and ``none``).
        gaps: paired difference in test accuracy, first minus second, by two estimators in this order; the interval
            accounts for the selection of λ.
        spread: gap between the best and the worst.
        gains: test accuracy minus the baseline's, by baseline and estimator: see
            :func:`weight_importance.findings.baselines.gains`.
        at_edge: estimators whose selected lambda is the lowest or the highest of several.
        diverged: strengths at which a run diverged, by estimator.
    """

    order: list[str]
    means: Mapping[str, Mapping[str, float]]
    gaps: Mapping[tuple[str, str], Contrast]
    spread: Contrast
    gains: Mapping[str, Mapping[str, Contrast]]
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
        """Estimators not significantly different from the best, after Holm's correction."""
        return [name for name, p in self._against_best.items() if not p < LEVEL]

    @property
    def above(self) -> list[str]:
        """Estimators significantly above the validation-best estimator on test data, by the same tests."""
        return [name for name, p in self._against_best.items() if p < LEVEL and self.gaps[self.best, name].mean < 0]

    @property
    def below(self) -> list[str]:
        """Estimators significantly below the validation-best estimator on test data, by the same tests."""
        return [name for name, p in self._against_best.items() if p < LEVEL and self.gaps[self.best, name].mean > 0]

    @property
    def _against_best(self) -> dict[str, float]:
        return holm({name: self.gaps[self.best, name].p for name in self.order[1:]})

    def effective(self, baseline: str = NONE) -> list[str]:
        """Estimators above a baseline: see :func:`weight_importance.findings.baselines.above`."""
        return above(self.gains.get(baseline, {}))


def ranking(retention: pd.DataFrame, selected: pd.DataFrame) -> Ranking:
    """Rank the estimators of a study.

    Args:
        retention: the table ``retention`` of one study, with rows of ``none``; ablations are ignored.
        selected: the table ``selected_lambda`` of the same study.
    """
    conditions = with_baselines(curves(retention, selected["criterion"].iloc[0]))
    estimators = estimators_of(selected["estimator"])
    selected = selected[selected["estimator"].isin(estimators)]
    retention = retention[retention["estimator"].isin([*estimators, NONE])]
    test = final_accuracy(retention, "test")
    chosen = at_selected_lambda(test, selected)
    validation = at_selected_lambda(final_accuracy(retention, "validation"), selected)
    rank = validation[validation["estimator"] != NONE].groupby("estimator")["accuracy"].mean()
    order = sorted(rank.index, key=lambda name: (-rank[name], name))
    means = intervals(chosen, ["estimator", "lambda"], "accuracy").set_index("estimator", drop=False)
    pairs = [(first, second) for place, first in enumerate(order) for second in order[place + 1 :]]
    return Ranking(
        order=order,
        means=means.to_dict("index"),
        gaps={(first, second): contrast(conditions[first], conditions[second]) for first, second in pairs},
        spread=contrast(conditions[order[0]], conditions[order[-1]]),
        gains={base: {name: change[name] for name in order} for base, change in gains(conditions).items()},
        at_edge=_at_edge(test, selected),
        diverged=_diverged(test),
    )


def _at_edge(test: pd.DataFrame, selected: pd.DataFrame) -> list[str]:
    chosen = selected.set_index("estimator")["lambda"]
    tried = test[test["estimator"] != NONE].groupby("estimator")["lambda"].unique()
    return [name for name, values in tried.items() if is_at_edge(chosen[name], values)]


def is_at_edge(strength: float, tried: Sequence[float]) -> bool:
    """Return whether a strength is the lowest or the highest of several tried, so that others may be better."""
    return len(tried) > 1 and strength in (min(tried), max(tried))


def _diverged(test: pd.DataFrame) -> dict[str, list[float]]:
    lost = test[test["accuracy"].isna() & (test["estimator"] != NONE)]
    return {name: sorted(group.unique()) for name, group in lost.groupby("estimator")["lambda"]}
