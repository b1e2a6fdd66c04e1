"""Macros on the variants of a study."""

import math
from collections.abc import Mapping

import pandas as pd

from weight_importance.files.derivation import derived, rows
from weight_importance.findings.statistics import part
from weight_importance.findings.variants import compared, usable_range, variants
from weight_importance.paper.latex import plain
from weight_importance.paper.macros import PERCENT, Results, label, mean
from weight_importance.settings import Study

SIDES = {"variant": "variant", "study": "counterpart"}
"""Column suffix in :func:`weight_importance.findings.variants.usable_range`, by the name that the text uses."""


def variation(study: str, family: Mapping[str, Study], retention: pd.DataFrame) -> Results:
    """Variants of a study compared with the study itself, on the same networks.

    - ``variant/{variant}/{estimator}/{λ}/{mean, low, high, interval}``: difference in accuracy, variant minus study;
      ``variant/{variant}/none/…`` without a penalty; ``variant/{variant}/{lowest, highest}/…`` the smallest and the
      largest, with ``…/lambda`` (of the study) and ``…/label``; ``variant/{variant}/single`` if they are the same;
    - ``range/{variant}/{estimator}/{study, variant}/factor``: the highest over the lowest λ with an accuracy within
      :data:`weight_importance.findings.variants.TOLERANCE` of the best, ``--`` without one; ``…/open`` if the range
      reaches an end of the strengths in common; ``range/{variant}/{estimator}/{seeds, outcome}``.

    Args:
        study: original study.
        family: settings of this study and its variants, by study.
        retention: the table ``retention``, of all studies.
    """
    results: Results = {}
    pairs = compared(study, family, retention)
    for name in variants(study, family):
        of_variant = pairs[pairs["variant"] == name].to_dict("records")
        for row in of_variant:
            strength = "" if row["estimator"] == "none" else f"/{row['lambda']:g}"
            sources = [
                rows("retention", study=member, split="test", estimator=row["estimator"], lambda_=row[column])
                for member, column in ((name, "lambda"), (study, "lambda_counterpart"))
            ]
            key = f"variant/{name}/{row['estimator']}{strength}"
            results |= derived(mean(key, part(row, "difference"), scale=PERCENT), *sources)
        ordered = sorted(
            (row for row in of_variant if row["estimator"] != "none" and not math.isnan(row["mean_difference"])),
            key=lambda row: row["mean_difference"],
        )
        for place, row in (("lowest", ordered[0]), ("highest", ordered[-1])) if ordered else ():
            key = f"variant/{name}/{place}"
            printed = mean(key, part(row, "difference"), scale=PERCENT)
            printed |= {f"{key}/lambda": plain(row["lambda_counterpart"]), f"{key}/label": label(row["estimator"])}
            results |= derived(printed, rows("retention", study=(study, name), split="test"))
        if len(ordered) == 1:
            single = {f"variant/{name}/single": "yes"}
            results |= derived(single, rows("retention", study=(study, name), split="test"))
    return results | _ranges(study, family, retention)


def _ranges(study: str, family: Mapping[str, Study], retention: pd.DataFrame) -> Results:
    results: Results = {}
    for row in usable_range(study, family, retention).to_dict("records"):
        key = f"range/{row['variant']}/{row['estimator']}"
        printed = {f"{key}/outcome": row["outcome"], f"{key}/seeds": plain(row["n"])}
        for side, suffix in SIDES.items():
            factor = row[f"factor_{suffix}"]
            printed[f"{key}/{side}/factor"] = "--" if math.isnan(factor) else plain(round(factor, 1))
            if row[f"open_low_{suffix}"] or row[f"open_high_{suffix}"]:
                printed[f"{key}/{side}/open"] = "yes"
        source = rows("retention", study=(study, row["variant"]), split="test", estimator=row["estimator"])
        results |= derived(printed, source)
    return results
