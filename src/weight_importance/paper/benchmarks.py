"""Macros on the comparison with published results on split and permuted MNIST."""

from collections.abc import Mapping

import pandas as pd

from weight_importance.files.derivation import Setting, derived, rows
from weight_importance.findings.benchmarks import anchors, benchmark_studies, compared, tally
from weight_importance.findings.publications import named, nearest
from weight_importance.findings.statistics import part
from weight_importance.paper.latex import escape, number, plain
from weight_importance.paper.macros import PERCENT, Results, counted, mean
from weight_importance.runtime.optional import present
from weight_importance.settings import Study


def benchmarks(study: str, family: Mapping[str, Study], retention: pd.DataFrame, published: pd.DataFrame) -> Results:
    """Published values and their counterparts in this run, from :mod:`weight_importance.findings.benchmarks`.

    - for each published value with a counterpart ``benchmarks/{scenario}/{method}/{ours, published, lambda, verdict}``,
      and ``…/{mean, low, high, interval}`` of the difference;
    - ``benchmarks/{count, outcomes}``, the number of comparisons, in total and by outcome;
    - ``benchmarks/anchors/{scenario}/{λ}/{mean, low, high, interval}``: one penalty per task minus one anchor; and
      their number ``benchmarks/anchors/count``, if not zero;
    - ``benchmarks/tasks``: the number of tasks learnt;
    - ``benchmarks/departures``: the settings in which the study departs from the published ones.

    Args:
        study: study that lists the analysis.
        family: settings of this study and its companions, by study.
        retention: the table ``retention`` of all studies.
        published: result of :func:`weight_importance.findings.publications.published`.
    """
    results: Results = {}
    comparisons = compared(family, retention, published)
    for row in comparisons.to_dict("records"):
        key = f"benchmarks/{row['scenario']}/{row['method']}"
        printed = mean(key, part(row, "difference"), scale=PERCENT)
        printed |= {f"{key}/{side}": number(row[f"mean_{side}"] * PERCENT, 2) for side in ("ours", "published")}
        printed |= {f"{key}/lambda": plain(row["lambda"]), f"{key}/verdict": row["verdict"]}
        source = rows("retention", study=row["study"], estimator=row["estimator"], lambda_=row["lambda"], split="test")
        published_rows = named(row["publication"]).rows(row["method"], row["scenario"], row["tasks_learnt"])
        results |= derived(printed, source, published_rows)
    all_rows = rows("retention", study=[*benchmark_studies(family)], split="test")
    results |= derived(counted("benchmarks", tally(comparisons)), all_rows)
    pairs = anchors(family, retention)
    if len(pairs):
        results |= derived({"benchmarks/anchors/count": plain(len(pairs))}, all_rows)
    for row in pairs.to_dict("records"):
        printed = mean(f"benchmarks/anchors/{row['scenario']}/{row['lambda']:g}", row, scale=PERCENT)
        source = rows("retention", study=[*benchmark_studies(family)], lambda_=row["lambda"], split="test")
        results |= derived(printed, source)
    departed = escape("; ".join(present(nearest(family[study])).departures(family[study])) or "none")
    printed = {"benchmarks/tasks": plain(family[study].tasks.count), "benchmarks/departures": departed}
    return results | derived(printed, Setting(f"studies.{study}"))
