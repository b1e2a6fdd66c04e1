r"""Every number that the text of the paper quotes, and every word of judgement that depends on numbers, by key.

A key is a path, ``mlp_permuted_mnist/retention/mas/selected/test/mean``; the text writes ``\result{key}``. An unknown
key stops LaTeX. Keys are made systematically from the tables, so that new rows bring new keys. Accuracies are in
per cent. Every value knows which rows it was made from (:mod:`weight_importance.files.derivation`).
"""

import math
import platform
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from itertools import combinations

import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.files.derivation import Constant, Derived, Package, Rows, Setting, completed, derived, rows
from weight_importance.findings.common import at_selected_lambda, beyond_null, part
from weight_importance.findings.published import last_task, pruning_rows, retention_rows
from weight_importance.findings.recovery import MARGIN as RECOVERED_WITHIN
from weight_importance.findings.recovery import OUTCOMES as RECOVERED
from weight_importance.findings.recovery import ablations_of, recovery, without_ablations
from weight_importance.findings.reproduction import MARGIN, OUTCOMES, claims, departures, published_best, stand_in
from weight_importance.findings.statistics import final_accuracy, intervals, paired
from weight_importance.findings.variants import TOLERANCE, compared, usable_range, variants
from weight_importance.paper.atlas import atlas
from weight_importance.paper.explanation import explanation
from weight_importance.paper.latex import escape, listing, number, plain, rounded
from weight_importance.settings.ablation_names import is_ablation, parse

Results = dict[str, str]

HERE, FINDINGS = "weight_importance.paper.numbers", "weight_importance.findings"

PERCENT = 100.0
PACKAGES = ("torch", "numpy", "scipy", "pandas", "matplotlib", "snakemake")
STRONG = 0.7
"""From this mean on, a correlation is called strong."""

CLAMPED = "count as zero in the penalty, task by task"
NOT_CLAMPED = "enter the penalty as they are, and so push weights away from the anchor"

MACROS = r"""% Generated; every number of the text by its key.
\makeatletter
\newcommand\defineresult[2]{\expandafter\gdef\csname result@#1\endcsname{#2}}
\newcommand\result[1]{\ifcsname result@#1\endcsname\csname result@#1\endcsname\else
  \PackageError{results}{Unknown result '#1'}{The keys are listed in numbers.tex.}\fi}
\newcommand\ifresult[3]{\ifcsname result@#1\endcsname#2\else#3\fi}
\makeatother
"""


def render(results: Results) -> str:
    r"""The file ``numbers.tex``: ``\result{key}`` and ``\ifresult{key}{then}{else}``, and all keys."""
    lines = [rf"\defineresult{{{key}}}{{{value}}}" for key, value in sorted(results.items())]
    return MACROS + "\n".join(lines) + "\n"


def collect(
    config: Mapping,
    tables: Mapping[str, pd.DataFrame],
    published_retention: pd.DataFrame,
    published_pruning: pd.DataFrame,
) -> Results:
    """All results.

    Args:
        config: the whole configuration.
        tables: summary tables by name, as in :data:`weight_importance.files.tables.COLUMNS`.
        published_retention: of :mod:`weight_importance.findings.published`.
        published_pruning: of the same module.
    """
    results = completed(configuration(config), f"{HERE}.configuration")
    results |= completed(versions(), f"{HERE}.versions") | completed(constants(), f"{HERE}.constants")
    studies = config["studies"]
    for study, settings in studies.items():
        of_study = {name: table[table["study"] == study] for name, table in tables.items()}
        of_estimators = {name: without_ablations(of_study[name]) for name in ("retention", "selected_lambda")}
        found = _made(scale, study, study, settings)
        if len(of_study["retention"]):
            found |= _made(accuracies, study, of_study["retention"], of_study["selected_lambda"])
        if not of_study["baseline"].empty:
            found |= _made(baseline, study, of_study["baseline"])
        model = studies.get(settings.get("like"))
        if model is None:
            found |= _made(correlation, study, of_study["correlation"], of_study["correlation_null"])
        mapped = model is None or not set(settings["estimators"]) <= set(model["estimators"])
        if mapped and len(settings["estimators"]) > 1:
            found |= _made(atlas, study, of_study | of_estimators)
        if not of_study["pruning"].empty:
            found |= _made(pruning, study, of_study["pruning"])
        if not of_study.get("explanation_agreement", pd.DataFrame()).empty:
            found |= _made(explanation, study, of_study)
        if ablations_of(of_study["retention"]):
            found |= _made(ablations, study, of_study["retention"], of_study["selected_lambda"])
        if mapped and "none" in set(of_study["retention"]["estimator"]):
            found |= _made(comparison, study, *of_estimators.values())
        if "like" not in settings:
            family = {name: of for name, of in studies.items() if study in (name, of.get("like"))}
            found |= _made(variation, study, study, family, tables["retention"])
            found |= _made(
                reproduction,
                study,
                study,
                family,
                tables["retention"],
                tables["pruning"],
                published_retention,
                published_pruning,
            )
        results |= {f"{study}/{key}": value for key, value in found.items()}
    return results


