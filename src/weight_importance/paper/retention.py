"""Macros on the accuracy of trained networks, on retention, and on the ranking of estimators."""

import math

from weight_importance.files.derivation import derived, rows
from weight_importance.findings.baselines import NONE
from weight_importance.findings.retention import final_means, selected_means
from weight_importance.findings.statistics import intervals
from weight_importance.findings.study import Findings
from weight_importance.paper.latex import listing, number, plain
from weight_importance.paper.macros import PERCENT, Results, after_last_task, label, labels, mean, names
from weight_importance.settings import UNPENALISED


def baseline(findings: Findings) -> Results:
    """``baseline/{split}/{mean, low, high, interval, min, max}``: accuracy after the first task."""
    results: Results = {}
    table = findings.tables["baseline"]
    for row in intervals(table, ["split"], "accuracy").to_dict("records"):
        key, accuracy = f"baseline/{row['split']}", table.loc[table["split"] == row["split"], "accuracy"]
        ends = {"min": accuracy.min(), "max": accuracy.max()}
        printed = {f"{key}/{name}": number(value * PERCENT, 2) for name, value in ends.items()}
        results |= derived(mean(key, row, scale=PERCENT) | printed, rows("baseline", split=row["split"]))
    return results


def accuracies(findings: Findings) -> Results:
    """Accuracy over all tasks after the last one.

    ``retention/{estimator}/{λ, selected}/{split}/{mean, low, high, interval}``, ``retention/none/{split}/…``,
    ``retention/{estimator}/selected/lambda``.
    """
    results: Results = {}
    table, selected = findings.tables["retention"], findings.tables["selected_lambda"]
    selected = selected[~selected["estimator"].isin(UNPENALISED)]
    for split in ("validation", "test"):
        for row in final_means(table, split).to_dict("records"):
            strength = "" if row["estimator"] in UNPENALISED else f"/{row['lambda']:g}"
            printed = mean(f"retention/{row['estimator']}{strength}/{split}", row, scale=PERCENT)
            results |= derived(printed, after_last_task(table, split, row["estimator"], row["lambda"]))
        for row in selected_means(table, selected, split).to_dict("records"):
            if row["estimator"] != NONE:
                printed = mean(f"retention/{row['estimator']}/selected/{split}", row, scale=PERCENT)
                source = after_last_task(table, split, row["estimator"], row["lambda"])
                results |= derived(printed, source, rows("selected_lambda", estimator=row["estimator"]))
    for row in selected.to_dict("records"):
        strength = "no $\\lambda$" if math.isnan(row["lambda"]) else plain(row["lambda"])
        printed = {f"retention/{row['estimator']}/selected/lambda": strength}
        results |= derived(printed, rows("selected_lambda", estimator=row["estimator"]))
    return results


def ranking(findings: Findings) -> Results:
    """Estimators at their selected λ, in order of validation accuracy; all values are from test data.

    - ``retention/{best, worst}/{label, mean, interval, lambda}``; ``retention/spread/{mean, interval}``, best minus
      worst, paired; ``retention/gap/{better}/{worse}/…``; ``retention/compared/count``;
    - lists of estimators, each with ``…/count``: ``retention/indistinguishable/list`` from the best,
      ``retention/above/list``, ``retention/below/list``, ``retention/effective/list``, ``retention/edge/list``,
      ``retention/diverged/list``; see :class:`weight_importance.findings.retention.Ranking`.
    """
    ranked = findings.ranking
    results: Results = {}
    for place, name in (("best", ranked.best), ("worst", ranked.worst)):
        row = ranked.means[name]
        results |= mean(f"retention/{place}", row, scale=PERCENT)
        results |= {f"retention/{place}/label": label(name), f"retention/{place}/lambda": plain(row["lambda"])}
    for (first, second), gap in ranked.gaps.items():
        results |= mean(f"retention/gap/{first}/{second}", vars(gap), scale=PERCENT)
    results |= mean("retention/spread", vars(ranked.spread), scale=PERCENT)
    results |= labels("retention/indistinguishable", ranked.indistinguishable)
    results |= labels("retention/above", ranked.above) | labels("retention/below", ranked.below)
    results |= labels("retention/effective", ranked.effective())
    results["retention/compared/count"] = plain(len(ranked.order))
    table, tried = findings.tables["retention"], rows("selected_lambda", estimator=ranked.order)
    test, validation = (after_last_task(table, split) for split in ("test", "validation"))
    return derived(results, test, validation, tried) | derived(_grids(findings), test, tried)


def _grids(findings: Findings) -> Results:
    ranked = findings.ranking
    diverged = [
        f"{label(name)} at $\\lambda$ = {listing([plain(value) for value in strengths])}"
        for name, strengths in ranked.diverged.items()
    ]
    return labels("retention/edge", ranked.at_edge) | names("retention/diverged", diverged)
