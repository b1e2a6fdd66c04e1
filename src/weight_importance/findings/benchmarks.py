"""Split and permuted MNIST compared with published results, with equivalence tests.

Works on tidy tables in memory and on studies' settings; knows nothing of drawing or LaTeX.
"""

from collections.abc import Mapping

import pandas as pd

from weight_importance.findings.publications import METHODS, SCENARIOS, named, nearest
from weight_importance.findings.reproduction import MARGIN, OUTCOMES, judge
from weight_importance.findings.selection import holm
from weight_importance.findings.statistics import against_published, final_accuracy, intervals, paired
from weight_importance.runtime.optional import present
from weight_importance.settings import Study

ACCUMULATION = {
    "fisher_predicted": {"per_task": "ewc", "sum": "online_ewc"},
    "l2": {"mean": "l2"},
    "si": {"sum": "si"},
    "mas_batched": {"sum": "mas"},
}
"""Published method by estimator and accumulation of importances."""

KEYS = ["publication", "scenario", "method"]
COLUMNS = (
    *KEYS, "study", "estimator", "lambda", "tasks_learnt",
    "mean_ours", "low_ours", "high_ours", "n_ours", "mean_published", "low_published", "high_published", "n_published",
    "mean_difference", "low_difference", "high_difference", "tost_p", "outcome", "verdict",
)  # fmt: skip


def method(settings: Study, estimator: str) -> str | None:
    """Published method that corresponds to an estimator in a study; ``None`` if unpublished."""
    if estimator in ("none", "joint"):
        return estimator
    return ACCUMULATION.get(estimator, {}).get(present(settings.retention).accumulation)


def scenario(settings: Study) -> str:
    """Task-, domain- or class-incremental learning; tasks that share all outputs and labels are domain-incremental."""
    return getattr(settings.tasks, "scenario", "domain")


def benchmark_studies(settings: Mapping[str, Study]) -> dict[str, Study]:
    """Studies with analyses whose later tasks match a published kind."""
    return {name: study for name, study in settings.items() if study.analyses and study.retention and nearest(study)}


def final(settings: Mapping[str, Study], retention: pd.DataFrame) -> pd.DataFrame:
    """Average test accuracies after the last task, with :data:`KEYS`; unpublished methods are omitted.

    Args:
        settings: settings by study.
        retention: the table ``retention`` of these studies.
    """
    parts = []
    for name, study in benchmark_studies(settings).items():
        own = retention[retention["study"] == name]
        if len(own):
            accuracies = final_accuracy(own, "test")
            methods = [method(study, estimator) for estimator in accuracies["estimator"]]
            keys = {"publication": present(nearest(study)).name, "scenario": scenario(study)}
            accuracies = accuracies.assign(**keys, method=methods, tasks_learnt=study.tasks.count)
            parts.append(accuracies.dropna(subset="method"))
    columns = ["study", "estimator", "lambda", "seed", "accuracy", "tasks_learnt", *KEYS]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def compared(settings: Mapping[str, Study], retention: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Compare each published value with its counterpart in this run, one per row.

    The counterpart has the same λ. If λ was not published, it is the λ with the best mean test accuracy, as in the
    publication, among those with the largest number of networks. A publication that lists several numbers of tasks is
    compared after as many tasks as the study has.

    Args:
        settings: settings by study.
        retention: the table ``retention`` of these studies.
        published: result of :func:`weight_importance.findings.publications.published`.

    Returns:
        columns :data:`COLUMNS`; accuracies are between 0 and 1. ``difference`` is ours minus published, with Welch's
        95 % interval; ``tost_p`` is the p value of equivalence within the margin of
        :mod:`weight_importance.findings.reproduction`; the verdict uses p values adjusted for all comparisons (Holm).
    """
    by = [*KEYS, "study", "estimator", "lambda", "tasks_learnt"]
    observed = intervals(final(settings, retention), by, "accuracy")
    networks = observed.groupby([*KEYS, "study", "tasks_learnt"])["n"]
    best = (
        observed[observed["n"] == networks.transform("max")]
        .sort_values("mean", na_position="first", kind="stable")
        .drop_duplicates([*KEYS, "study"], keep="last")
    )
    free = published["lambda"].isna()
    suffixes = {"suffixes": ("_ours", "_published")}
    at_lambda = observed.merge(published[~free], on=[*KEYS, "lambda"], **suffixes)
    at_best = best.merge(published[free].drop(columns="lambda"), on=KEYS, **suffixes)
    both = pd.concat([at_lambda, at_best], ignore_index=True).rename(columns={"tasks_learnt_ours": "tasks_learnt"})
    listed = both["tasks_learnt_published"]
    both = both[listed.isna() | (listed == both["tasks_learnt"])]
    tested = [row | against_published(row, MARGIN) for row in both.to_dict("records")]
    adjusted = [holm({place: row[name] for place, row in enumerate(tested)}) for name in ("tost_p", "difference_p")]
    results = pd.DataFrame(
        [row | _judged(row, settings[row["study"]], *(p[place] for p in adjusted)) for place, row in enumerate(tested)],
        columns=list(COLUMNS),
    )
    order = {name: place for place, name in enumerate([*SCENARIOS, *METHODS])}
    return results.sort_values(KEYS, key=lambda column: column.map(order), kind="stable").reset_index(drop=True)


def _judged(row: Mapping, settings: Study, equivalent: float, different: float) -> dict[str, object]:
    outcome, verdict = judge(row["mean_difference"], equivalent, different)
    differing = bool(named(row["publication"]).departures(settings))
    if differing or row["method"] == "joint":
        outcome, verdict = "not judged", f"not judged, {'settings differ' if differing else 'procedures differ'}"
    return {"outcome": outcome, "verdict": verdict}


def tally(results: pd.DataFrame) -> dict[str, int]:
    """Number of comparisons by outcome."""
    return {outcome: int((results["outcome"] == outcome).sum()) for outcome in OUTCOMES}


def anchors(settings: Mapping[str, Study], retention: pd.DataFrame) -> pd.DataFrame:
    """Compare one penalty per task with one anchor for the sum of importances: paired accuracies at each λ in common.

    Args:
        settings: settings by study.
        retention: the table ``retention`` of these studies.

    Returns:
        columns ``scenario``, ``lambda``, ``mean``, ``low``, ``high``, ``n``: the paired difference, EWC minus online
        EWC.
    """
    each = final(settings, retention)
    rows = []
    for (where, strength), group in each.groupby(["scenario", "lambda"]):
        by_seed = {name: group[group["method"] == name].set_index("seed")["accuracy"] for name in ("ewc", "online_ewc")}
        both = sorted(set.intersection(*(set(values.index) for values in by_seed.values())))
        if both:
            change = paired(*(values.loc[both] for values in by_seed.values()))
            rows.append({"scenario": where, "lambda": strength} | vars(change))
    columns = ["scenario", "lambda", "mean", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        "scenario", key=lambda column: column.map(SCENARIOS.index), kind="stable", ignore_index=True
    )
