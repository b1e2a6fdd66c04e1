"""Macros on the correlation of importances."""

from weight_importance.files.derivation import derived, rows
from weight_importance.findings.correlation import PAIR, PROPERTIES, extremes, null_ranges, pair_properties, shares
from weight_importance.findings.study import Findings
from weight_importance.paper.latex import number, plain
from weight_importance.paper.macros import PERCENT, Results, mean, names, pair_label


def correlation(findings: Findings) -> Results:
    """Macros of a study's correlations.

    - ``correlation/{coefficient}/{a}/{b}/{tensor}/{mean, low, high, interval}`` in both orders of the pair;
    - ``correlation/{coefficient}/{tensor}/{highest, lowest}/{pair, mean, interval}``;
    - ``correlation/{coefficient}/{property}/{list, count, any}``, pairs with each of
      :data:`weight_importance.findings.correlation.PROPERTIES`, and ``…/pairs/count``, all pairs (``…/pairs/single``,
      the pair, if it is the only one);
      ``…/{property}/share/{mean, low, high, interval}``, the share of pairs in per cent;
      ``correlation/{coefficient}/{a}/{b}/lowest/{mean, low, high, interval}`` over the weight tensors;
    - ``null/{coefficient}/{tensor}/{low, high, inside}``: the central 95 % of the null, and the number of pairs inside.
    """
    means = findings.correlation
    results: Results = {}
    for row in means.to_dict("records"):
        pair = [row[name] for name in PAIR]
        source = rows(
            "correlation", coefficient=row["coefficient"], tensor=row["tensor"], **dict(zip(PAIR, pair, strict=True))
        )
        for a, b in (pair, reversed(pair)):
            results |= derived(mean(f"correlation/{row['coefficient']}/{a}/{b}/{row['tensor']}", row), source)
    for row in extremes(means).to_dict("records"):
        key = f"correlation/{row['coefficient']}/{row['tensor']}/{row['place']}"
        source = rows("correlation", coefficient=row["coefficient"], tensor=row["tensor"])
        results |= derived(mean(key, row) | {f"{key}/pair": pair_label(row)}, source)
    properties = pair_properties(means)
    for row in shares(findings.tables["correlation"], properties).to_dict("records"):
        key = f"correlation/{row['coefficient']}/{row['property']}/share"
        both = [rows(name, coefficient=row["coefficient"]) for name in ("correlation", "correlation_null")]
        results |= derived(mean(key, row, 0, PERCENT), *both)
    for row in properties.to_dict("records"):
        lowest = row | {"mean": row["lowest"]}
        key = f"correlation/{row['coefficient']}/{row['estimator_a']}/{row['estimator_b']}/lowest"
        results |= derived(mean(key, lowest), rows("correlation", coefficient=row["coefficient"]))
    for coefficient, group in properties.groupby("coefficient"):
        sources = (rows("correlation", coefficient=coefficient), rows("correlation_null", coefficient=coefficient))
        for name in PROPERTIES:
            pairs = map(pair_label, group[group[name]].to_dict("records"))
            results |= derived(names(f"correlation/{coefficient}/{name}", pairs, "no pair"), *sources)
        printed = {f"correlation/{coefficient}/pairs/count": plain(len(group))}
        if len(group) == 1:
            printed[f"correlation/{coefficient}/pairs/single"] = pair_label(group.to_dict("records")[0])
        results |= derived(printed, sources[0])
    return results | _null(findings)


def _null(findings: Findings) -> Results:
    results: Results = {}
    for row in null_ranges(findings.correlation).to_dict("records"):
        key = f"null/{row['coefficient']}/{row['tensor']}"
        decimals = 2 if row["null_high"] - row["null_low"] > 0.1 else 3
        tables = ("correlation_null", "correlation")
        null, observed = (rows(name, coefficient=row["coefficient"], tensor=row["tensor"]) for name in tables)
        results |= derived({f"{key}/{end}": number(row[f"null_{end}"], decimals) for end in ("low", "high")}, null)
        results |= derived({f"{key}/inside": plain(int(row["inside"]))}, null, observed)
    return results
