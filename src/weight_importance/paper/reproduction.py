"""Macros on the comparison with published results."""

from collections.abc import Mapping

import pandas as pd

from weight_importance.files.derivation import Setting, derived, rows
from weight_importance.findings.published import last_task, pruning_rows, retention_rows
from weight_importance.findings.reproduction import OUTCOMES, comparisons, departures, published_best
from weight_importance.findings.statistics import part
from weight_importance.paper.latex import number, plain
from weight_importance.paper.macros import PERCENT, Results, counted, mean
from weight_importance.settings import Study, stand_in


def reproduction(
    study: str,
    family: Mapping[str, Study],
    observed: tuple[pd.DataFrame, pd.DataFrame],
    published: tuple[pd.DataFrame, pd.DataFrame],
) -> Results:
    """Published values and their counterparts in this run, from :mod:`weight_importance.findings.reproduction`.

    - ``published/{estimator}/best/{mean, low, high, interval, runs, lambda}``;
    - for each λ in common ``difference/{estimator}/{λ}/{mean, low, high, interval, ours, published, verdict}``;
    - ``comparisons/{count, outcomes}``, the number of published values with a counterpart, in total and by outcome, and
      ``comparisons/{kind}/…`` of one kind;
    - ``departures``: the settings in which the run departs from the published one.

    Args:
        study: study with published results.
        family: settings of this study and its companions, by study.
        observed: the tables ``retention`` and ``pruning``, of all studies.
        published: the same from :mod:`weight_importance.findings.published`.
    """
    results: Results = {}
    published_retention = published[0][published[0]["study"] == study]
    best = published_best(published_retention)
    for row in last_task(published_retention).to_dict("records"):
        if row["lambda"] == best[row["estimator"]]:
            key = f"published/{row['estimator']}/best"
            printed = mean(key, row, scale=PERCENT)
            printed |= {f"{key}/runs": plain(row["n"]), f"{key}/lambda": plain(row["lambda"])}
            results |= derived(printed, retention_rows(study, row["estimator"]))
    name, pruned = (stand_in(study, family, table) for table in ("retention", "pruning"))
    compared = comparisons(study, family, *observed, *published)
    for row in compared[compared["kind"] == "lambda"].to_dict("records"):
        key = f"difference/{row['estimator']}/{row['lambda']:g}"
        printed = mean(key, part(row, "difference"), scale=PERCENT)
        printed |= {f"{key}/{side}": number(row[f"mean_{side}"] * PERCENT, 2) for side in ("ours", "published")}
        printed[f"{key}/verdict"] = row["verdict"]
        where = {"estimator": row["estimator"], "lambda": row["lambda"], "tasks_learnt": row["tasks_learnt"]}
        source = rows("retention", study=name, split="test", **where)
        results |= derived(printed, source, retention_rows(study, row["estimator"], row["lambda"]))
    for kind in ("", "lambda", "tasks", "best_value", "pruning"):
        group = compared if not kind else compared[compared["kind"] == kind]
        key = f"comparisons/{kind}".rstrip("/")
        printed = counted(key, {outcome: int((group["outcome"] == outcome).sum()) for outcome in OUTCOMES})
        sources = [rows("retention", study=name, split="test"), retention_rows(study)] if kind != "pruning" else []
        if kind in ("", "pruning"):
            sources += [rows("pruning", study=pruned, scope="tensor"), pruning_rows()]
        results |= derived(printed, *sources)
    departed = "; ".join(departures(study, family[name])) or "none"
    return results | derived({"departures": departed}, Setting(f"studies.{name}"))
