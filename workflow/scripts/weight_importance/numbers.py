r"""Every number that the text of the paper quotes, and every word of judgement that depends on numbers, by key.

A key is a path, ``mlp_permuted_mnist/retention/mas/selected/test/mean``; the text writes ``\result{key}``. An unknown
key stops LaTeX. Keys are made systematically from the tables, so that new rows bring new keys. Accuracies are in
per cent.
"""

import math
import platform
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from itertools import combinations

import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.atlas_numbers import atlas
from weight_importance.explanation_numbers import explanation
from weight_importance.findings import at_selected_lambda, beyond_null, part
from weight_importance.latex import escape, listing, number, plain, rounded
from weight_importance.published import last_task
from weight_importance.recovery import MARGIN as RECOVERED_WITHIN
from weight_importance.recovery import OUTCOMES as RECOVERED
from weight_importance.recovery import controls_of, recovery, without_controls
from weight_importance.reproduction import MARGIN, OUTCOMES, claims, departures, published_best, stand_in
from weight_importance.statistics import final_accuracy, intervals, paired
from weight_importance.variants import TOLERANCE, compared, usable_range, variants

Results = dict[str, str]

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
        tables: summary tables by name, as in :data:`weight_importance.tables.COLUMNS`.
        published_retention: of :mod:`weight_importance.published`.
        published_pruning: of the same module.
    """
    results = configuration(config) | versions()
    results["config/strong"] = number(STRONG, 1)
    results["config/margin"] = plain(MARGIN * PERCENT)
    results["config/controls/margin"] = plain(RECOVERED_WITHIN * PERCENT)
    results["config/tolerance"] = plain(TOLERANCE * PERCENT)
    studies = config["studies"]
    for study, settings in studies.items():
        clamped = settings["retention"]["clamp_negative"]
        results[f"{study}/penalty/negative"] = CLAMPED if clamped else NOT_CLAMPED
        limits = settings["images"]["training"], settings["images"]["test"], settings["retention"]["images"]
        results[f"{study}/scale/words"] = "at reduced scale" if any(limits) else "on all images"
        results |= {f"{study}/scale/reduced": "yes"} if any(limits) else {}
        of_study = {name: table[table["study"] == study] for name, table in tables.items()}
        found = accuracies(of_study["retention"], of_study["selected_lambda"]) if len(of_study["retention"]) else {}
        if not of_study["baseline"].empty:
            found |= baseline(of_study["baseline"])
        model = studies.get(settings.get("like"))
        if model is None:
            found |= correlation(of_study["correlation"], of_study["correlation_null"])
        if model is None or not set(settings["estimators"]) <= set(model["estimators"]):
            found |= atlas(of_study)
        if not of_study["pruning"].empty:
            found |= pruning(of_study["pruning"])
        if not of_study.get("explanation_agreement", pd.DataFrame()).empty:
            found |= explanation(of_study)
        if controls_of(of_study["retention"]):
            found |= controls(of_study["retention"], of_study["selected_lambda"])
        if "like" not in settings:
            family = {name: of for name, of in studies.items() if study in (name, of.get("like"))}
            estimators = (without_controls(of_study[name]) for name in ("retention", "selected_lambda"))
            found |= comparison(*estimators)
            found |= variation(study, family, tables["retention"])
            found |= reproduction(
                study, family, tables["retention"], tables["pruning"], published_retention, published_pruning
            )
        results |= {f"{study}/{key}": value for key, value in found.items()}
    return results


def configuration(config: Mapping, prefix: str = "config") -> Results:
    """Every key of the configuration under ``config/``; a study's keys under its own name: ``{study}/config/``."""
    results: Results = {}
    for key, value in config.items():
        if prefix == "config" and key == "studies":
            for study, settings in value.items():
                results |= configuration(settings, f"{study}/config")
        elif isinstance(value, Mapping):
            results |= configuration(value, f"{prefix}/{key}")
        else:
            results[f"{prefix}/{key}"] = _setting(value)
            if isinstance(value, list):
                results[f"{prefix}/{key}/count"] = plain(len(value))
                if value and all(isinstance(item, int | float) for item in value):
                    results |= {f"{prefix}/{key}/least": plain(min(value)), f"{prefix}/{key}/most": plain(max(value))}
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
    found = {f"version/{name}": escape(version(name)) for name in PACKAGES}
    return found | {"version/python": platform.python_version()}


