"""Comparison with published results: both values, their difference, and a verdict.

Works on tidy tables in memory and on studies' settings; knows nothing of files, drawing or LaTeX. Verdicts are plain
text for tables.
"""

import math
from collections.abc import Mapping

import pandas as pd

from weight_importance.findings.pruning import pruning_means
from weight_importance.findings.published import LATER, SETUP, SETUPS, differing, last_task
from weight_importance.findings.retention import average_accuracy
from weight_importance.findings.selection import holm
from weight_importance.findings.statistics import against_published, intervals
from weight_importance.settings import Study, stand_in

MARGIN = 0.01
"""Largest equivalence margin: one percentage point of accuracy.

A margin is justified by the alternatives it excludes. A *rival* of a published value is published at a λ lower or
higher by a factor of at least two, or for another pruning criterion. A margin of half the distance to the nearest rival
ensures that the rival would not pass as reproduced. If this is below the largest margin, it is the margin, however
small; the published curves are so flat around their best λ that few runs cannot decide.
"""

FACTOR = 2
"""A published λ that is lower or higher by at least this factor is a rival."""

LEVEL = 0.05
"""Significance level of the tests."""

KEYS = ["estimator", "lambda", "tasks_learnt"]
COLUMNS = (
    "kind", "estimator", "lambda", "lambda_ours", "fraction", "tasks_learnt",
    "mean_ours", "low_ours", "high_ours", "n_ours",
    "mean_published", "low_published", "high_published", "n_published",
    "mean_difference", "low_difference", "high_difference", "margin", "rival",
    "tost_p", "difference_p", "holm_tost_p", "holm_difference_p", "outcome", "verdict",
)  # fmt: skip
OUTCOMES = ("reproduced", "differs", "undecided", "diverged", "not judged")


def departures(study: str, settings: Study, kind: str = "lambda") -> list[str]:
    """Settings in which a run departs from the published one: ``epochs for each later task: 1 instead of 6``.

    Args:
        study: study with published results.
        settings: settings of the run that replaces it.
        kind: kind of comparison; ``pruning`` ignores the tasks after the first, and its published networks had a new
            Adam state each.
    """
    if study not in SETUPS:
        return ["nothing is published of this study"]
    reused = ("protocol", "reused_adam")
    compared = [
        (path, kind != "pruning" if path == reused else published, words)
        for path, published, words in (*SETUPS[study], *SETUP)
        if not (kind == "pruning" and {*path} & {*LATER}) and getattr(settings, path[0]) is not None
    ]
    return differing(settings, compared)