def _made(make: Callable[..., Results], study: str, *arguments: object) -> dict[str, Derived]:
    """What a function says of a study; rows of which it does not say otherwise are the study's own."""
    return completed(make(*arguments), f"{make.__module__}.{make.__name__}", study=study)


def configuration(config: Mapping, prefix: str = "config") -> Results:
    """Every key of the configuration under ``config/``; a study's keys under its own name: ``{study}/config/``."""
    results: Results = {}
    study, _, path = prefix.partition("/config")
    for key, value in config.items():
        if prefix == "config" and key == "studies":
            for name, settings in value.items():
                results |= configuration(settings, f"{name}/config")
        elif isinstance(value, Mapping):
            results |= configuration(value, f"{prefix}/{key}")
        else:
            found = {f"{prefix}/{key}": _setting(value)}
            if isinstance(value, list):
                found[f"{prefix}/{key}/count"] = plain(len(value))
                if value and all(isinstance(item, int | float) for item in value):
                    found |= {f"{prefix}/{key}/least": plain(min(value)), f"{prefix}/{key}/most": plain(max(value))}
            of = prefix.split("/")[1:] if prefix.startswith("config") else ["studies", study, *path.split("/")[1:]]
            results |= derived(found, Setting(".".join([*of, key])))
    return results


def _setting(value: object) -> str:
    if isinstance(value, list):
        return listing([_setting(item) for item in value])
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return plain(value)
    if value is None:
        return "all"
    return ESTIMATORS[value].label if value in ESTIMATORS else escape(str(value))


def versions() -> Results:
    """``version/{package}`` of what computed and drew, and of Python."""
    found = {name: escape(version(name)) for name in PACKAGES} | {"python": platform.python_version()}
    return {f"version/{name}": Derived(value, (Package(name),)) for name, value in found.items()}


def constants() -> Results:
    """Thresholds of the code that the text quotes: ``config/{strong, margin, ablations/margin, tolerance}``."""
    return {
        "config/strong": Derived(number(STRONG, 1), (Constant(HERE, "STRONG"),)),
        "config/margin": Derived(plain(MARGIN * PERCENT), (Constant(f"{FINDINGS}.reproduction", "MARGIN"),)),
        "config/ablations/margin": Derived(
            plain(RECOVERED_WITHIN * PERCENT), (Constant(f"{FINDINGS}.recovery", "MARGIN"),)
        ),
        "config/tolerance": Derived(plain(TOLERANCE * PERCENT), (Constant(f"{FINDINGS}.variants", "TOLERANCE"),)),
    }


def scale(study: str, settings: Mapping) -> Results:
    """Of a study's settings in words: ``penalty/negative``, ``scale/words``, and ``scale/reduced`` if it is."""
    clamped = settings["retention"]["clamp_negative"]
    negative = {"penalty/negative": CLAMPED if clamped else NOT_CLAMPED}
    limits = settings["images"]["training"], settings["images"]["test"], settings["retention"]["images"]
    words = {"scale/words": "at reduced scale" if any(limits) else "on all images"}
    words |= {"scale/reduced": "yes"} if any(limits) else {}
    of = f"studies.{study}"
    return derived(negative, Setting(f"{of}.retention.clamp_negative")) | derived(
        words, *(Setting(f"{of}.{key}") for key in ("images.training", "images.test", "retention.images"))
    )


