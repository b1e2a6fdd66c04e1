"""Macros on pruning."""

from weight_importance.files.derivation import derived, rows
from weight_importance.findings.pruning import RANDOM, extremes, pruning_means
from weight_importance.findings.study import Findings
from weight_importance.paper.latex import plain
from weight_importance.paper.macros import PERCENT, Results, label, mean


def pruning(findings: Findings) -> Results:
    """``pruning/{scope}/{criterion}/{fraction}/{mean, low, high, interval}``.

    Also ``pruning/{scope}/{best, worst}/{fraction}/{label, mean, …}`` among the estimators. The largest fraction is
    also named ``last``; ``pruning/last`` is its value, ``pruning/last/percent`` in per cent.
    """
    results: Results = {}
    means = pruning_means(findings.tables["pruning"])
    last = means["fraction"].max()
    for row in means.to_dict("records"):
        source = rows("pruning", **{name: row[name] for name in ("scope", "criterion", "fraction")})
        for fraction in _names(row["fraction"], last):
            key = f"pruning/{row['scope']}/{row['criterion']}/{fraction}"
            results |= derived(mean(key, row, scale=PERCENT), source)
    estimators = [name for name in means["criterion"].unique() if name != RANDOM]
    for row in extremes(means).to_dict("records"):
        source = rows("pruning", scope=row["scope"], fraction=row["fraction"], criterion=estimators)
        for fraction in _names(row["fraction"], last):
            key = f"pruning/{row['scope']}/{row['place']}/{fraction}"
            results |= derived(mean(key, row, scale=PERCENT) | {f"{key}/label": label(row["criterion"])}, source)
    ends = {"pruning/last": plain(last), "pruning/last/percent": plain(last * PERCENT)}
    return results | derived(ends, rows("pruning", fraction=last))


def _names(fraction: float, last: float) -> list[str]:
    return [f"{fraction:g}", "last"] if fraction == last else [f"{fraction:g}"]
