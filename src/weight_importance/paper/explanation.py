"""Macros of the stage ``explanation``: counts and values."""

import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.files.derivation import Constant, derived, rows
from weight_importance.findings import explanation as stage
from weight_importance.findings import explanation_factors as factors
from weight_importance.findings.explanation import AGAINST, AWAY, HELD, OPEN, PREDICTED, TOWARDS
from weight_importance.findings.explanation_factors import CANCELLED, EXPLAINED, MOMENT, OPPOSED, PATH
from weight_importance.findings.study import Findings
from weight_importance.paper.latex import escape, listing, number, plain
from weight_importance.paper.macros import Results, label, labels

CONSTANTS = {"notable": factors, "rise": stage, "near": stage, "contributes": factors}
"""Thresholds that the text quotes, by module."""

ENDS = {"low": "min", "high": "max"}


def explanation(findings: Findings) -> Results:
    """Macros on why importances agree.

    - ``explanation/{a}/{b}/{pearson, log_slope, ratio}/{first, last}``: mean over weight tensors and networks at the
      fewest and the most epochs, for the pairs of :data:`weight_importance.findings.explanation.PREDICTED`;
      ``explanation/confidence/{first, last}``: the mean largest probability there;
    - ``explanation/factors/{notable, mostly, input}/count``, see
      :func:`weight_importance.findings.explanation_factors.notable_by_factors`;
    - ``explanation/predictions/{all, limited/all, unlimited/all}/count`` of comparisons;
      ``…/{limited, unlimited}/{held, against, open}/count`` and ``…/limited/{towards, away}/count``;
    - ``explanation/signal/…`` of the total signal with gradient estimators, by weight tensor: see :func:`_signal`;
    - ``explanation/reliability/lowest/{mean, label, tensor}``: lowest Pearson reliability over weight tensors;
      ``explanation/reliability/{estimator}/{importance, residual}/{low, high}``: lowest and highest mean over weight
      tensors, of the importance and of its residual beyond two factors;
    - ``explanation/noise/{raised, lowered, pairs}/count``: correlations (Pearson, weight tensors) that rise or fall in
      absolute value by more than :data:`weight_importance.findings.explanation.RISE` without sampling noise, and all;
    - ``explanation/trajectories/{same, own, across, shared, path, other}/{mean, list}``: after the last task and after
      each task, see :func:`weight_importance.findings.explanation.trajectory_means`.
    """
    tables, weights = findings.tables, findings.weights
    agreement, confidence = (rows(f"explanation_{name}", condition="epochs") for name in ("agreement", "confidence"))
    ranked = {"coefficient": "pearson", "tensor": weights}
    reliability, noise, *after_tasks = (
        rows(f"explanation_{name}", **ranked) for name in ("reliability", "noise", "trajectories", "shared")
    )
    results: Results = {}
    for name, module in CONSTANTS.items():
        value = number(getattr(module, name.upper()), 1)
        results |= derived({f"explanation/{name}": value}, Constant(module.__name__, name.upper()))
    counts = factors.notable_by_factors(factors.factor_terms(tables["explanation_factors"]))
    shares = {f"explanation/factors/{name}/count": plain(count) for name, count in counts.items()}
    return (
        results
        | derived(_confidence(findings.confidence), agreement, confidence)
        | derived(_predictions(findings.predictions), *map(rows, ("explanation_agreement", "explanation_confidence")))
        | derived(shares, rows("explanation_factors"))
        | derived(_signal(findings.signal), rows("explanation_signal"))
        | derived(_noise(tables["explanation_reliability"], tables["explanation_noise"], weights), reliability, noise)
        | derived(
            _trajectories(tables["explanation_trajectories"], tables["explanation_shared"], weights), *after_tasks
        )
    )


def _confidence(along: pd.DataFrame) -> Results:
    epochs = along[along["condition"] == "epochs"]
    results = {}
    for end, level in (("first", epochs["level"].min()), ("last", epochs["level"].max())):
        chosen = epochs[epochs["level"] == level]
        results[f"explanation/confidence/{end}"] = number(chosen["max_probability"].iloc[0], 3)
        results[f"explanation/epochs/{end}"] = plain(level)
        means = chosen.set_index(["estimator_a", "estimator_b", "coefficient"])["mean"]
        for a, b, _ in PREDICTED:
            for pair in ((a, b), (b, a)):
                for coefficient in ("pearson", "log_slope", "ratio"):
                    if (*pair, coefficient) in means:
                        key = f"explanation/{'/'.join(pair)}/{coefficient}/{end}"
                        results[key] = number(means[(*pair, coefficient)], 2)
    return results


