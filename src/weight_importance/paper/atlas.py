"""What the text quotes of the map of all estimators, by key, as :mod:`weight_importance.paper.numbers` has.

Works on tidy tables in memory.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.estimators.catalogue.fisher_batched import BATCH
from weight_importance.files.derivation import Constant, Rows, derived, rows
from weight_importance.findings.atlas import (
    COEFFICIENT,
    KEPT_TOGETHER,
    PERMUTATIONS,
    SAME_RANKS,
    SCOPE,
    THE_SAME,
    VERDICTS,
    alike_do_alike,
    groups,
    left_out,
    pruning_scores,
    relations,
    retention_scores,
    similarity,
)
from weight_importance.paper.latex import listing, number, plain

PERCENT = 100.0
FINDINGS = "weight_importance.findings.atlas"
BATCHED = "weight_importance.estimators.catalogue.fisher_batched"
HESSIAN = "hessian_diagonal"


def atlas(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Everything the text says of the map.

    - ``atlas/{estimators, pairs}/count``; ``atlas/together``: the similarity from which on a group is named;
      ``atlas/groups/{list, count}``: the groups, each in brackets; ``atlas/alone/{list, count}``: estimators in none;
    - for ``retention`` and ``pruning``, if the study has it, ``atlas/{score}/mantel/{r, p, n, permutations}`` of
      :func:`weight_importance.findings.atlas.alike_do_alike`, and ``…/without/list``, those equal by definition;
      ``atlas/pruning/{best, worst}/{label, mean}`` (of retention, see :func:`weight_importance.paper.numbers.comparison`);
    - ``atlas/probes``, ``atlas/batch``: draws of the Hessian's diagonal, images of each of the batched Fisher
      information; ``atlas/hessian/pearson``: the former with the exact Fisher information, over all parameters;
    - ``atlas/relations/{verdict}/{list, count}``: the published relations by how those found here stand to them.

    Args:
        tables: of one study, ``correlation``, ``retention``, ``selected_lambda`` and ``pruning``.
    """
    square = similarity(tables["correlation"])
    count = len(square)
    together = groups(square)
    alone = [name for name in square.index if not any(name in members for members in together)]
    alike = rows("correlation", coefficient=COEFFICIENT)
    of_square = {
        "atlas/estimators/count": plain(count),
        "atlas/pairs/count": plain(count * (count - 1) // 2),
        "atlas/groups/list": listing([f"({', '.join(map(_label, members))})" for members in together]),
        "atlas/groups/count": plain(len(together)),
        "atlas/alone/list": listing(map(_label, alone)),
        "atlas/alone/count": plain(len(alone)),
    }
    found = derived(of_square, alike)
    found |= derived(
        {"atlas/together": number(KEPT_TOGETHER, 1)}, Constant("weight_importance.findings.atlas", "KEPT_TOGETHER")
    )
    finally_kept = [rows("retention", split="test"), rows("selected_lambda")]
    retained = retention_scores(tables["retention"], tables["selected_lambda"]).set_index("estimator")
    found |= _mantel("retention", square, retained.drop(index="none", errors="ignore"), THE_SAME, alike, finally_kept)
    spared = pruning_scores(tables["pruning"]).set_index("criterion")
    pruned = [rows("pruning", scope=SCOPE)]
    spared = spared.drop(index="random", errors="ignore")
    found |= _mantel("pruning", square, spared, SAME_RANKS, alike, pruned)
    found |= _ends("pruning", spared, pruned) | _few_draws(tables["correlation"])
    related = relations(tables["correlation"])
    told = {}
    for verdict in VERDICTS if len(related) else ():
        pairs = related[related["verdict"] == verdict]
        names = [
            f"{_label(row['estimator_a'])} with {_label(row['estimator_b'])} ({number(row['mean'], 3)})"
            for row in pairs.to_dict("records")
        ]
        told |= {
            f"atlas/relations/{verdict}/list": listing(names),
            f"atlas/relations/{verdict}/count": plain(len(names)),
        }
    return found | derived(told, rows("correlation", coefficient="pearson", tensor="all"))


def _ends(what: str, scores: pd.DataFrame, scored: Sequence[Rows]) -> dict[str, str]:
    """Best and worst, from the rows ``scored``."""
    if scores.empty:
        return {}
    ordered = scores["mean"].sort_values(kind="stable")
    ends = {"worst": ordered.index[0], "best": ordered.index[-1]}
    found = {f"atlas/{what}/{place}/label": _label(name) for place, name in ends.items()}
    found |= {f"atlas/{what}/{place}/mean": number(ordered[name] * PERCENT, 1) for place, name in ends.items()}
    return derived(found, *scored)


def _few_draws(correlation: pd.DataFrame) -> dict[str, str]:
    """What estimators rest on that take few random draws or few batches."""
    found = derived({"atlas/batch": plain(BATCH)}, Constant(BATCHED, "BATCH"))
    of_hessian = Constant(f"weight_importance.estimators.catalogue.{HESSIAN}", "ESTIMATOR")
    found |= derived({"atlas/probes": plain(ESTIMATORS[HESSIAN].probes)}, of_hessian)
    both = {HESSIAN, "fisher_exact"}
    over_all = correlation[(correlation["coefficient"] == "pearson") & (correlation["tensor"] == "all")]
    pair = over_all[over_all["estimator_a"].isin(both) & over_all["estimator_b"].isin(both)]
    if pair.empty:
        return found
    of = rows("correlation", coefficient="pearson", tensor="all", estimator_a=[*both], estimator_b=[*both])
    return found | derived({"atlas/hessian/pearson": number(pair["value"].mean(), 2)}, of)


def _mantel(
    what: str,
    square: pd.DataFrame,
    scores: pd.DataFrame,
    same: Mapping[str, str],
    alike: Rows,
    scored: Sequence[Rows],
) -> dict[str, str]:
    """Whether estimators that are ``alike`` by their rows do alike by the rows ``scored``."""
    if scores.empty:
        return {}
    found = alike_do_alike(square, scores["mean"], same)
    without = left_out([name for name in square.index if name in scores.index], same)
    said = {
        f"atlas/{what}/mantel/without/list": listing(map(_label, without)),
        f"atlas/{what}/mantel/r": number(found.r, 2),
        f"atlas/{what}/mantel/p": number(found.p, 4 if found.p < 0.001 else 3),
        f"atlas/{what}/mantel/n": plain(found.n),
    }
    tried = {f"atlas/{what}/mantel/permutations": plain(PERMUTATIONS)}
    return derived(said, alike, *scored) | derived(tried, Constant(FINDINGS, "PERMUTATIONS"))


def _label(name: str) -> str:
    return ESTIMATORS[name].label