def baseline(table: pd.DataFrame) -> Results:
    """``baseline/{split}/{mean, low, high, interval, min, max}``."""
    results: Results = {}
    for split, group in table.groupby("split"):
        found = _mean(f"baseline/{split}", _only(intervals(group, ["split"], "accuracy")), 2, PERCENT)
        for name in ("min", "max"):
            found[f"baseline/{split}/{name}"] = number(getattr(group["accuracy"], name)() * PERCENT, 2)
        results |= derived(found, rows("baseline", split=split))
    return results


def correlation(table: pd.DataFrame, null: pd.DataFrame) -> Results:
    """``correlation/{coefficient}/{a}/{b}/{tensor}/{mean, low, high, interval}`` in both orders, extremes, claims.

    Per coefficient and tensor ``{highest, lowest}/{pair, mean, interval}``. Per coefficient lists of pairs, each with
    ``…/list`` and ``…/count``: ``strong`` (the interval lies above :data:`STRONG` in every weight tensor), ``negative``
    (somewhere below zero by interval and null), ``turning`` (negative in one tensor, positive in another) and
    ``ranging`` (negative in one, strong in another). ``pairs/count`` is of all pairs.
    """
    results: Results = {}
    found = beyond_null(table, null)
    for row in found.to_dict("records"):
        pair = {name: row[name] for name in ("estimator_a", "estimator_b")}
        of = rows("correlation", coefficient=row["coefficient"], tensor=row["tensor"], **pair)
        for a, b in (pair.values(), reversed(pair.values())):
            results |= derived(_mean(f"correlation/{row['coefficient']}/{a}/{b}/{row['tensor']}", row, 2), of)
    for (coefficient, tensor), group in found.dropna(subset="mean").groupby(["coefficient", "tensor"]):
        ordered = group.sort_values(["mean", "estimator_a", "estimator_b"]).to_dict("records")
        for name, row in (("lowest", ordered[0]), ("highest", ordered[-1])):
            extreme = _mean(f"correlation/{coefficient}/{tensor}/{name}", row, 2)
            extreme[f"correlation/{coefficient}/{tensor}/{name}/pair"] = _pair(row)
            results |= derived(extreme, rows("correlation", coefficient=coefficient, tensor=tensor))
    for coefficient, group in found.groupby("coefficient"):
        of = (rows("correlation", coefficient=coefficient), rows("correlation_null", coefficient=coefficient))
        pairs = {_pair(of_pair.iloc[0]): of_pair for _, of_pair in group.groupby(["estimator_a", "estimator_b"])}
        for claim, holds in CLAIMS.items():
            names = [pair for pair, of_pair in pairs.items() if holds(of_pair)]
            said = {
                f"correlation/{coefficient}/{claim}/list": listing(names, "no pair"),
                f"correlation/{coefficient}/{claim}/count": plain(len(names)),
            }
            results |= derived(said, *of)
        results |= derived({f"correlation/{coefficient}/pairs/count": plain(len(pairs))}, of[0])
    for (coefficient, tensor), group in found.groupby(["coefficient", "tensor"]):
        key, first = f"null/{coefficient}/{tensor}", group.iloc[0]
        decimals = 2 if first["null_high"] - first["null_low"] > 0.1 else 3
        of = [rows(name, coefficient=coefficient, tensor=tensor) for name in ("correlation_null", "correlation")]
        results |= derived({f"{key}/{end}": number(first[f"null_{end}"], decimals) for end in ("low", "high")}, of[0])
        inside = int(group["mean"].between(group["null_low"], group["null_high"]).sum())
        results |= derived({f"{key}/inside": plain(inside)}, *of)
    return results


def _strong(rows: pd.DataFrame) -> bool:
    weights = rows[rows["tensor"].str.endswith("weight")]
    return len(weights) > 0 and bool((weights["low"] >= STRONG).all())


def _signs(rows: pd.DataFrame) -> pd.Series:
    return rows.loc[rows["tensor"] != "all", "sign"]


