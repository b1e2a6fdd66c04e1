"""What the text quotes of the stage ``explanation``: counts and values by key, as :mod:`weight_importance.numbers` has.

Works on tidy tables in memory.
"""

import math
from collections.abc import Iterable, Mapping

import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.derivation import Constant, derived, rows
from weight_importance.explanation_findings import (
    AGAINST,
    CANCELLED,
    EXPLAINED,
    HELD,
    NEAR,
    OPEN,
    OPPOSED,
    PREDICTIONS,
    predictions,
    signal_signs,
    turning,
    verdicts,
)
from weight_importance.findings import PREDICTED, along_confidence, tensor_order
from weight_importance.latex import escape, listing, number, plain
from weight_importance.statistics import intervals

NOTABLE = 0.3
"""From this mean on, in absolute value, a correlation is large enough to ask where it comes from."""

RISE = 0.1
"""A correlation whose absolute value rises by more than this without sampling noise was held down by it."""

PAIR = ["estimator_a", "estimator_b"]


def explanation(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Everything the text says of why importances agree.

    - ``explanation/{a}/{b}/{pearson, log_slope, ratio}/{first, last}``: mean over weight tensors and networks after the
      fewest and the most epochs, for the pairs of :data:`weight_importance.findings.PREDICTED`;
      ``explanation/confidence/{first, last}``: the mean largest probability there;
    - ``explanation/factors/{notable, mostly, input}/count``: correlations (pair and weight tensor) of at least
      :data:`NOTABLE`; those of them that come to more than half from factors, and from the input's alone;
    - ``explanation/predictions/{held, against, open, all}/count`` of comparisons, ``…/{held, against, open}/list`` of
      predictions (:func:`weight_importance.explanation_findings.verdicts`), ``…/{limited, near}/count`` of comparisons
      with a limit, and of those near to it at the end;
    - ``explanation/signal/…`` of the total signal with gradient estimators, by weight tensor: see :func:`_signal`;
    - ``explanation/reliability/lowest/{mean, label, tensor}``: Pearson, over weight tensors;
    - ``explanation/noise/{raised, pairs}/count``: correlations (Pearson, weight tensors) that rise by more than
      :data:`RISE` without sampling noise, of all;
    - ``explanation/trajectories/{same, own, across}/mean``: Pearson, over pairs and weight tensors.

    Args:
        tables: of one study, by their names in :data:`weight_importance.tables.EXPLANATION`.
    """
    factors = tables["explanation_factors"]
    weights = [name for name in tensor_order(factors["tensor"].unique()) if name != "all"]
    along = tables["explanation_agreement"], tables["explanation_confidence"]
    agreement, confidence = (rows(f"explanation_{name}", condition="epochs") for name in ("agreement", "confidence"))
    ranked = {"coefficient": "pearson", "tensor": weights}
    reliability, noise, trajectories = (
        rows(f"explanation_{name}", **ranked) for name in ("reliability", "noise", "trajectories")
    )
    return (
        derived({"explanation/notable": number(NOTABLE, 1)}, Constant(__name__, "NOTABLE"))
        | derived({"explanation/rise": number(RISE, 1)}, Constant(__name__, "RISE"))
        | derived({"explanation/near": number(NEAR, 1)}, Constant("weight_importance.explanation_findings", "NEAR"))
        | derived(_confidence(*along, weights), agreement, confidence)
        | derived(_predictions(*along, weights), *map(rows, ("explanation_agreement", "explanation_confidence")))
        | derived(_factors(factors), rows("explanation_factors"))
        | derived(_signal(tables["explanation_signal"]), rows("explanation_signal"))
        | derived(_noise(tables["explanation_reliability"], tables["explanation_noise"], weights), reliability, noise)
        | derived(_trajectories(tables["explanation_trajectories"], weights), trajectories)
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
    outcomes = foreseen["outcome"]
    found = {f"{key}/{outcome}/count": plain((outcomes == outcome).sum()) for outcome in (HELD, AGAINST, OPEN)}
    found[f"{key}/all/count"] = plain(len(foreseen))
    for outcome, names in verdicts(foreseen).items():
        found[f"{key}/{outcome}/list"] = listing([PREDICTIONS[name].text for name in names], "none")
    limited = foreseen["prediction"].map(lambda name: math.isfinite(PREDICTIONS[name].limit))
    found |= {f"{key}/limited/count": plain(limited.sum()), f"{key}/near/count": plain(foreseen["near"].sum())}
    return found


def _tensors(names: Iterable[str]) -> str:
    return listing([rf"\texttt{{{escape(name)}}}" for name in names], "no tensor")


def _signal(signal: pd.DataFrame) -> dict[str, str]:
    r"""``…/signal/{all, positive, negative, signed, explained, opposed, cancelled}/count``, of estimators and tensors.

    ``…/{first, last}/{tensor, observed, by_signal, by_weights}``, means over the estimators in the first and the last
    weight tensor; ``…/inputs/{low, high}``, the least and the largest correlation of input factors; ``…/turning/list``,
    the estimators that change sign; ``…/answer``, a sentence that says whether the shared input factor explains it.
    """
    signs = signal_signs(signal)
    if signs.empty:
        return {}
    key = "explanation/signal"
    signed = signs["sign"] != 0
    counts = {
        "all": len(signs),
        "signed": signed.sum(),
        "positive": (signs["sign"] > 0).sum(),
        "negative": (signs["sign"] < 0).sum(),
        EXPLAINED: (signs["outcome"] == EXPLAINED).sum(),
        OPPOSED: (signs["outcome"] == OPPOSED).sum(),
        CANCELLED: (signs["outcome"] == CANCELLED).sum(),
    }
    found = {f"{key}/{name}/count": plain(count) for name, count in counts.items()}
    found |= {f"{key}/inputs/{end}": number(getattr(signs["input_factors"], how)(), 2) for end, how in ENDS.items()}
    of_tensor = signs.groupby("tensor", sort=False)[["observed", "by_signal"]].mean()
    of_tensor["by_weights"] = of_tensor["observed"] - of_tensor["by_signal"]
    for place, row in (("first", of_tensor.iloc[0]), ("last", of_tensor.iloc[-1])):
        found[f"{key}/{place}/tensor"] = rf"\texttt{{{escape(row.name)}}}"
        found |= {f"{key}/{place}/{name}": number(value, 2) for name, value in row.items()}
    turned = turning(signs)
    found[f"{key}/turning/list"] = listing([ESTIMATORS[name].label for name in turned])
    return found | {f"{key}/answer": _answer(signs, turned)}


ENDS = {"low": "min", "high": "max"}


def _answer(signs: pd.DataFrame, turned: list[str]) -> str:
    """Whether the shared input factor explains the change of sign, in a sentence."""
    if not turned:
        sides = [text for sign, text in ((1, "above"), (-1, "below")) if (signs["sign"] == sign).any()]
        clear = f"all that are clear of zero lie {sides[0]} it" if len(sides) == 1 else "each keeps to one side of zero"
        return f"No estimator's correlation changes its sign between the tensors: {clear}"
    names = listing([ESTIMATORS[name].label for name in turned])
    below = signs[(signs["sign"] < 0) & signs["estimator"].isin(turned)]
    where = _tensors(below["tensor"].drop_duplicates())
    explained, opposed = ((below["outcome"] == outcome).sum() for outcome in (EXPLAINED, OPPOSED))
    if explained == len(below):
        return f"The shared input factor explains the change of sign (of {names}): it alone is negative in {where}, too"
    extent = "explains only a part of" if explained else "does not explain"
    return (
        f"The shared input factor {extent} the change of sign (of {names}; negative in {where}; negative correlations: "
        f"{plain(len(below))}, mostly made by it: {plain(explained)}, positive if it were alone: {plain(opposed)}): it "
        rf"is how $\lvert w\rvert$ differs between weights that makes {'the others' if explained else 'them'} negative"
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
    return {
        "explanation/reliability/lowest/mean": "--" if lowest is None else number(lowest["mean"], 2),
        "explanation/reliability/lowest/label": "--" if lowest is None else ESTIMATORS[lowest["estimator"]].label,
        "explanation/reliability/lowest/tensor": "--" if lowest is None else escape(lowest["tensor"]),
        "explanation/noise/raised/count": plain((means["independent"].abs() - means["observed"].abs() > RISE).sum()),
        "explanation/noise/pairs/count": plain(len(means)),
    }


def _trajectories(trajectories: pd.DataFrame, weights: list[str]) -> dict[str, str]:
    rows = trajectories[trajectories["tensor"].isin(weights) & (trajectories["coefficient"] == "pearson")]
    means = rows.groupby("quantity")["value"].agg(lambda values: values.mean(skipna=False))
    return {f"explanation/trajectories/{name}/mean": number(value, 2) for name, value in means.items()}
