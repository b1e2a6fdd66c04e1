"""What the text quotes of the map of all estimators, by key, as :mod:`weight_importance.numbers` has.

Works on tidy tables in memory.
"""

from collections.abc import Mapping

import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.atlas import (
    KEPT_TOGETHER,
    alike_do_alike,
    groups,
    pruning_scores,
    relations,
    retention_scores,
    similarity,
)
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
    found = {
        "atlas/estimators/count": plain(count),
        "atlas/pairs/count": plain(count * (count - 1) // 2),
        "atlas/together": number(KEPT_TOGETHER, 1),
        "atlas/groups/list": listing([f"({', '.join(map(_label, members))})" for members in together]),
        "atlas/groups/count": plain(len(together)),
        "atlas/alone/list": listing(map(_label, alone)),
        "atlas/alone/count": plain(len(alone)),
    }
    retained = retention_scores(tables["retention"], tables["selected_lambda"]).set_index("estimator")
    found |= _scores("retention", square, retained.drop(index="none", errors="ignore"))
    if len(retained):
        edge = retained.index[retained["at_edge"].astype(bool) & (retained.index != "none")]
        found |= {
            "atlas/retention/edge/list": listing(map(_label, edge)),
            "atlas/retention/edge/count": plain(len(edge)),
        }
    spared = pruning_scores(tables["pruning"]).set_index("criterion")
    found |= _scores("pruning", square, spared.drop(index="random", errors="ignore"))
    for row in relations(tables["correlation"]).to_dict("records"):
        found[f"atlas/relation/{row['estimator_a']}/{row['estimator_b']}/mean"] = number(row["mean"], 3)
    return found


def _scores(what: str, square: pd.DataFrame, scores: pd.DataFrame) -> dict[str, str]:
    if scores.empty:
        return {}
    ordered = scores["mean"].sort_values(kind="stable")
    ends = {"worst": ordered.index[0], "best": ordered.index[-1]}
    found = {f"atlas/{what}/{place}/label": _label(name) for place, name in ends.items()}
    found |= {f"atlas/{what}/{place}/mean": number(ordered[name] * PERCENT, 1) for place, name in ends.items()}
    mantel = alike_do_alike(square, scores["mean"])
    return found | {
        f"atlas/{what}/mantel/r": number(mantel.r, 2),
        f"atlas/{what}/mantel/p": number(mantel.p, 4 if mantel.p < 0.001 else 3),
    }


def _label(name: str) -> str:
    return ESTIMATORS[name].label