def baseline(table: pd.DataFrame) -> Results:
    """``baseline/{split}/{mean, low, high, interval, min, max}``."""
    results: Results = {}
    for split, rows in table.groupby("split"):
        results |= _mean(f"baseline/{split}", _only(intervals(rows, ["split"], "accuracy")), 2, PERCENT)
        for name in ("min", "max"):
            results[f"baseline/{split}/{name}"] = number(getattr(rows["accuracy"], name)() * PERCENT, 2)
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
        for a, b in ((row["estimator_a"], row["estimator_b"]), (row["estimator_b"], row["estimator_a"])):
            results |= _mean(f"correlation/{row['coefficient']}/{a}/{b}/{row['tensor']}", row, 2)
    for (coefficient, tensor), rows in found.dropna(subset="mean").groupby(["coefficient", "tensor"]):
        ordered = rows.sort_values(["mean", "estimator_a", "estimator_b"]).to_dict("records")
        for name, row in (("lowest", ordered[0]), ("highest", ordered[-1])):
            results |= _mean(f"correlation/{coefficient}/{tensor}/{name}", row, 2)
            results[f"correlation/{coefficient}/{tensor}/{name}/pair"] = _pair(row)
    for coefficient, rows in found.groupby("coefficient"):
        pairs = {_pair(group.iloc[0]): group for _, group in rows.groupby(["estimator_a", "estimator_b"])}
        for claim, holds in CLAIMS.items():
            names = [pair for pair, group in pairs.items() if holds(group)]
            results[f"correlation/{coefficient}/{claim}/list"] = listing(names, "no pair")
            results[f"correlation/{coefficient}/{claim}/count"] = plain(len(names))
        results[f"correlation/{coefficient}/pairs/count"] = plain(len(pairs))
    for (coefficient, tensor), rows in found.groupby(["coefficient", "tensor"]):
        key, first = f"null/{coefficient}/{tensor}", rows.iloc[0]
        decimals = 2 if first["null_high"] - first["null_low"] > 0.1 else 3
        results |= {f"{key}/{end}": number(first[f"null_{end}"], decimals) for end in ("low", "high")}
        results[f"{key}/inside"] = plain(int(rows["mean"].between(rows["null_low"], rows["null_high"]).sum()))
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
            results |= _mean(f"retention/{row['estimator']}{strength}/{split}", row, 2, PERCENT)
        chosen = at_selected_lambda(final, selected)
        for row in intervals(chosen, ["estimator"], "accuracy").to_dict("records"):
            if row["estimator"] != "none":
                results |= _mean(f"retention/{row['estimator']}/selected/{split}", row, 2, PERCENT)
    for row in selected.to_dict("records"):
        results[f"retention/{row['estimator']}/selected/lambda"] = (
            "no $\\lambda$" if math.isnan(row["lambda"]) else plain(row["lambda"])
        )
    return results


def controls(table: pd.DataFrame, selected: pd.DataFrame) -> Results:
    """What the controls of every estimator recover of it, each at its selected λ.

    ``controls/{estimator}/{control}/recovery/{mean, low, high}``, ``…/difference/{mean, low, high, interval}``,
    ``…/{p, outcome}``; per estimator ``controls/{estimator}/{outcome}/{list, count}`` of controls by name, and
    ``controls/{estimator}/edge/…`` of those whose selected λ is at an end of its grid.
    """
    results: Results = {}
    found = recovery(table, selected)
    found = found[found["control"] != found["estimator"]]
    for row in found.to_dict("records"):
        key = f"controls/{row['estimator']}/{row['control']}"
        results |= {f"{key}/recovery/{end}": number(row[f"{end}_recovery"], 2) for end in ("mean", "low", "high")}
        results |= _mean(f"{key}/difference", part(row, "difference"), 2, PERCENT)
        results |= {f"{key}/p": number(row["tost_p"], 3), f"{key}/outcome": row["outcome"]}
    for estimator, rows in found.groupby("estimator"):
        for outcome in RECOVERED:
            names = [escape(name) for name in rows.loc[rows["outcome"] == outcome, "control"]]
            results[f"controls/{estimator}/{outcome}/list"] = listing(names, "none of them")
            results[f"controls/{estimator}/{outcome}/count"] = plain(len(names))
        edges = [escape(name) for name in rows.loc[rows["at_edge"].astype(bool), "control"]]
        results[f"controls/{estimator}/edge/list"] = listing(edges, "none of them")
        results[f"controls/{estimator}/edge/count"] = plain(len(edges))
    return results


def comparison(table: pd.DataFrame, selected: pd.DataFrame) -> Results:
    """What may be said of the estimators at their selected λ against each other and against no penalty.

    Which is best and worst is decided on validation data; all values are of test data:
    ``retention/{best, worst}/{label, mean, interval, lambda}``, ``retention/spread/{mean, interval}`` (best less worst,
    on the same seeds), ``retention/gap/{better}/{worse}/…``, and lists of labels, each with ``…/count``:
    ``retention/equal/list`` (not to be told from the best on the same seeds), ``retention/effective/list`` (above
    ``none`` by interval), ``retention/edge/list`` (selected λ at an end of the grid), ``retention/diverged/list``.
    """
    selected = selected[selected["estimator"] != "none"]
    test = final_accuracy(table, "test")
    chosen = at_selected_lambda(test, selected)
    validation = at_selected_lambda(final_accuracy(table, "validation"), selected)
    rank = validation[validation["estimator"] != "none"].groupby("estimator")["accuracy"].mean()
    ordered = sorted(rank.index, key=lambda name: (-rank[name], name))
    return _ranking(chosen, ordered) | _grids(test, selected)


