"""Macros on ablations of importances."""

from weight_importance.files.derivation import derived, rows
from weight_importance.findings.ablations import OUTCOMES
from weight_importance.findings.statistics import part
from weight_importance.findings.study import Findings
from weight_importance.paper.latex import escape, number
from weight_importance.paper.macros import PERCENT, Results, after_last_task, mean, names
from weight_importance.settings.ablation_names import is_ablation, parse


def ablations(findings: Findings) -> Results:
    """Recovery of every estimator by its ablations, each at its selected λ.

    ``ablations/{estimator}/{ablation}/recovery/{mean, low, high, interval}``, ``…/difference/{mean, low, high,
    interval}``, ``…/{p, outcome}``; per estimator ``ablations/{estimator}/{outcome}/{list, count}`` of ablations by
    transform, and ``ablations/{estimator}/edge/{list, count}`` of those, and of the estimator, whose selected λ is at
    an end of its grid.
    """
    results: Results = {}
    table = findings.tables["retention"]
    recovery = findings.recovery.reset_index(drop=True)
    ablated = recovery[recovery["ablation"] != recovery["estimator"]]
    for row in ablated.to_dict("records"):
        key, pair = f"ablations/{row['estimator']}/{row['ablation']}", (row["estimator"], row["ablation"])
        printed = mean(f"{key}/recovery", part(row, "recovery"))
        printed |= mean(f"{key}/difference", part(row, "difference"), scale=PERCENT)
        printed |= {f"{key}/p": number(row["tost_p"], 3), f"{key}/outcome": row["outcome"]}
        source = after_last_task(table, "test", (*pair, "none"))
        results |= derived(printed, source, rows("selected_lambda", estimator=pair))
    for estimator, group in ablated.groupby("estimator"):
        key, printed = f"ablations/{estimator}", {}
        for outcome in OUTCOMES:
            printed |= names(f"{key}/{outcome}", map(_transform, group.loc[group["outcome"] == outcome, "ablation"]))
        both = recovery[recovery["estimator"] == estimator]
        printed |= names(f"{key}/edge", map(_transform, both.loc[both["at_edge"].astype(bool), "ablation"]))
        of_all = (estimator, *group["ablation"])
        source = after_last_task(table, "test", (*of_all, "none"))
        results |= derived(printed, source, rows("selected_lambda", estimator=of_all))
    return results


def _transform(name: str) -> str:
    """An ablation without the estimator of the sentence; an estimator, or an ablation of two, in full."""
    short = name if not is_ablation(name) or len(parse(name).estimators) > 1 else name.partition("(")[0]
    return rf"\texttt{{{escape(short)}}}"