CLAIMS: dict[str, Callable[[pd.DataFrame], bool]] = {
    "strong": _strong,
    "negative": lambda rows: bool((_signs(rows) < 0).any()),
    "turning": lambda rows: bool((_signs(rows) < 0).any() and (_signs(rows) > 0).any()),
    "ranging": lambda rows: bool(
        (_signs(rows) < 0).any() and (rows.loc[rows["tensor"] != "all", "low"] >= STRONG).any()
    ),
}
"""What is said of a pair, from its rows of one coefficient over all tensors."""


def accuracies(table: pd.DataFrame, selected: pd.DataFrame) -> Results:
    """Accuracy over all tasks after the last one.

    ``retention/{estimator}/{λ, selected}/{split}/{mean, low, high, interval}``, ``retention/none/{split}/…``,
    ``retention/{estimator}/selected/lambda``.
    """
    results: Results = {}
    selected = selected[selected["estimator"] != "none"]
    for split in ("validation", "test"):
        final = final_accuracy(table, split)
        for row in intervals(final, ["estimator", "lambda"], "accuracy").to_dict("records"):
            strength = "" if row["estimator"] == "none" else f"/{row['lambda']:g}"
            found = _mean(f"retention/{row['estimator']}{strength}/{split}", row, 2, PERCENT)
            results |= derived(found, _finally(table, split, row["estimator"], row["lambda"]))
        chosen = at_selected_lambda(final, selected)
        for row in intervals(chosen, ["estimator", "lambda"], "accuracy").to_dict("records"):
            if row["estimator"] != "none":
                found = _mean(f"retention/{row['estimator']}/selected/{split}", row, 2, PERCENT)
                of = _finally(table, split, row["estimator"], row["lambda"])
                results |= derived(found, of, rows("selected_lambda", estimator=row["estimator"]))
    for row in selected.to_dict("records"):
        found = {
            f"retention/{row['estimator']}/selected/lambda": (
                "no $\\lambda$" if math.isnan(row["lambda"]) else plain(row["lambda"])
            )
        }
        results |= derived(found, rows("selected_lambda", estimator=row["estimator"]))
    return results


def _finally(
    table: pd.DataFrame,
    split: str,
    estimator: str | tuple[str, ...] | None = None,
    strength: float | None = None,
) -> Rows:
    """The rows of retention after a study's last task: of one estimator, or some, and at a λ; or of all."""
    only = {"estimator": estimator, "lambda": strength}
    where = {name: value for name, value in only.items() if value is not None}
    return rows("retention", split=split, tasks_learnt=int(table["tasks_learnt"].max()), **where)


LADDER = ("tensor_mean", "input_factor", "output_factor", "rank_one", "in_order_of_factors")
"""Transforms that keep more and more of an importance, in two branches (inputs, outputs) that meet in ``rank_one``; and
its own values in the order of that, which keeps how far apart values lie, but not the sums over inputs and outputs."""


def beyond_factors(product: str, ordered: str | None, gains: bool = True) -> str:
    """What the ablations of factors say of single weights, as part of a sentence.

    Args:
        gains: whether the importance itself is above no penalty, by the interval of the difference.
        product: the outcome of ``rank_one``, one of :data:`weight_importance.findings.recovery.OUTCOMES`.
        ordered: that of ``in_order_of_factors``, which has the importance's own values; ``None`` if it was not tried.
    """
    if not gains:
        return "nothing can be said of single weights, as the importance itself does not help beyond doubt"
    factors = "a factor per input times a factor per output"
    if product in ("equivalent", "better"):
        how = f"as well as the importance itself within {plain(RECOVERED_WITHIN * PERCENT)} points"
        return f"{factors} does {how if product == 'equivalent' else 'better than the importance itself'}: " + (
            "what single weights have beyond these two is not needed here"
        )
    if product == "diverged":
        return "nothing can be said of single weights, as training diverged"
    if product == "undecided":
        return f"it is not decided whether {factors} does as well as the importance itself"
    told = {
        "worse": "and neither do its own values in that order, which changes the totals of inputs and outputs, too: "
        "single weights may matter here, or these totals",
        "equivalent": "but its own values in that order do: how far apart values lie matters here, not which single "
        "weight is held beyond these two",
    }
    told["better"] = told["equivalent"]
    undecided = "whether for the single weights or for how far apart the values lie is not decided"
    return f"{factors} does not do as well as the importance itself, {told.get(ordered, undecided)}"


