r"""Every number that the text of the paper quotes, and every word of judgement that depends on numbers, by key.

A key is a path, ``mlp_permuted_mnist/retention/mas/selected/test/mean``; the text writes ``\result{key}``. An unknown
key stops LaTeX. Keys are made systematically from the tables, so that new rows bring new keys. Accuracies are in
per cent.
"""

import math
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from itertools import combinations

import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.findings import at_selected_lambda
from weight_importance.latex import escape, listing, number, plain
from weight_importance.published import AGREES, side_by_side
from weight_importance.statistics import final_accuracy, intervals, paired

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
        published_retention: of :mod:`weight_importance.published`, after the last task.
        published_pruning: of the same module.
    """
    results = configuration(config) | versions()
    results["config/strong"] = number(STRONG, 1)
    for study, settings in config["studies"].items():
        clamped = settings["retention"]["clamp_negative"]
        results[f"{study}/penalty/negative"] = CLAMPED if clamped else NOT_CLAMPED
        of_study = {name: table[table["study"] == study] for name, table in tables.items()}
        theirs = published_retention[published_retention["study"] == study]
        found = (
            baseline(of_study["baseline"])
            | correlation(of_study["correlation"])
            | null(of_study["correlation"], of_study["correlation_null"])
            | retention(of_study["retention"], of_study["selected_lambda"])
            | comparison(of_study["retention"], theirs)
            | pruning(of_study["pruning"], published_pruning[published_pruning["study"] == study])
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


def correlation(table: pd.DataFrame) -> Results:
    """``correlation/{coefficient}/{a}/{b}/{tensor}/{mean, low, high, interval}`` in both orders, extremes, verdicts.

    Per coefficient and tensor ``{highest, lowest}/{pair, mean, interval}``; per coefficient the pairs strong on every
    weight tensor (``strong/list``, ``strong/count``), those whose sign is certain and differs between tensors
    (``turning/…``), and those certain to be negative somewhere (``negative/…``). ``pairs/count`` is of all pairs.
    """
    results: Results = {}
    found = intervals(table, ["coefficient", "tensor", "estimator_a", "estimator_b"], "value")
    for row in found.to_dict("records"):
        for a, b in ((row["estimator_a"], row["estimator_b"]), (row["estimator_b"], row["estimator_a"])):
            results |= _mean(f"correlation/{row['coefficient']}/{a}/{b}/{row['tensor']}", row, 2)
    for (coefficient, tensor), rows in found.dropna(subset="mean").groupby(["coefficient", "tensor"]):
        ordered = rows.sort_values(["mean", "estimator_a", "estimator_b"]).to_dict("records")
        for name, row in (("lowest", ordered[0]), ("highest", ordered[-1])):
            results |= _mean(f"correlation/{coefficient}/{tensor}/{name}", row, 2)
            results[f"correlation/{coefficient}/{tensor}/{name}/pair"] = _pair(row)
    for coefficient, rows in found.groupby("coefficient"):
        pairs = [(_pair(group.iloc[0]), group) for _, group in rows.groupby(["estimator_a", "estimator_b"])]
        weights = [(pair, group[group["tensor"].str.endswith("weight")]) for pair, group in pairs]
        single = [(pair, group[group["tensor"] != "all"]) for pair, group in pairs]
        claims = {
            "strong": [pair for pair, group in weights if len(group) and (group["mean"] >= STRONG).all()],
            "negative": [pair for pair, group in single if (group["high"] < 0).any()],
            "turning": [pair for pair, group in single if (group["high"] < 0).any() and (group["low"] > 0).any()],
        }
        for claim, names in claims.items():
            results[f"correlation/{coefficient}/{claim}/list"] = listing(names, "no pair")
            results[f"correlation/{coefficient}/{claim}/count"] = plain(len(names))
        results[f"correlation/{coefficient}/pairs/count"] = plain(len(pairs))
    return results


def null(observed: pd.DataFrame, table: pd.DataFrame) -> Results:
    """``null/{coefficient}/{tensor}/{low, high, inside}``: the null's central 95 %, how many pairs' means lie there."""
    results: Results = {}
    means = intervals(observed, ["coefficient", "tensor", "estimator_a", "estimator_b"], "value")
    for (coefficient, tensor), rows in table.groupby(["coefficient", "tensor"]):
        low, high = rows["value"].quantile([0.025, 0.975])
        seen = means[(means["coefficient"] == coefficient) & (means["tensor"] == tensor)]["mean"]
        key = f"null/{coefficient}/{tensor}"
        decimals = 2 if high - low > 0.1 else 3
        results |= {f"{key}/low": number(low, decimals), f"{key}/high": number(high, decimals)}
        results[f"{key}/inside"] = plain(int(seen.between(low, high).sum()))
    return results


def retention(table: pd.DataFrame, selected: pd.DataFrame) -> Results:
    """Accuracy over all tasks after the last one, and what may be said of the estimators at their selected λ.

    ``retention/{estimator}/{λ, selected}/{split}/{mean, low, high, interval}``, ``retention/none/{split}/…``,
    ``retention/{estimator}/selected/lambda``, ``retention/{best, worst}/{label, mean, interval, lambda}``,
    ``retention/spread``, ``retention/gap/{better}/{worse}/…``, and lists of labels, each with ``…/count``:
    ``retention/equal/list`` (not to be told from the best on the same seeds), ``retention/effective/list`` (above
    ``none`` for certain), ``retention/edge/list`` (selected λ at an end of the grid), ``retention/diverged/list``.
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
    final = final_accuracy(table, "test")
    return results | _ranking(at_selected_lambda(final, selected)) | _grids(final, selected)


