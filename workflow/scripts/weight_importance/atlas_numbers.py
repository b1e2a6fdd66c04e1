"""What the text quotes of the map of all estimators, by key, as :mod:`weight_importance.numbers` has.

Works on tidy tables in memory.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.atlas import (
    COEFFICIENT,
    KEPT_TOGETHER,
    SCOPE,
    VERDICTS,
    alike_do_alike,
    groups,
    pruning_scores,
    relations,
    retention_scores,
    similarity,
)
from weight_importance.derivation import Constant, Rows, derived, rows
from weight_importance.latex import listing, number, plain

PERCENT = 100.0


def atlas(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Everything the text says of the map.

    - ``atlas/{estimators, pairs}/count``; ``atlas/together``: the similarity from which on a group is named;
      ``atlas/groups/{list, count}``: the groups, each in brackets; ``atlas/alone/{list, count}``: estimators in none;
    - for ``retention`` and ``pruning``, if the study has it, ``atlas/{score}/mantel/{r, p, n}`` of
      :func:`weight_importance.atlas.alike_do_alike`; ``atlas/pruning/{best, worst}/{label, mean}`` (of retention,
      :func:`weight_importance.numbers.comparison` tells);
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
    found |= derived({"atlas/together": number(KEPT_TOGETHER, 1)}, Constant("weight_importance.atlas", "KEPT_TOGETHER"))
    finally_kept = [rows("retention", split="test"), rows("selected_lambda")]
    retained = retention_scores(tables["retention"], tables["selected_lambda"]).set_index("estimator")
    found |= _mantel("retention", square, retained.drop(index="none", errors="ignore"), alike, finally_kept)
    spared = pruning_scores(tables["pruning"]).set_index("criterion")
    pruned = [rows("pruning", scope=SCOPE)]
    spared = spared.drop(index="random", errors="ignore")
    found |= _mantel("pruning", square, spared, alike, pruned)
    found |= _ends("pruning", spared, pruned)
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


def _mantel(
    what: str, square: pd.DataFrame, scores: pd.DataFrame, alike: Rows, scored: Sequence[Rows]
) -> dict[str, str]:
    """Whether estimators that are ``alike`` by their rows do alike by the rows ``scored``."""
    if scores.empty:
        return {}
    found = alike_do_alike(square, scores["mean"])
    said = {
        f"atlas/{what}/mantel/r": number(found.r, 2),
        f"atlas/{what}/mantel/p": number(found.p, 4 if found.p < 0.001 else 3),
        f"atlas/{what}/mantel/n": plain(found.n),
    }
    return derived(said, alike, *scored)


def _label(name: str) -> str:
    return ESTIMATORS[name].label
