"""Macros on ablations of importances."""

from weight_importance import ESTIMATORS
from weight_importance.files.derivation import derived, rows
from weight_importance.findings.ablations import OUTCOMES
from weight_importance.findings.statistics import part
from weight_importance.findings.study import Findings
from weight_importance.paper.latex import number
from weight_importance.paper.macros import PERCENT, Results, after_last_task, mean, names
from weight_importance.settings.ablation_names import is_ablation, parse


def ablations(findings: Findings) -> Results:
    """Recovery of every estimator by its ablations, each at its selected λ.

    ``ablations/{estimator}/{ablation}/{recovery, recovery_l2}/{mean, low, high, interval}``, relative to no penalty and
    to L2; ``…/difference/{mean, low, high, interval}``; ``…/{p, outcome}`` with Holm's correction; per estimator
    ``ablations/{estimator}/{outcome}/{list, count}``, ablations by transform, and
    ``ablations/{estimator}/edge/{list, count}``, ablations and estimator whose selected λ is at an end of its grid.
    """
    results: Results = {}
    table = findings.tables["retention"]
    recovery = findings.recovery.reset_index(drop=True)
    # the selection of λ, the baselines and Holm's correction make every value depend on all conditions
    sources = [after_last_task(table, "test"), after_last_task(table, "validation"), rows("selected_lambda")]
    ablated = recovery[recovery["ablation"] != recovery["estimator"]]
    for row in ablated.to_dict("records"):
        key = f"ablations/{row['estimator']}/{row['ablation']}"
        printed = mean(f"{key}/recovery", part(row, "recovery"))
        printed |= mean(f"{key}/recovery_l2", part(row, "recovery_l2"))
        printed |= mean(f"{key}/difference", part(row, "difference"), scale=PERCENT)
        printed |= {f"{key}/p": number(row["holm_tost_p"], 3), f"{key}/outcome": row["outcome"]}
        results |= derived(printed, *sources)
    for estimator, group in ablated.groupby("estimator"):
        key, printed = f"ablations/{estimator}", {}
        for outcome in OUTCOMES:
            printed |= names(f"{key}/{outcome}", map(_transform, group.loc[group["outcome"] == outcome, "ablation"]))
        both = recovery[recovery["estimator"] == estimator]
        printed |= names(f"{key}/edge", map(_transform, both.loc[both["at_edge"].astype(bool), "ablation"]))
        results |= derived(printed, *sources)
    return results


def _transform(name: str) -> str:
    """Ablation as figures name it, without the estimator named in the sentence; an ablation of two names both."""
    if not is_ablation(name):
        return ESTIMATORS[name].label
    parts = parse(name)
    values, ranks = (ESTIMATORS[each].label for each in (*parts.estimators, *parts.estimators)[:2])
    two = len(parts.estimators) > 1
    return rf"\emph{{{f'values of {values} in ranks of {ranks}' if two else parts.label}}}"