def _ranking(chosen: pd.DataFrame, ordered: list[str]) -> Results:
    results: Results = {}
    by_seed = {name: rows.set_index("seed")["accuracy"] for name, rows in chosen.groupby("estimator")}
    rows = {row["estimator"]: row for row in intervals(chosen, ["estimator", "lambda"], "accuracy").to_dict("records")}
    best, worst = ordered[0], ordered[-1]
    for place, name in (("best", best), ("worst", worst)):
        results |= _mean(f"retention/{place}", rows[name], 2, PERCENT)
        results[f"retention/{place}/label"] = ESTIMATORS[name].label
        results[f"retention/{place}/lambda"] = plain(rows[name]["lambda"])
    results |= _mean("retention/spread", vars(paired(by_seed[best], by_seed[worst])), 2, PERCENT)
    equal = [name for name in ordered[1:] if not paired(by_seed[best], by_seed[name]).low > 0]
    effective = [name for name in ordered if paired(by_seed[name], by_seed["none"]).low > 0]
    for first, second in combinations(ordered, 2):
        gap = paired(by_seed[first], by_seed[second])
        results |= _mean(f"retention/gap/{first}/{second}", vars(gap), 2, PERCENT)
    results |= _labels("retention/equal", equal) | _labels("retention/effective", effective)
    results["retention/effective/verdict"] = _share(len(effective), len(ordered))
    results["retention/compared/count"] = plain(len(ordered))
    return results


def _grids(final: pd.DataFrame, selected: pd.DataFrame) -> Results:
    edge, failed = [], []
    chosen = selected.set_index("estimator")["lambda"]
    for name, rows in final[final["estimator"] != "none"].groupby("estimator"):
        strengths = rows["lambda"].unique()
        if len(strengths) > 1 and chosen[name] in (min(strengths), max(strengths)):
            edge.append(name)
        lost = sorted(rows.loc[rows["accuracy"].isna(), "lambda"].unique())
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
    rows = compared(study, family, table)
    for name in variants(study, family):
        of_variant = rows[rows["variant"] == name].to_dict("records")
        for row in of_variant:
            strength = "" if row["estimator"] == "none" else f"/{row['lambda']:g}"
            key = f"variant/{name}/{row['estimator']}{strength}"
            results |= _mean(key, part(row, "difference"), 2, PERCENT)
        ordered = sorted(
            (row for row in of_variant if row["estimator"] != "none" and not math.isnan(row["mean_difference"])),
            key=lambda row: row["mean_difference"],
        )
        for place, row in (("lowest", ordered[0]), ("highest", ordered[-1])) if ordered else ():
            key = f"variant/{name}/{place}"
            results |= _mean(key, part(row, "difference"), 2, PERCENT)
            results |= {f"{key}/lambda": plain(row["lambda"]), f"{key}/label": ESTIMATORS[row["estimator"]].label}
    for row in usable_range(study, family, table).to_dict("records"):
        key = f"range/{row['variant']}/{row['estimator']}"
        results |= {f"{key}/outcome": row["outcome"], f"{key}/seeds": plain(row["n"])}
        results |= {f"{key}/{name}/words": _range(row, who) for name, who in RANGES_OF.items()}
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
    """Published values and ours, of :mod:`weight_importance.reproduction`.

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
            results |= _mean(key, row, 2, PERCENT)
            results |= {f"{key}/runs": plain(row["n"]), f"{key}/lambda": plain(row["lambda"])}
    found = claims(study, family, retention, pruned, published_retention, published_pruning)
    for row in found[found["claim"] == "lambda"].to_dict("records"):
        key = f"difference/{row['estimator']}/{row['lambda']:g}"
        results |= _mean(key, part(row, "difference"), 2, PERCENT)
        results |= {f"{key}/{who}": number(row[f"mean_{who}"] * PERCENT, 2) for who in ("ours", "published")}
        results[f"{key}/verdict"] = row["verdict"]
    for name, rows in [("", found), *((f"{claim}/", rows) for claim, rows in found.groupby("claim"))]:
        results[f"claims/{name}count"] = plain(len(rows))
        counts = {word: int((rows["outcome"] == word).sum()) for word in OUTCOMES}
        said = [f"{plain(count)} {OUTCOME_WORDS.get(word, word)}" for word, count in counts.items() if count]
        results[f"claims/{name}sentence"] = listing(said)
    settings = family[stand_in(study, family)]
    results["claims/scale"] = "; ".join(departures(study, settings)) or "nothing"
    return results


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
        for fraction in _names(row["fraction"], last):
            results |= _mean(f"pruning/{row['scope']}/{row['criterion']}/{fraction}", row, 2, PERCENT)
    estimators = found[found["criterion"] != "random"]
    for (scope, value), rows in estimators.groupby(["scope", "fraction"]):
        ordered = rows.sort_values(["mean", "criterion"]).to_dict("records")
        for place, row in (("best", ordered[-1]), ("worst", ordered[0])):
            for fraction in _names(value, last):
                key = f"pruning/{scope}/{place}/{fraction}"
                results |= _mean(key, row, 2, PERCENT) | {f"{key}/label": ESTIMATORS[row["criterion"]].label}
    return results | {"pruning/last": plain(last), "pruning/last/percent": plain(last * PERCENT)}


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
