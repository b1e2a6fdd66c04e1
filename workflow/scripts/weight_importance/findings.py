"""From the tidy tables to what figures, LaTeX tables and the text show of them, beyond the means of ``statistics``.

Computed in this one place, so that a figure and a sentence cannot disagree. Knows nothing of files, colours or LaTeX.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats


def tensor_order(tensors: Sequence[str]) -> list[str]:
    """Parameter tensors as the layers follow each other, weight before bias, and ``all`` last."""
    unique = list(dict.fromkeys(tensors))
    return sorted(unique, key=lambda name: (name == "all", name.rpartition(".")[0], name.endswith("bias")))


def average_accuracy(retention: pd.DataFrame) -> pd.DataFrame:
    """The mean accuracy over the tasks learnt so far, per study, estimator, lambda, seed, tasks_learnt and split.

    Missing (nan) as soon as one of them is: that run had diverged.
    """
    learnt = retention[retention["task"] <= retention["tasks_learnt"]]
    by = ["study", "estimator", "lambda", "seed", "tasks_learnt", "split"]
    return learnt.groupby(by, sort=False, dropna=False)["accuracy"].mean(skipna=False).reset_index()


def at_selected_lambda(frame: pd.DataFrame, selected: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table with ``estimator`` and ``lambda`` at each estimator's selected lambda, and those of ``none``.

    An estimator of which every lambda diverged has none selected and is left out.
    """
    keys = ["study", "estimator", "lambda"]
    chosen = selected.loc[selected["lambda"].notna() & (selected["estimator"] != "none"), keys]
    return pd.concat([frame.merge(chosen, on=keys), frame[frame["estimator"] == "none"]], ignore_index=True)


def difference(ours: Mapping[str, float], theirs: Mapping[str, float]) -> tuple[float, float, float]:
    """The difference ``ours - theirs`` of two means with its 95 % interval (Welch 1947; unequal variances).

    Args:
        ours: with ``mean``, ``low``, ``high``, ``n`` of a t interval over seeds.
        theirs: the same.

    Returns:
        ``(difference, low, high)``; the bounds are nan when one of the two rests on a single run.
    """
    errors, freedoms = [], []
    for mean in (ours, theirs):
        freedom = mean["n"] - 1
        half = (mean["high"] - mean["low"]) / 2
        errors.append(half / stats.t.ppf(0.975, freedom) if freedom > 0 else np.nan)
        freedoms.append(freedom)
    change = ours["mean"] - theirs["mean"]
    error = np.hypot(*errors)
    if not error > 0:
        return change, change + error, change + error
    freedom = error**4 / sum(one**4 / count for one, count in zip(errors, freedoms, strict=True))
    half = stats.t.ppf(0.975, freedom) * error
    return change, change - half, change + half