def _predictions(comparisons: pd.DataFrame) -> Results:
    limited, unlimited = comparisons[comparisons["limited"]], comparisons[~comparisons["limited"]]
    counts = {"all": len(comparisons), "limited/all": len(limited), "unlimited/all": len(unlimited)}
    for name, chosen in (("limited", limited), ("unlimited", unlimited)):
        counts |= {f"{name}/{outcome}": (chosen["outcome"] == outcome).sum() for outcome in (HELD, AGAINST, OPEN)}
    counts |= {f"limited/{move}": (limited["moved"] == move).sum() for move in (TOWARDS, AWAY)}
    return {f"explanation/predictions/{name}/count": plain(count) for name, count in counts.items()}


def _signal(both: pd.DataFrame) -> Results:
    r"""``…/signal/{all, positive, negative, signed, explained, opposed, cancelled}/count``, of estimators and tensors.

    Counts cover moments of gradients; ``…/signal/path/…`` has the same counts for path estimators.
    ``…/{first, last}/{tensor, observed, by_signal, by_weights}``: means over the estimators in the first and the last
    weight tensor; ``…/inputs/{low, high}``: lowest and highest correlation of input factors;
    ``…/turning/{list, count}``: estimators whose correlation changes sign;
    ``…/turning/{correlations, explained, opposed}/count``: their correlations with a sign, and the outcomes.
    """
    signs, of_path = (both[both["kind"] == kind] for kind in (MOMENT, PATH))
    if signs.empty:
        return {}
    key = "explanation/signal"
    results = _counts(key, signs)
    if len(of_path):
        results |= _counts(f"{key}/path", of_path)
    results |= {
        f"{key}/inputs/{end}": number(getattr(signs["input_factors"], function)(), 2) for end, function in ENDS.items()
    }
    of_tensor = signs.groupby("tensor", sort=False)[["observed", "by_signal"]].mean()
    of_tensor["by_weights"] = of_tensor["observed"] - of_tensor["by_signal"]
    for place, row in (("first", of_tensor.iloc[0]), ("last", of_tensor.iloc[-1])):
        results[f"{key}/{place}/tensor"] = rf"\texttt{{{escape(row.name)}}}"
        results |= {f"{key}/{place}/{name}": number(value, 2) for name, value in row.items()}
    turned = factors.turning(signs)
    clear = signs[signs["estimator"].isin(turned) & (signs["sign"] != 0)]
    counts = {"correlations": len(clear)} | {name: (clear["outcome"] == name).sum() for name in (EXPLAINED, OPPOSED)}
    results |= {f"{key}/turning/{name}/count": plain(count) for name, count in counts.items()}
    return results | labels(f"{key}/turning", turned)


def _counts(key: str, signs: pd.DataFrame) -> Results:
    counts = {
        "all": len(signs),
        "signed": (signs["sign"] != 0).sum(),
        "positive": (signs["sign"] > 0).sum(),
        "negative": (signs["sign"] < 0).sum(),
    }
    counts |= {outcome: (signs["outcome"] == outcome).sum() for outcome in (EXPLAINED, OPPOSED, CANCELLED)}
    return {f"{key}/{name}/count": plain(count) for name, count in counts.items()}


def _noise(reliability: pd.DataFrame, noise: pd.DataFrame, weights: list[str]) -> Results:
    own = stage.reliabilities(reliability[reliability["tensor"].isin(weights)])["mean"].dropna()
    tensor, name = own.idxmin() if len(own) else ("", "")
    rise = stage.without_noise(noise, weights)["rise"]
    of_estimators: Results = {}
    for part, quantity in (("importance", "full"), ("residual", "residual_full")):
        means = stage.reliabilities(reliability[reliability["tensor"].isin(weights)], quantity)["mean"]
        for estimator, values in means.dropna().groupby("estimator"):
            key = f"explanation/reliability/{estimator}/{part}"
            of_estimators |= {f"{key}/{end}": number(getattr(values, function)(), 2) for end, function in ENDS.items()}
    return of_estimators | {
        "explanation/reliability/lowest/mean": number(own.min(), 2) if len(own) else "--",
        "explanation/reliability/lowest/label": label(name) if name in ESTIMATORS else "--",
        "explanation/reliability/lowest/tensor": escape(tensor) if tensor else "--",
        "explanation/noise/raised/count": plain((rise > stage.RISE).sum()),
        "explanation/noise/lowered/count": plain((rise < -stage.RISE).sum()),
        "explanation/noise/pairs/count": plain(len(rise)),
    }


def _trajectories(trajectories: pd.DataFrame, shared: pd.DataFrame, weights: list[str]) -> Results:
    results = {}
    for name, means in stage.trajectory_means(trajectories, shared, weights).items():
        key = f"explanation/trajectories/{name}"
        results[f"{key}/list"] = listing([number(value, 2) for value in means], "--")
        results[f"{key}/mean"] = number(means.iloc[-1], 2) if len(means) else "--"
    return results