def ablations(table: pd.DataFrame, selected: pd.DataFrame) -> Results:
    """What the ablations of every estimator recover of it, each at its selected λ.

    ``ablations/{estimator}/{ablation}/recovery/{mean, low, high}``, ``…/difference/{mean, low, high, interval}``,
    ``…/{p, outcome}``; per estimator ``ablations/{estimator}/{outcome}/{list, count}`` of ablations by transform, and
    ``ablations/{estimator}/edge/…`` of those, and the estimator, whose selected λ is at an end of its grid;
    ``ablations/{estimator}/ladder``, outcome and recovery of those in :data:`LADDER`; ``ablations/{estimator}/single``:
    :func:`beyond_factors`.
    """
    results: Results = {}
    whole = recovery(table, selected)
    found = whole[whole["ablation"] != whole["estimator"]]
    for row in found.to_dict("records"):
        key, pair = f"ablations/{row['estimator']}/{row['ablation']}", (row["estimator"], row["ablation"])
        said = {f"{key}/recovery/{end}": number(row[f"{end}_recovery"], 2) for end in ("mean", "low", "high")}
        said |= _mean(f"{key}/difference", part(row, "difference"), 2, PERCENT)
        said |= {f"{key}/p": number(row["tost_p"], 3), f"{key}/outcome": row["outcome"]}
        results |= derived(said, _finally(table, "test", (*pair, "none")), rows("selected_lambda", estimator=pair))
    for estimator, group in found.groupby("estimator"):
        said = {}
        for outcome in RECOVERED:
            names = [*map(_transform, group.loc[group["outcome"] == outcome, "ablation"])]
            said[f"ablations/{estimator}/{outcome}/list"] = listing(names, "none of them")
            said[f"ablations/{estimator}/{outcome}/count"] = plain(len(names))
        both = whole[whole["estimator"] == estimator]
        edges = [*map(_transform, both.loc[both["at_edge"].astype(bool), "ablation"])]
        said[f"ablations/{estimator}/edge/list"] = listing(edges, "none of them")
        said[f"ablations/{estimator}/edge/count"] = plain(len(edges))
        of = {row["ablation"].removesuffix(f"({estimator})"): row for row in group.to_dict("records")}
        steps = [
            rf"\texttt{{{escape(name)}}} is {of[name]['outcome']} ({number(of[name]['mean_recovery'], 2)})"
            for name in LADDER
            if name in of
        ]
        said |= {f"ablations/{estimator}/ladder": f"{listing(steps)} (recovery in brackets)"} if steps else {}
        outcomes = {name: row["outcome"] for name, row in of.items()}
        if "rank_one" in of:
            its_own = whole[(whole["estimator"] == estimator) & (whole["ablation"] == estimator)].iloc[0]
            single = beyond_factors(outcomes["rank_one"], outcomes.get("in_order_of_factors"), its_own["low_gain"] > 0)
            at_ends = [
                _transform(name)
                for name, row in {estimator: its_own, **of}.items()
                if name in (estimator, "rank_one", "in_order_of_factors") and row["at_edge"]
            ]
            said[f"ablations/{estimator}/single"] = single + (
                rf" (with a strength at an end of its grid: {listing(at_ends)})" if at_ends else ""
            )
        names = (estimator, *group["ablation"])
        results |= derived(said, _finally(table, "test", (*names, "none")), rows("selected_lambda", estimator=names))
    return results


def _transform(name: str) -> str:
    """An ablation without the estimator of the sentence; one of two estimators, or an estimator, in full."""
    short = name if not is_ablation(name) or len(parse(name).estimators) > 1 else name.partition("(")[0]
    return rf"\texttt{{{escape(short)}}}"


