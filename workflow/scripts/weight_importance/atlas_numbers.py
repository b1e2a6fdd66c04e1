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
    - for ``retention`` and ``pruning``, if the study has it: ``atlas/{score}/{best, worst}/{label, mean}``,
      ``atlas/{score}/{least, most}`` and ``atlas/{score}/mantel/{r, p}`` of
      :func:`weight_importance.atlas.alike_do_alike`; ``atlas/retention/edge/{list, count}``;
    - ``atlas/relation/{a}/{b}/mean``: the published relations, as found here.

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
    found |= _scores("retention", square, retained.drop(index="none", errors="ignore"), alike, finally_kept)
    if len(retained):
        edge = retained.index[retained["at_edge"].astype(bool) & (retained.index != "none")]
        said = {
            "atlas/retention/edge/list": listing(map(_label, edge)),
            "atlas/retention/edge/count": plain(len(edge)),
        }
        found |= derived(said, *finally_kept)
    spared = pruning_scores(tables["pruning"]).set_index("criterion")
    pruned = [rows("pruning", scope=SCOPE)]
    found |= _scores("pruning", square, spared.drop(index="random", errors="ignore"), alike, pruned)
    for row in relations(tables["correlation"]).to_dict("records"):
        pair = row["estimator_a"], row["estimator_b"]
        of = rows("correlation", coefficient="pearson", tensor="all", estimator_a=pair, estimator_b=pair)
        found |= derived({f"atlas/relation/{pair[0]}/{pair[1]}/mean": number(row["mean"], 3)}, of)
    return found


def _scores(
    what: str, square: pd.DataFrame, scores: pd.DataFrame, alike: Rows, scored: Sequence[Rows]
) -> dict[str, str]:
    """Best and worst, from the rows ``scored``, and whether estimators that are ``alike`` by their rows do alike."""
    if scores.empty:
        return {}
    ordered = scores["mean"].sort_values(kind="stable")
    ends = {"worst": ordered.index[0], "best": ordered.index[-1]}
    found = {f"atlas/{what}/{place}/label": _label(name) for place, name in ends.items()}
    found |= {f"atlas/{what}/{place}/mean": number(ordered[name] * PERCENT, 1) for place, name in ends.items()}
    mantel = alike_do_alike(square, scores["mean"])
    of_both = {
        f"atlas/{what}/mantel/r": number(mantel.r, 2),
        f"atlas/{what}/mantel/p": number(mantel.p, 4 if mantel.p < 0.001 else 3),
    }
    return derived(found, *scored) | derived(of_both, alike, *scored)


def _label(name: str) -> str:
    return ESTIMATORS[name].label
