"""Macros on the baselines of importances, and on the accuracy lost to the grids of λ."""

from weight_importance.files.derivation import derived, rows
from weight_importance.findings.baselines import BASELINES, JOINT, NONE, PER_LAYER, estimators_of, recoveries
from weight_importance.findings.retention import is_at_edge
from weight_importance.findings.selection import Curve, peaks
from weight_importance.findings.statistics import interval
from weight_importance.findings.study import Findings
from weight_importance.paper.latex import number, plain
from weight_importance.paper.macros import PERCENT, Results, after_last_task, label, labels, mean, names
from weight_importance.settings import L2

WORDS = {L2: "L2", PER_LAYER: r"L2 with one $\lambda$ per layer"}


def _is_at_edge(curve: Curve) -> bool:
    condition, strength = curve.best
    return is_at_edge(strength, [tried for name, tried in curve.settings if name == condition])


def baselines(findings: Findings) -> Results:
    """Estimators minus baselines, each at its selected λ; intervals account for the selection of λ.

    - ``baseline/{none, l2, l2_per_layer, joint}/{mean, low, high, interval}``, accuracies, and ``…/lambda``;
      ``baseline/edge/{list, count}``, baselines whose λ is at an end of its grid;
    - ``over/{baseline}/{list, count}``: estimators significantly above it, after Holm's correction;
      ``over/{baseline}/{estimator}/{mean, low, high, interval}``: the difference; with joint training
      ``over/{baseline}/{estimator}/recovery/{mean, low, high, interval}``, the closed fraction of the gap to it;
    - ``grid/{estimator}/{lambda, low, high}``: the interpolated best λ; ``grid/largest/{label, cost}``: the estimator
      that loses most accuracy to the grid on the images that select λ, and the loss.
    """
    curves, ranking = findings.curves, findings.ranking
    results: Results = {}
    for name in (*BASELINES, JOINT):
        if name in curves:
            key = f"baseline/{name}"
            results |= mean(key, vars(interval(curves[name].by_seed)), scale=PERCENT)
            results |= {f"{key}/lambda": plain(curves[name].best[1])} if name not in (NONE, JOINT) else {}
    edges = [name for name in BASELINES[1:] if name in curves and _is_at_edge(curves[name])]
    results |= names("baseline/edge", [WORDS[name] for name in edges])
    for baseline, changes in ranking.gains.items():
        results |= labels(f"over/{baseline}", ranking.effective(baseline))
        for name, change in changes.items():
            results |= mean(f"over/{baseline}/{name}", vars(change), scale=PERCENT)
    for row in recoveries(curves).to_dict("records"):
        results |= mean(f"over/{row['baseline']}/{row['estimator']}/recovery", row)
    tops = peaks({name: curves[name] for name in estimators_of(curves) if name in ranking.order})
    for row in tops.to_dict("records"):
        digits = {part: f"\\num{{{row[part]:.2g}}}" for part in ("lambda", "low", "high")}
        results |= {f"grid/{row['estimator']}/{part}": text for part, text in digits.items()}
    if len(tops):
        worst = tops.loc[tops["mean_cost"].idxmax()]
        results |= {"grid/largest/label": label(worst["estimator"])}
        results |= {"grid/largest/cost": number(worst["mean_cost"] * PERCENT, 2)}
    table = findings.tables["retention"]
    sources = [after_last_task(table, split) for split in ("test", "validation")]
    return derived(results, *sources, rows("selected_lambda"))