def comparison(table: pd.DataFrame, selected: pd.DataFrame) -> Results:
    """What may be said of the estimators at their selected λ against each other and against no penalty.

    Which is best and worst is decided on validation data; all values are of test data:
    ``retention/{best, worst}/{label, mean, interval, lambda}``, ``retention/spread/{mean, interval}`` (best less worst,
    on the same seeds), ``retention/gap/{better}/{worse}/…``, and lists of labels, each with ``…/count``:
    ``retention/equal/list`` (not to be told from the best on the same seeds), ``retention/above/list`` (above the best
    of validation data on test data, by interval), ``retention/effective/list`` (above ``none`` by interval),
    ``retention/edge/list`` (selected λ at an end of the grid), ``retention/diverged/list``.
    """
    selected = selected[selected["estimator"] != "none"]
    test = final_accuracy(table, "test")
    chosen = at_selected_lambda(test, selected)
    validation = at_selected_lambda(final_accuracy(table, "validation"), selected)
    rank = validation[validation["estimator"] != "none"].groupby("estimator")["accuracy"].mean()
    ordered = sorted(rank.index, key=lambda name: (-rank[name], name))
    tried, both = rows("selected_lambda", estimator=ordered), (_finally(table, "test"), _finally(table, "validation"))
    return derived(_ranking(chosen, ordered), *both, tried) | derived(_grids(test, selected), both[0], tried)


def _ranking(chosen: pd.DataFrame, ordered: list[str]) -> Results:
    results: Results = {}
    by_seed = {name: group.set_index("seed")["accuracy"] for name, group in chosen.groupby("estimator")}
    means = {row["estimator"]: row for row in intervals(chosen, ["estimator", "lambda"], "accuracy").to_dict("records")}
    best, worst = ordered[0], ordered[-1]
    for place, name in (("best", best), ("worst", worst)):
        results |= _mean(f"retention/{place}", means[name], 2, PERCENT)
        results[f"retention/{place}/label"] = ESTIMATORS[name].label
        results[f"retention/{place}/lambda"] = plain(means[name]["lambda"])
    results |= _mean("retention/spread", vars(paired(by_seed[best], by_seed[worst])), 2, PERCENT)
    behind = {name: paired(by_seed[best], by_seed[name]) for name in ordered[1:]}
    equal = [name for name, change in behind.items() if change.low <= 0 <= change.high]
    above = [name for name, change in behind.items() if change.high < 0]
    effective = [name for name in ordered if paired(by_seed[name], by_seed["none"]).low > 0]
    for first, second in combinations(ordered, 2):
        gap = paired(by_seed[first], by_seed[second])
        results |= _mean(f"retention/gap/{first}/{second}", vars(gap), 2, PERCENT)
    results |= _labels("retention/equal", equal) | _labels("retention/above", above)
    results |= _labels("retention/effective", effective)
    results["retention/effective/verdict"] = _share(len(effective), len(ordered))
    results["retention/compared/count"] = plain(len(ordered))
    return results


def _grids(final: pd.DataFrame, selected: pd.DataFrame) -> Results:
    edge, failed = [], []
    chosen = selected.set_index("estimator")["lambda"]
    for name, group in final[final["estimator"] != "none"].groupby("estimator"):
        strengths = group["lambda"].unique()
        if len(strengths) > 1 and chosen[name] in (min(strengths), max(strengths)):
            edge.append(name)
        lost = sorted(group.loc[group["accuracy"].isna(), "lambda"].unique())
        if lost:
            failed.append(f"{ESTIMATORS[name].label} at $\\lambda$ = {listing([plain(value) for value in lost])}")
    return _labels("retention/edge", edge) | {
        "retention/diverged/list": listing(failed, "no estimator at any $\\lambda$"),
        "retention/diverged/count": plain(len(failed)),
    }


