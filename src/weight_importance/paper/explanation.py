"""What the text quotes of the stage ``explanation``: counts and values by key.

Works on tidy tables in memory.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.files.derivation import Constant, derived, rows
from weight_importance.findings.common import PREDICTED, along_confidence, tensor_order
from weight_importance.findings.explanation import (
    AGAINST,
    AWAY,
    CANCELLED,
    CONTRIBUTES,
    EXPLAINED,
    HELD,
    MOMENT,
    NEAR,
    OPEN,
    OPPOSED,
    OUTCOMES,
    PATH,
    PREDICTIONS,
    TOWARDS,
    predictions,
    signal_signs,
    turning,
    verdicts,
)
from weight_importance.findings.statistics import intervals
from weight_importance.paper.latex import escape, listing, number, plain

NOTABLE = 0.3
"""From this mean on, in absolute value, a correlation is large enough to ask where it comes from."""

RISE = 0.1
"""A correlation whose absolute value rises by more than this without sampling noise was held down by it."""

FINDINGS = "weight_importance.findings.explanation"
PAIR = ["estimator_a", "estimator_b"]


def explanation(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Everything the text says of why importances agree.

    - ``explanation/{a}/{b}/{pearson, log_slope, ratio}/{first, last}``: mean over weight tensors and networks after the
      fewest and the most epochs, for the pairs of :data:`weight_importance.findings.common.PREDICTED`;
      ``explanation/confidence/{first, last}``: the mean largest probability there;
    - ``explanation/factors/{notable, mostly, input}/count``: correlations (pair and weight tensor) of at least
      :data:`NOTABLE`; those of them that come to more than half from factors, and from the input's alone;
    - ``explanation/predictions/{all, limited/all, unlimited/all}/count`` of comparisons, of all predictions and of
      those with and without a limit; ``…/{limited, unlimited}/{held, against, open}/{count, list}`` of comparisons, and
      of predictions by most of theirs (:func:`weight_importance.findings.explanation.verdicts`); the same of those with
      a limit by how they moved, ``…/limited/{towards, away}/{count, list}``;
    - ``explanation/signal/…`` of the total signal with gradient estimators, by weight tensor: see :func:`_signal`;
    - ``explanation/reliability/lowest/{mean, label, tensor}``: Pearson, over weight tensors;
    - ``explanation/noise/{raised, lowered, pairs}/count``: correlations (Pearson, weight tensors) that rise or fall in
      absolute value by more than :data:`RISE` without sampling noise, of all;
    - ``explanation/trajectories/{same, own, across, shared}/{mean, list}``: Pearson, over pairs and weight tensors,
      after the last task and after each of them; ``shared``: of all estimators on the networks of all
      trajectories; ``…/{path, other}/{mean, list}``: of the pairs of an estimator of the path with another one there,
      and of those without any.

    Args:
        tables: of one study, by their names in :data:`weight_importance.files.tables.EXPLANATION`.
    """
    factors = tables["explanation_factors"]
    weights = [name for name in tensor_order(factors["tensor"].unique()) if name != "all"]
    along = tables["explanation_agreement"], tables["explanation_confidence"]
    agreement, confidence = (rows(f"explanation_{name}", condition="epochs") for name in ("agreement", "confidence"))
    ranked = {"coefficient": "pearson", "tensor": weights}
    reliability, noise, *after_tasks = (
        rows(f"explanation_{name}", **ranked) for name in ("reliability", "noise", "trajectories", "shared")
    )
    return (
        derived({"explanation/notable": number(NOTABLE, 1)}, Constant(__name__, "NOTABLE"))
        | derived({"explanation/rise": number(RISE, 1)}, Constant(__name__, "RISE"))
        | derived({"explanation/near": number(NEAR, 1)}, Constant(FINDINGS, "NEAR"))
        | derived({"explanation/contributes": number(CONTRIBUTES, 1)}, Constant(FINDINGS, "CONTRIBUTES"))
        | derived(_confidence(*along, weights), agreement, confidence)
        | derived(_predictions(*along, weights), *map(rows, ("explanation_agreement", "explanation_confidence")))
        | derived(_factors(factors), rows("explanation_factors"))
        | derived(_signal(tables["explanation_signal"]), rows("explanation_signal"))
        | derived(_noise(tables["explanation_reliability"], tables["explanation_noise"], weights), reliability, noise)
        | derived(
            _trajectories(tables["explanation_trajectories"], tables["explanation_shared"], weights), *after_tasks
        )
    )