def retention_means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean test accuracy over the tasks learnt so far with 95 % t intervals over seeds, as in the published table.

    Args:
        table: the table ``retention`` of one study.

    Returns:
        columns ``estimator``, ``lambda``, ``tasks_learnt``, ``mean``, ``low``, ``high``, ``n``.
    """
    average = average_accuracy(table[table["split"] == "test"])
    return intervals(average, KEYS, "accuracy")


def published_best(published: pd.DataFrame) -> dict[str, float]:
    """Each estimator's λ above zero with the best published mean after the last published task.

    Args:
        published: result of :func:`weight_importance.findings.published.retention` for one study.
    """
    penalised = published[published["lambda"] > 0]
    ordered = last_task(penalised).sort_values(["mean", "lambda"], ascending=[True, False])
    return dict(ordered.groupby("estimator")["lambda"].last())


def last_common_task(observed: pd.DataFrame, published: pd.DataFrame) -> int:
    """Number of tasks for the comparison: as many as both have learnt; 0 if either is empty."""
    return (
        0
        if observed.empty or published.empty
        else int(min(observed["tasks_learnt"].max(), published["tasks_learnt"].max()))
    )


def comparisons(
    study: str,
    settings: Mapping[str, Study],
    retention: pd.DataFrame,
    pruning: pd.DataFrame,
    published_retention: pd.DataFrame,
    published_pruning: pd.DataFrame,
) -> pd.DataFrame:
    """Compare each published value with its counterpart in this run, one per row.

    Kinds, by the column ``kind``:

    - ``lambda``: mean test accuracy over all tasks at a λ in common. A published λ = 0 is training without a penalty
      and is compared with ``none``.
    - ``tasks``: the same at the published best λ after 2, 3, ... tasks, except the last task in common, which is a row
      of ``lambda``. The first task precedes any penalty and is omitted.
    - ``best_value``: the best value over all λ on each side, unless both have the same best λ, which is a row of
      ``lambda``. If the published best λ diverged here, its row of ``lambda`` reports it; this row is additional.
    - ``pruning``: accuracy at a fraction in common, except 0.

    If this run has learnt fewer tasks, both are compared after that number.

    Args:
        study: study with published results.
        settings: settings of this study and its companions, by study.
        retention, pruning: the tables of these names, of all studies.
        published_retention, published_pruning: from :mod:`weight_importance.findings.published`, of all studies.

    Returns:
        columns :data:`COLUMNS`; accuracies are between 0 and 1. ``difference`` is ours minus published, with Welch's
        95 % interval; ``margin`` is the equivalence margin (see :data:`MARGIN`), ``rival`` the published λ or criterion
        that limits it; ``tost_p`` and ``difference_p`` are the p values of equivalence and of no difference, with
        ``holm_`` adjusted for all comparisons of one kind; ``outcome``, one of :data:`OUTCOMES`, follows from these.
    """
    learning, pruned = (stand_in(study, settings, table) for table in ("retention", "pruning"))
    observed = retention_means(retention[retention["study"] == learning])
    published = published_retention[published_retention["study"] == study]
    tasks, best = last_common_task(observed, published), published_best(published)
    values = [
        _at_every_lambda(observed, published, tasks),
        _after_every_task(observed, published, tasks, best),
        _best_value(observed, published, tasks, best),
        _pruned(pruning_means(pruning[pruning["study"] == pruned]), published_pruning, study),
    ]
    rivals = published, published_pruning[published_pruning["scope"] == "tensor"]
    rows = [row | _tested(row, rivals) for frame in values for row in frame.to_dict("records")]
    results = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("tost_p", "difference_p"):
        families = results.groupby("kind", sort=False)[name]
        adjusted = {place: p for _, family in families for place, p in holm(family.to_dict()).items()}
        results[f"holm_{name}"] = pd.Series(adjusted, index=results.index, dtype=float)
    judged = [
        _judged(row, not departures(study, settings[pruned if row["kind"] == "pruning" else learning], row["kind"]))
        for row in results.to_dict("records")
    ]
    outcomes = pd.DataFrame(judged, columns=["outcome", "verdict"], index=results.index)
    return results.assign(outcome=outcomes["outcome"], verdict=outcomes["verdict"])


def _at_every_lambda(observed: pd.DataFrame, published: pd.DataFrame, tasks: int) -> pd.DataFrame:
    # a sweep of any estimator may start at λ = 0; these runs are all the same training
    unpenalised = published["lambda"] == 0
    table = published.assign(estimator=published["estimator"].mask(unpenalised, "none"))
    return _merged(observed[observed["tasks_learnt"] == tasks], table.drop_duplicates(KEYS), "lambda")


def _after_every_task(observed: pd.DataFrame, published: pd.DataFrame, tasks: int, best: Mapping) -> pd.DataFrame:
    between = (observed["tasks_learnt"] > 1) & (observed["tasks_learnt"] < tasks)
    return _merged(observed[between & (observed["lambda"] == observed["estimator"].map(best))], published, "tasks")


def _merged(observed: pd.DataFrame, published: pd.DataFrame, kind: str) -> pd.DataFrame:
    both = observed.merge(published, on=KEYS, suffixes=("_ours", "_published"))
    return both.assign(kind=kind, lambda_ours=both["lambda"])


def _best_value(observed: pd.DataFrame, published: pd.DataFrame, tasks: int, best: Mapping) -> pd.DataFrame:
    observed, published = observed[observed["tasks_learnt"] == tasks], published[published["tasks_learnt"] == tasks]
    # diverged rows sort first, so they are taken only if all rows diverged; ties go to the published best
    ordered = observed.assign(published_best=observed["lambda"] == observed["estimator"].map(best)).sort_values(
        ["mean", "published_best", "lambda"], ascending=[True, True, False], na_position="first"
    )
    best_observed = ordered.groupby("estimator", as_index=False).nth(-1).rename(columns={"lambda": "lambda_ours"})
    best_published = published[published["lambda"] == published["estimator"].map(best)]
    both = best_observed.merge(best_published, on=["estimator", "tasks_learnt"], suffixes=("_ours", "_published"))
    return both[both["lambda_ours"] != both["lambda"]].assign(kind="best_value")


def _pruned(observed: pd.DataFrame, published: pd.DataFrame, study: str) -> pd.DataFrame:
    published = published[(published["study"] == study) & (published["scope"] == "tensor")]
    keys = ["scope", "criterion", "fraction"]
    both = observed[observed["fraction"] > 0].merge(published, on=keys, suffixes=("_ours", "_published"))
    return both.assign(kind="pruning").rename(columns={"criterion": "estimator"})


def _tested(row: Mapping, rivals: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, object]:
    """Difference between a row's two means, the margin, and both tests."""
    margin, rival = _margin(row, *rivals)
    return {**against_published(row, margin), "margin": margin, "rival": rival}