def variation(study: str, family: Mapping[str, Mapping], table: pd.DataFrame) -> Results:
    """Variants of a study against the study itself, on the same networks.

    ``variant/{variant}/{estimator}/{λ}/{mean, low, high, interval}`` is the difference of accuracies (variant less
    study), ``variant/{variant}/none/…`` that without a penalty; ``variant/{variant}/{lowest, highest}/…`` the smallest
    and largest of them with ``…/lambda`` and ``…/label``. ``range/{variant}/{estimator}/{study, variant}/words`` is the
    range of λ over which accuracy stays within :data:`TOLERANCE` of the best, ``…/seeds`` over how many networks, and
    ``…/outcome`` how the variant's range compares.
    """
    results: Results = {}
    pairs = compared(study, family, table)
    for name in variants(study, family):
        of_both = rows("retention", study=(study, name), split="test")
        of_variant = pairs[pairs["variant"] == name].to_dict("records")
        for row in of_variant:
            strength = "" if row["estimator"] == "none" else f"/{row['lambda']:g}"
            key = f"variant/{name}/{row['estimator']}{strength}"
            of = [
                rows("retention", study=who, split="test", estimator=row["estimator"], lambda_=row[column])
                for who, column in ((name, "lambda"), (study, "lambda_counterpart"))
            ]
            results |= derived(_mean(key, part(row, "difference"), 2, PERCENT), *of)
        ordered = sorted(
            (row for row in of_variant if row["estimator"] != "none" and not math.isnan(row["mean_difference"])),
            key=lambda row: row["mean_difference"],
        )
        for place, row in (("lowest", ordered[0]), ("highest", ordered[-1])) if ordered else ():
            key = f"variant/{name}/{place}"
            found = _mean(key, part(row, "difference"), 2, PERCENT)
            found |= {f"{key}/lambda": plain(row["lambda"]), f"{key}/label": ESTIMATORS[row["estimator"]].label}
            results |= derived(found, of_both)
    for row in usable_range(study, family, table).to_dict("records"):
        key = f"range/{row['variant']}/{row['estimator']}"
        found = {f"{key}/outcome": row["outcome"], f"{key}/seeds": plain(row["n"])}
        found |= {f"{key}/{name}/words": _range(row, who) for name, who in RANGES_OF.items()}
        of_both = rows("retention", study=(study, row["variant"]), split="test", estimator=row["estimator"])
        results |= derived(found, of_both)
    return results


RANGES_OF = {"variant": "variant", "study": "counterpart"}


def _range(row: Mapping, who: str) -> str:
    """A usable range of λ as a factor; open where it reaches an end of the strengths compared."""
    factor = row[f"factor_{who}"]
    if math.isnan(factor):
        return "no strength at all"
    bound = "at least " if row[f"open_low_{who}"] or row[f"open_high_{who}"] else ""
    return f"{bound}a factor of {plain(round(factor, 1))}"


def reproduction(
    study: str,
    family: Mapping[str, Mapping],
    retention: pd.DataFrame,
    pruned: pd.DataFrame,
    published_retention: pd.DataFrame,
    published_pruning: pd.DataFrame,
) -> Results:
    """Published values and ours, of :mod:`weight_importance.findings.reproduction`.

    ``published/{estimator}/best/{mean, low, high, interval, runs, lambda}``; for every λ in common
    ``difference/{estimator}/{λ}/{mean, low, high, interval, ours, published, verdict}``; ``claims/{count, sentence}``,
    how many claims there are and how often each outcome occurs, and ``claims/{claim}/{…}`` of one sort.
    ``claims/scale`` says in what the run is not as the published one.
    """
    results: Results = {}
    theirs = published_retention[published_retention["study"] == study]
    best = published_best(theirs)
    for row in last_task(theirs).to_dict("records"):
        if row["lambda"] == best[row["estimator"]]:
            key = f"published/{row['estimator']}/best"
            values = _mean(key, row, 2, PERCENT)
            values |= {f"{key}/runs": plain(row["n"]), f"{key}/lambda": plain(row["lambda"])}
            results |= derived(values, retention_rows(study, row["estimator"]))
    ours = stand_in(study, family)
    found = claims(study, family, retention, pruned, published_retention, published_pruning)
    for row in found[found["claim"] == "lambda"].to_dict("records"):
        key = f"difference/{row['estimator']}/{row['lambda']:g}"
        values = _mean(key, part(row, "difference"), 2, PERCENT)
        values |= {f"{key}/{who}": number(row[f"mean_{who}"] * PERCENT, 2) for who in ("ours", "published")}
        values[f"{key}/verdict"] = row["verdict"]
        where = {"estimator": row["estimator"], "lambda": row["lambda"], "tasks_learnt": row["tasks_learnt"]}
        here = rows("retention", study=ours, split="test", **where)
        results |= derived(values, here, retention_rows(study, row["estimator"], row["lambda"]))
    for name, group in [("", found), *((f"{claim}/", group) for claim, group in found.groupby("claim"))]:
        values = {f"claims/{name}count": plain(len(group))}
        counts = {word: int((group["outcome"] == word).sum()) for word in OUTCOMES}
        said = [f"{plain(count)} {OUTCOME_WORDS.get(word, word)}" for word, count in counts.items() if count]
        values[f"claims/{name}sentence"] = listing(said)
        of = [rows("retention", study=ours, split="test"), retention_rows(study)]
        if name in ("", "pruning/"):
            of = [*(of if not name else ()), rows("pruning", study=ours, scope="tensor"), pruning_rows()]
        results |= derived(values, *of)
    departed = {"claims/scale": "; ".join(departures(study, family[ours])) or "nothing"}
    return results | derived(departed, Setting(f"studies.{ours}"))


