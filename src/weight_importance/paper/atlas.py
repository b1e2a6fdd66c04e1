"""Macros on the map of all estimators."""

import pandas as pd

from weight_importance.estimators.catalogue.fisher_batched import BATCH
from weight_importance.files.derivation import Constant, derived, rows
from weight_importance.findings.atlas import (
    COEFFICIENT,
    GROUP_CORRELATION,
    SCOPE,
    groups,
    pruning_scores,
    retention_scores,
)
from weight_importance.findings.mantel import USES, mantel_test, similarity
from weight_importance.findings.relations import VERDICTS, relations
from weight_importance.findings.study import Findings
from weight_importance.findings.tensors import ALL
from weight_importance.paper.latex import number, plain
from weight_importance.paper.macros import PERCENT, Results, label, labels, names, pair_label

FINDINGS = "weight_importance.findings.atlas"
BATCHED = "weight_importance.estimators.catalogue.fisher_batched"


def atlas(findings: Findings) -> Results:
    """Macros on the map.

    - ``atlas/{estimators, pairs}/count``; ``atlas/together``, the lowest similarity within a named group;
      ``atlas/groups/{list, count}``, the groups in brackets; ``atlas/alone/{list, count}``, estimators in no group;
    - for ``retention`` and ``pruning``, if available, ``atlas/{score}/mantel/{r, p, n}`` of
      :func:`weight_importance.findings.mantel.mantel_test`; ``atlas/pruning/{best, worst}/{label, mean}`` (for
      retention: :func:`weight_importance.paper.retention.ranking`);
    - ``atlas/batch``: images per gradient of the batched Fisher information;
    - ``atlas/relations/{verdict}/{list, count}``: published relations by verdict, spaces replaced by underscores.
    """
    tables, square = findings.tables, findings.similarity
    count, members = len(square), groups(square)
    alone = [name for name in square.index if not any(name in group for group in members)]
    printed = {"atlas/estimators/count": plain(count), "atlas/pairs/count": plain(count * (count - 1) // 2)}
    printed |= names("atlas/groups", [f"({', '.join(map(label, group))})" for group in members])
    source_rows = rows("correlation", coefficient=COEFFICIENT)
    results = derived(printed | labels("atlas/alone", alone), source_rows)
    results |= derived({"atlas/together": number(GROUP_CORRELATION, 1)}, Constant(FINDINGS, "GROUP_CORRELATION"))
    results |= derived({"atlas/batch": plain(BATCH)}, Constant(BATCHED, "BATCH"))
    results |= _relations(tables["correlation"])
    retention = retention_scores(tables["retention"], tables["selected_lambda"]).set_index("estimator")
    pruning = pruning_scores(tables["pruning"]).set_index("criterion").drop(index="random", errors="ignore")
    sources = {"retention": [rows("retention"), rows("selected_lambda")], "pruning": [rows("pruning", scope=SCOPE)]}
    for use, scores in zip(USES, (retention.drop(index="none", errors="ignore"), pruning), strict=True):
        printed = _mantel(use, tables["correlation_used"], scores)
        results |= derived(printed, rows("correlation_used", use=use), *sources[use])
    return results | derived(_ends("pruning", pruning), *sources["pruning"])


def _relations(correlation: pd.DataFrame) -> Results:
    related = relations(correlation)
    printed: Results = {}
    for verdict in VERDICTS if len(related) else ():
        pairs = related[related["verdict"] == verdict].to_dict("records")
        items = [f"{pair_label(row)} ({number(row['mean'], 3)})" for row in pairs]
        printed |= names(f"atlas/relations/{verdict.replace(' ', '_')}", items)
    return derived(printed, rows("correlation", coefficient="pearson", tensor=ALL))


def _ends(score: str, scores: pd.DataFrame) -> Results:
    """Best and worst estimator by a score."""
    if scores.empty:
        return {}
    ordered = scores["mean"].sort_values(kind="stable")
    ends = {"worst": ordered.index[0], "best": ordered.index[-1]}
    printed = {f"atlas/{score}/{place}/label": label(name) for place, name in ends.items()}
    return printed | {f"atlas/{score}/{place}/mean": number(ordered[name] * PERCENT, 1) for place, name in ends.items()}


def _mantel(use: str, used: pd.DataFrame, scores: pd.DataFrame) -> Results:
    """Mantel test between families: similarity in the form used against a score."""
    if scores.empty:
        return {}
    test = mantel_test(similarity(used, use), scores["mean"])
    key = f"atlas/{use}/mantel"
    return {
        f"{key}/r": number(test.r, 2),
        f"{key}/p": number(test.p, 4 if test.p < 0.001 else 3),
        f"{key}/n": plain(test.n),
    }