def _ranking(chosen: pd.DataFrame) -> Results:
    results: Results = {}
    by_seed = {name: rows.set_index("seed")["accuracy"] for name, rows in chosen.groupby("estimator")}
    none = by_seed.pop("none")
    means = {name: values.mean() for name, values in by_seed.items()}
    ordered = sorted(means, key=lambda name: (-means[name], name))
    rows = {row["estimator"]: row for row in intervals(chosen, ["estimator", "lambda"], "accuracy").to_dict("records")}
    for place, name in (("best", ordered[0]), ("worst", ordered[-1])):
        results |= _mean(f"retention/{place}", rows[name], 2, PERCENT)
        results[f"retention/{place}/label"] = ESTIMATORS[name].label
        results[f"retention/{place}/lambda"] = plain(rows[name]["lambda"])
    results["retention/spread"] = number((means[ordered[0]] - means[ordered[-1]]) * PERCENT, 2)
    equal = [name for name in ordered[1:] if not paired(by_seed[ordered[0]], by_seed[name]).low > 0]
    effective = [name for name in ordered if paired(by_seed[name], none).low > 0]
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


def comparison(table: pd.DataFrame, theirs: pd.DataFrame) -> Results:
    """Published accuracies and ours at the same λ.

    ``published/{estimator}/{λ, best}/{mean, low, high, interval, runs}``, ``published/{estimator}/best/lambda``,
    ``difference/{estimator}/{λ}/{mean, low, high, interval, verdict}`` for every λ in common; of these
    ``published/common/count``, ``published/agreeing/count`` with zero in the interval of the difference, and
    ``published/verdicts`` as a sentence.
    """
    results: Results = {}
    for row in theirs.to_dict("records"):
        results |= _published(f"published/{row['estimator']}/{row['lambda']:g}", row)
    for estimator, rows in theirs.groupby("estimator"):
        best = rows.sort_values("mean").iloc[-1].to_dict()
        results |= _published(f"published/{estimator}/best", best)
        results[f"published/{estimator}/best/lambda"] = plain(best["lambda"])
    sentences, agreeing = [], 0
    for row in side_by_side(table, theirs).to_dict("records"):
        key = f"difference/{row['estimator']}/{row['lambda']:g}"
        gap = {name: row[f"{name}_difference"] for name in ("mean", "low", "high")}
        results |= _mean(key, gap, 2, PERCENT)
        results[f"{key}/verdict"] = row["verdict"]
        agreeing += row["verdict"] == AGREES
        label = ESTIMATORS[row["estimator"]].label
        sentences.append(f"{label} at $\\lambda={plain(row['lambda'])}$ {row['verdict']}")
    results["published/common/count"] = plain(len(sentences))
    results["published/agreeing/count"] = plain(agreeing)
    results["published/verdicts"] = listing(sentences, "this configuration has no $\\lambda$ in common with the sweep")
    return results


def pruning(table: pd.DataFrame, theirs: pd.DataFrame) -> Results:
    """``pruning/{scope}/{criterion}/{fraction}/{mean, low, high, interval}``; the published: ``published/pruning/…``.

    Also ``pruning/{scope}/{best, worst}/{fraction}/{label, mean, …}`` among the estimators. The largest fraction is
    ``last`` as well; ``pruning/last`` is its value, ``pruning/last/percent`` in per cent.
    """
    results: Results = {}
    last = table["fraction"].max()
    found = intervals(table, ["scope", "criterion", "fraction"], "accuracy")
    for prefix, frame in (("pruning", found), ("published/pruning", theirs)):
        for row in frame.to_dict("records"):
            for fraction in _names(row["fraction"], last):
                results |= _mean(f"{prefix}/{row['scope']}/{row['criterion']}/{fraction}", row, 2, PERCENT)
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
    low, high = (f"{row[name] * scale:.{decimals}f}" for name in ("low", "high"))
    none = math.isnan(row["low"])
    return results | {f"{key}/interval": "no interval" if none else rf"\numrange{{{low}}}{{{high}}}"}


def _published(key: str, row: Mapping[str, float]) -> Results:
    return _mean(key, row, 2, PERCENT) | {f"{key}/runs": plain(row["n"])}


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