OUTCOME_WORDS = {"differs": "different"}
"""Outcomes of claims where a sentence counts them, if they read otherwise there."""


def pruning(table: pd.DataFrame) -> Results:
    """``pruning/{scope}/{criterion}/{fraction}/{mean, low, high, interval}``.

    Also ``pruning/{scope}/{best, worst}/{fraction}/{label, mean, …}`` among the estimators. The largest fraction is
    ``last`` as well; ``pruning/last`` is its value, ``pruning/last/percent`` in per cent.
    """
    results: Results = {}
    last = table["fraction"].max()
    found = intervals(table, ["scope", "criterion", "fraction"], "accuracy")
    for row in found.to_dict("records"):
        of = rows("pruning", **{name: row[name] for name in ("scope", "criterion", "fraction")})
        for fraction in _names(row["fraction"], last):
            values = _mean(f"pruning/{row['scope']}/{row['criterion']}/{fraction}", row, 2, PERCENT)
            results |= derived(values, of)
    estimators = found[found["criterion"] != "random"]
    for (scope, value), group in estimators.groupby(["scope", "fraction"]):
        ordered = group.sort_values(["mean", "criterion"]).to_dict("records")
        of = rows("pruning", scope=scope, fraction=value, criterion=[row["criterion"] for row in ordered])
        for place, row in (("best", ordered[-1]), ("worst", ordered[0])):
            for fraction in _names(value, last):
                key = f"pruning/{scope}/{place}/{fraction}"
                values = _mean(key, row, 2, PERCENT) | {f"{key}/label": ESTIMATORS[row["criterion"]].label}
                results |= derived(values, of)
    ends = {"pruning/last": plain(last), "pruning/last/percent": plain(last * PERCENT)}
    return results | derived(ends, rows("pruning", fraction=last))


def _names(fraction: float, last: float) -> list[str]:
    return [f"{fraction:g}", "last"] if fraction == last else [f"{fraction:g}"]


def _mean(key: str, row: Mapping[str, float], decimals: int, scale: float = 1.0) -> Results:
    results = {f"{key}/{name}": number(row[name] * scale, decimals) for name in ("mean", "low", "high")}
    ends = [rounded(row[name] * scale, decimals) for name in ("low", "high")]
    return results | {f"{key}/interval": "no interval" if None in ends else rf"\numrange{{{ends[0]}}}{{{ends[1]}}}"}


def _labels(key: str, names: Iterable[str]) -> Results:
    names = list(names)
    return {f"{key}/list": listing([ESTIMATORS[name].label for name in names]), f"{key}/count": plain(len(names))}


def _share(part: int, whole: int) -> str:
    return {0: f"none of the {whole}", whole: f"each of the {whole}"}.get(part, f"{part} of the {whole}")


def _pair(row: Mapping[str, str]) -> str:
    return f"{ESTIMATORS[row['estimator_a']].label} with {ESTIMATORS[row['estimator_b']].label}"


def _only(frame: pd.DataFrame) -> dict:
    (row,) = frame.to_dict("records")
    return row