def _margin(row: Mapping, sweep: pd.DataFrame, pruning: pd.DataFrame) -> tuple[float, str]:
    """Half the distance from the published value to its nearest rival, at most :data:`MARGIN`, and the rival's name."""
    if row["kind"] == "pruning":
        same = pruning[(pruning["fraction"] == row["fraction"]) & (pruning["criterion"] != row["estimator"])]
        names = same["criterion"]
    else:
        same = sweep[(sweep["estimator"] == row["estimator"]) & (sweep["tasks_learnt"] == row["tasks_learnt"])]
        lower, higher = (same["lambda"] <= row["lambda"] / FACTOR), (same["lambda"] >= row["lambda"] * FACTOR)
        near = [side["lambda"].agg(end) for side, end in ((same[lower], "max"), (same[higher], "min")) if len(side)]
        same = same[same["lambda"].isin(near) & (same["lambda"] > 0)]
        names = same["lambda"].map("λ = {:g}".format)
    halves = (same["mean"] - row["mean_published"]).abs() / 2
    if halves.empty or halves.min() >= MARGIN:
        return MARGIN, ""
    return float(halves.min()), str(names[halves.idxmin()])


def _judged(row: Mapping, as_published: bool) -> tuple[str, str]:
    outcome, verdict = judge(row["mean_difference"], row["holm_tost_p"], row["holm_difference_p"], row["margin"])
    if as_published:
        return outcome, verdict
    return "not judged", "not judged, diverged here" if outcome == "diverged" else "not judged, settings differ"


def judge(change: float, equivalent: float, different: float, margin: float = MARGIN) -> tuple[str, str]:
    """Outcome that the tests support for a difference of accuracies, ours minus published.

    Args:
        change: the difference.
        equivalent: p value of the equivalence test.
        different: p value of the test of no difference.
        margin: equivalence margin.

    Returns:
        one of :data:`OUTCOMES`, and a sentence.
    """
    if math.isnan(change):
        return "diverged", "diverged here"
    if math.isnan(different):
        return "undecided", "undecided: a single run has no interval"
    points = f"{100 * margin:.2g}"
    width = f"{points} point{'s' if points != '1' else ''}"
    if equivalent < LEVEL:
        size = "p below 0.001" if equivalent < 0.001 else f"p = {equivalent:.3f}"
        return "reproduced", f"reproduced (equivalent within {width}, {size})"
    if different < LEVEL:
        return "differs", f"differs by {_points(change)}"
    return "undecided", f"undecided (margin: {width})"


def _points(change: float) -> str:
    return f"{100 * abs(change):.2f} points ({'higher' if change > 0 else 'lower'} here)"


def tally(compared: pd.DataFrame) -> pd.DataFrame:
    """Count each outcome by kind of comparison and estimator, with the row of the largest difference.

    Args:
        compared: result of :func:`comparisons`.

    Returns:
        columns ``kind``, ``estimator``, ``count``, one for each of :data:`OUTCOMES`, then :data:`COLUMNS` from
        ``lambda`` to ``tost_p`` for the row with the largest difference; and ``verdict``, such as
        ``9 of 10 reproduced, 1 undecided``.
    """
    place = [name for name in COLUMNS if name not in ("kind", "estimator", "outcome", "verdict")]
    rows = []
    for (kind, estimator), group in compared.groupby(["kind", "estimator"], sort=False):
        counts = {name: int((group["outcome"] == name).sum()) for name in OUTCOMES}
        largest = group.loc[[group["mean_difference"].astype(float).abs().fillna(-1).idxmax()], place]
        named_counts = {"different" if name == "differs" else name: number for name, number in counts.items() if number}
        (first, number), *others = named_counts.items()
        text = ", ".join([f"{number} of {len(group)} {first}", *(f"{count} {name}" for name, count in others)])
        if counts["not judged"]:
            text = "not judged, settings differ"
        row = {"kind": kind, "estimator": estimator, "count": len(group)} | counts
        rows.append(row | largest.to_dict("records")[0] | {"verdict": text})
    return pd.DataFrame(rows, columns=["kind", "estimator", "count", *OUTCOMES, *place, "verdict"])