def _confidence(agreement: pd.DataFrame, confidence: pd.DataFrame, weights: list[str]) -> dict[str, str]:
    along = along_confidence(agreement, confidence, weights)
    epochs = along[along["condition"] == "epochs"]
    found = {}
    for end, level in (("first", epochs["level"].min()), ("last", epochs["level"].max())):
        rows = epochs[epochs["level"] == level]
        found[f"explanation/confidence/{end}"] = number(rows["max_probability"].iloc[0], 3)
        found[f"explanation/epochs/{end}"] = plain(level)
        means = rows.set_index([*PAIR, "coefficient"])["mean"]
        for a, b, _ in PREDICTED:
            for first, second in ((a, b), (b, a)):
                for coefficient in ("pearson", "log_slope", "ratio"):
                    if (first, second, coefficient) in means:
                        key = f"explanation/{first}/{second}/{coefficient}/{end}"
                        found[key] = number(means[first, second, coefficient], 2)
    return found


def _predictions(agreement: pd.DataFrame, confidence: pd.DataFrame, weights: list[str]) -> dict[str, str]:
    key = "explanation/predictions"
    foreseen = predictions(agreement, confidence, weights)
    limited, unlimited = foreseen[foreseen["limited"]], foreseen[~foreseen["limited"]]
    moved = limited.assign(outcome=limited["moved"].map(OUTCOMES))
    outcomes = {outcome: outcome for outcome in (HELD, AGAINST, OPEN)}
    numbers = {"all": foreseen, "limited/all": limited, "unlimited/all": unlimited}
    found = {f"{key}/{name}/count": plain(len(chosen)) for name, chosen in numbers.items()}
    found |= _judged(f"{key}/limited", limited, outcomes) | _judged(f"{key}/unlimited", unlimited, outcomes)
    return found | _judged(f"{key}/limited", moved, {HELD: TOWARDS, AGAINST: AWAY})


def _judged(key: str, foreseen: pd.DataFrame, names: Mapping[str, str]) -> dict[str, str]:
    """Of each outcome, called as ``names`` has it, how many comparisons, and which predictions by most of theirs."""
    found, by_outcome = {}, verdicts(foreseen)
    for outcome, name in names.items():
        found[f"{key}/{name}/count"] = plain((foreseen["outcome"] == outcome).sum())
        found[f"{key}/{name}/list"] = listing([PREDICTIONS[one].text for one in by_outcome[outcome]], "none")
    return found


def _tensors(names: Iterable[str]) -> str:
    return listing([rf"\texttt{{{escape(name)}}}" for name in names], "no tensor")


def _signal(signal: pd.DataFrame) -> dict[str, str]:
    r"""``…/signal/{all, positive, negative, signed, explained, opposed, cancelled}/count``, of estimators and tensors.

    Estimators are moments of gradients; the same counts of those of the path are ``…/signal/path/…``.
    ``…/{first, last}/{tensor, observed, by_signal, by_weights}``, means over the estimators in the first and the last
    weight tensor; ``…/inputs/{low, high}``, the least and the largest correlation of input factors; ``…/turning/list``,
    the estimators that change sign; ``…/answer``, a sentence that says whether the shared input factor explains it.
    """
    both = signal_signs(signal)
    signs, of_path = (both[both["kind"] == kind] for kind in (MOMENT, PATH))
    if signs.empty:
        return {}
    key = "explanation/signal"
    found = _counts(key, signs)
    if len(of_path):
        found |= _counts(f"{key}/path", of_path)
    found |= {f"{key}/inputs/{end}": number(getattr(signs["input_factors"], how)(), 2) for end, how in ENDS.items()}
    of_tensor = signs.groupby("tensor", sort=False)[["observed", "by_signal"]].mean()
    of_tensor["by_weights"] = of_tensor["observed"] - of_tensor["by_signal"]
    for place, row in (("first", of_tensor.iloc[0]), ("last", of_tensor.iloc[-1])):
        found[f"{key}/{place}/tensor"] = rf"\texttt{{{escape(row.name)}}}"
        found |= {f"{key}/{place}/{name}": number(value, 2) for name, value in row.items()}
    turned = turning(signs)
    found[f"{key}/turning/list"] = _labels(turned)
    return found | {f"{key}/answer": _answer(signs, turned)}


ENDS = {"low": "min", "high": "max"}


def _counts(key: str, signs: pd.DataFrame) -> dict[str, str]:
    counts = {
        "all": len(signs),
        "signed": (signs["sign"] != 0).sum(),
        "positive": (signs["sign"] > 0).sum(),
        "negative": (signs["sign"] < 0).sum(),
    }
    counts |= {outcome: (signs["outcome"] == outcome).sum() for outcome in (EXPLAINED, OPPOSED, CANCELLED)}
    return {f"{key}/{name}/count": plain(count) for name, count in counts.items()}


def _labels(names: Iterable[str]) -> str:
    return listing([ESTIMATORS[name].label for name in names])


def _answer(signs: pd.DataFrame, turned: list[str]) -> str:
    """Whether a correlation changes its sign and the shared input factor explains it, in a sentence."""
    clear = signs[signs["sign"] != 0]
    if clear.empty:
        return "Whether a correlation changes its sign between the tensors is not decided: no interval excludes zero"
    if not turned:
        sides = [text for sign, text in ((1, "above"), (-1, "below")) if (clear["sign"] == sign).any()]
        where = f"lie {sides[0]} it" if len(sides) == 1 else "keep to one side of it, each estimator's to its own"
        undecided = len(signs) - len(clear)
        doubt = f"{plain(undecided)} of {plain(len(signs))} are undecided" if undecided else "none is undecided"
        return (
            "No estimator's correlation changes its sign between the tensors beyond doubt: those clear of zero "
            f"{where}, and {doubt}"
        )
    # a change of sign has two sides, and is explained if the shared factor makes both
    of_turned = clear[clear["estimator"].isin(turned)]
    made = (of_turned["outcome"] == EXPLAINED).groupby(of_turned["estimator"]).all()
    explained = [name for name in turned if made[name]]
    others = [name for name in turned if not made[name]]
    where = "; ".join(
        f"{text} zero in {_tensors(of_turned.loc[of_turned['sign'] == sign, 'tensor'].drop_duplicates())}"
        for sign, text in ((1, "above"), (-1, "below"))
    )
    if not others:
        return (
            f"The shared input factor explains the change of sign (of {_labels(explained)}; {where}): on either side "
            f"it makes more than half of each of these {plain(len(of_turned))} correlations"
        )
    extent = (
        f"explains the change of sign of {_labels(explained)}, but not that of {_labels(others)} ({where})"
        if explained
        else f"does not explain the change of sign (of {_labels(others)}; {where})"
    )
    half, opposed = ((of_turned["outcome"] == outcome).sum() for outcome in (EXPLAINED, OPPOSED))
    return (
        f"The shared input factor {extent}: of these {plain(len(of_turned))} correlations, positive and negative, it "
        f"makes more than half of {plain(half)}, and what it contributes to {plain(opposed)} has the other sign; half "
        r"or more of those that it does not explain is how $\lvert w\rvert$ differs between weights"
    )


def _factors(factors: pd.DataFrame) -> dict[str, str]:
    keys = ["tensor", *PAIR]
    terms = intervals(factors, [*keys, "quantity"], "value").set_index([*keys, "quantity"])["mean"].unstack("quantity")
    notable = terms[terms["observed"].abs() >= NOTABLE]
    share = notable[["by_input", "by_output", "by_product"]].sum(axis=1) / notable["observed"]
    alone = notable["by_input"] / notable["observed"]
    return {
        "explanation/factors/notable/count": plain(len(notable)),
        "explanation/factors/mostly/count": plain((share > 0.5).sum()),
        "explanation/factors/input/count": plain((alone > 0.5).sum()),
    }


def _noise(reliability: pd.DataFrame, noise: pd.DataFrame, weights: list[str]) -> dict[str, str]:
    def of_weights(table: pd.DataFrame) -> pd.DataFrame:
        return table[table["tensor"].isin(weights) & (table["coefficient"] == "pearson")]

    full = of_weights(reliability[reliability["quantity"] == "full"])
    own = intervals(full, ["estimator", "tensor"], "value").dropna(subset="mean")
    lowest = own.loc[own["mean"].idxmin()] if len(own) else None
    keys = ["tensor", *PAIR]
    of_pairs = intervals(of_weights(noise), [*keys, "quantity"], "value").set_index([*keys, "quantity"])["mean"]
    means = of_pairs.unstack("quantity").dropna(subset=["observed", "independent"])
    rise = means["independent"].abs() - means["observed"].abs()
    return {
        "explanation/reliability/lowest/mean": "--" if lowest is None else number(lowest["mean"], 2),
        "explanation/reliability/lowest/label": "--" if lowest is None else ESTIMATORS[lowest["estimator"]].label,
        "explanation/reliability/lowest/tensor": "--" if lowest is None else escape(lowest["tensor"]),
        "explanation/noise/raised/count": plain((rise > RISE).sum()),
        "explanation/noise/lowered/count": plain((rise < -RISE).sum()),
        "explanation/noise/pairs/count": plain(len(means)),
    }


def _trajectories(trajectories: pd.DataFrame, shared: pd.DataFrame, weights: list[str]) -> dict[str, str]:
    own, shared = (
        table[table["tensor"].isin(weights) & (table["coefficient"] == "pearson")] for table in (trajectories, shared)
    )
    of_path = shared[PAIR].isin([name for name, of in ESTIMATORS.items() if isinstance(of, PathEstimator)]).sum(axis=1)
    parts = {name: group for name, group in own.groupby("quantity")}
    parts |= {"shared": shared, "path": shared[of_path == 1], "other": shared[of_path == 0]}
    found = {}
    for name, group in parts.items():
        means = group.groupby("tasks_learnt")["value"].agg(lambda values: values.mean(skipna=False))
        found[f"explanation/trajectories/{name}/list"] = listing([number(value, 2) for value in means], "--")
        found[f"explanation/trajectories/{name}/mean"] = number(means.iloc[-1], 2) if len(means) else "--"
    return found
