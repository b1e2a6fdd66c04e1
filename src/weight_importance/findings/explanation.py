"""Judgements on the tables of the stage ``explanation``: which prediction held, and where a sign comes from.

Made in this one place, so that tables, figures and sentences cannot disagree. Knows nothing of files, colours or LaTeX.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.analysis.explanation import SIGNAL
from weight_importance.estimators.kinds import MomentEstimator, PathEstimator, unchanged
from weight_importance.findings.common import tensor_order
from weight_importance.findings.statistics import Interval, interval, intervals, paired

NEAR = 0.1
"""Within this of a predicted value, a value is called near to it."""

CONTRIBUTES = 0.1
"""From this mean on, in absolute value, what a shared factor contributes to a correlation is no trifle."""


@dataclass(frozen=True)
class Prediction:
    """What theory foresees of a pair of estimators as the network's confidence grows.

    Attributes:
        pair: of estimators.
        coefficient: of :data:`weight_importance.analysis.explanation.AGREEMENT`, the first of the pair being a.
        limit: what the coefficient should be near to; ``-inf`` or ``inf``: it should fall or rise.
        text: what it means, in words.
    """

    pair: tuple[str, str]
    coefficient: str
    limit: float
    text: str


PREDICTIONS = {
    "proportional": Prediction(
        ("absolute_fisher", "mas"), "pearson", 1.0, "MAS becomes proportional to absolute Fisher"
    ),
    "equal": Prediction(("absolute_fisher", "mas"), "ratio", 1.0, "MAS becomes as large as absolute Fisher"),
    "parting": Prediction(("fisher_empirical", "fisher_exact"), "pearson", -np.inf, "empirical and exact Fisher part"),
    "excess": Prediction(("fisher_empirical", "fisher_exact"), "ratio", np.inf, "exact Fisher outgrows the empirical"),
    "root_empirical": Prediction(("fisher_empirical", "mas"), "log_slope", 0.5, "MAS is the root of empirical Fisher"),
    "root_exact": Prediction(("fisher_exact", "mas"), "log_slope", 0.5, "MAS is the root of exact Fisher"),
}
"""What follows, by name, from MAS and absolute Fisher → 2|a|, empirical Fisher → a², exact Fisher → a²/ε."""

HELD, AGAINST, OPEN = "held", "against", "open"
TOWARDS, AWAY = "towards", "away"


def predictions(agreement: pd.DataFrame, confidence: pd.DataFrame, tensors: Sequence[str]) -> pd.DataFrame:
    """Each of :data:`PREDICTIONS` in each tensor, along each way in which confidence was changed.

    Compared are the levels of the least and of the most confidence, by the mean largest probability. How the
    coefficient ``moved`` between them is judged by the 95 % interval of the change, paired by network: ``towards`` what
    was foreseen, ``away`` from it, or ``open``, the interval does not tell.

    The outcome of a prediction without a limit is that movement: ``held``, ``against`` or ``open``. One with a limit is
    judged by where the coefficient is at the most confidence, however it got there, as it may have been near all along:
    ``held``, its 95 % interval lies within :data:`NEAR` of the limit; ``against``, it lies outside, and more confidence
    might still lead there; ``open``, neither.

    Comparisons share networks (tensors do, and ways often have their most confident networks in common): their outcomes
    are not independent.

    Args:
        agreement: the table ``explanation_agreement`` of one study.
        confidence: the table ``explanation_confidence`` of the same study.
        tensors: in which to look.

    Returns:
        columns prediction, condition, tensor, first and last (means at the least and the most confidence), limited (the
        prediction has a limit), moved, outcome. Predictions of pairs that are not there are left out, and so are
        conditions with a single level.
    """
    sure = confidence[confidence["quantity"] == "max_probability"]
    sure = sure.groupby(["condition", "level"])["value"].mean()
    rows = []
    for name, prediction in PREDICTIONS.items():
        values = _of_pair(agreement[agreement["coefficient"] == prediction.coefficient], prediction)
        limited = bool(np.isfinite(prediction.limit))
        for condition in values["condition"].unique():
            least, most = sure[condition].idxmin(), sure[condition].idxmax()
            if least == most:
                continue
            for tensor in tensors:
                here = values[(values["condition"] == condition) & (values["tensor"] == tensor)]
                ends = [here[here["level"] == level].set_index("seed")["value"].sort_index() for level in (least, most)]
                first, last = map(interval, ends)
                change = paired(*(_distance(end, prediction) for end in reversed(ends)))
                moved = TOWARDS if change.high < 0 else AWAY if change.low > 0 else OPEN
                rows.append(
                    {
                        "prediction": name,
                        "condition": condition,
                        "tensor": tensor,
                        "first": first.mean,
                        "last": last.mean,
                        "limited": limited,
                        "moved": moved,
                        "outcome": _nearness(last, prediction.limit) if limited else OUTCOMES[moved],
                    }
                )
    columns = ["prediction", "condition", "tensor", "first", "last", "limited", "moved", "outcome"]
    return pd.DataFrame(rows, columns=columns).astype({"limited": bool})


OUTCOMES = {TOWARDS: HELD, AWAY: AGAINST, OPEN: OPEN}
"""What a movement says of a prediction without a limit."""


def _nearness(reached: Interval, limit: float) -> str:
    """Whether an interval lies within :data:`NEAR` of a limit, outside, or neither (also if it does not exist)."""
    low, high = limit - NEAR, limit + NEAR
    if low <= reached.low and reached.high <= high:
        return HELD
    return AGAINST if reached.low > high or reached.high < low else OPEN


def verdicts(foreseen: pd.DataFrame) -> dict[str, list[str]]:
    """The predictions by outcome: ``held`` in most comparisons, nowhere against; ``against`` in most; else ``open``.

    Args:
        foreseen: see :func:`predictions`.
    """
    found: dict[str, list[str]] = {HELD: [], AGAINST: [], OPEN: []}
    for name, outcomes in foreseen.groupby("prediction", sort=False)["outcome"]:
        held, against = ((outcomes == outcome).mean() for outcome in (HELD, AGAINST))
        found[HELD if held > 0.5 and not against else AGAINST if against > 0.5 else OPEN].append(name)
    return found


def _of_pair(rows: pd.DataFrame, prediction: Prediction) -> pd.DataFrame:
    """The rows of a prediction's pair, its first estimator being a, as a table may have them the other way round.

    The ratio is turned over; a slope the other way round is another one, so those rows are none.
    """
    a, b = prediction.pair
    there = rows[(rows["estimator_a"] == a) & (rows["estimator_b"] == b)]
    turned = rows[(rows["estimator_a"] == b) & (rows["estimator_b"] == a)]
    if there.empty and prediction.coefficient == "ratio":
        return turned.assign(value=1 / turned["value"])
    return turned if there.empty and prediction.coefficient == "pearson" else there


def _distance(values: pd.Series, prediction: Prediction) -> pd.Series:
    """What should become smaller: of ratios, on a logarithmic scale."""
    limit = prediction.limit
    if prediction.coefficient == "ratio":
        values, limit = np.log(values), np.log(limit) if np.isfinite(limit) else limit
    return (values - limit).abs() if np.isfinite(limit) else -np.sign(limit) * values


EXPLAINED, LESS, OPPOSED = "explained", "less than half", "opposed"
CANCELLED, UNSIGNED = "cancelled", "no sign"


def signal_signs(signal: pd.DataFrame) -> pd.DataFrame:
    """Where the sign of the correlation of the total signal |w| E|x| with estimators made of gradients comes from.

    Of two kinds, by ``kind``: ``moment``, means over samples of powers of a gradient, in whose formula the input is a
    factor and the weight none; and ``path``, which hold the displacement, too, that made the weight. All others are
    left out, for they may have the weight as a factor (functions of a mean and the weight, such as |w| times the
    gradient or ½hw²; readings of the weights).

    Args:
        signal: the table ``explanation_signal`` of one study.

    Returns:
        a row for each weight tensor and such estimator, those of the path last in every tensor: kind, the means of all
        quantities, ``low`` and ``high`` of the interval of ``observed``, ``sign`` (1, -1, or 0 where that interval
        includes zero) and ``outcome`` of the shared input factor: ``explained``, what it contributes is more than half
        of the correlation; ``opposed``, the interval of that lies on the other side of zero; ``less than half``,
        neither. Where there is no sign: ``cancelled``, it contributes at least :data:`CONTRIBUTES` in absolute value
        and the magnitudes' deviations pull against that, both beyond doubt (intervals of what it contributes, and of
        how much more that is than the correlation, paired by network); else ``no sign``.
    """
    keys = ["tensor", "estimator"]
    kinds = {name: kind for name in signal["estimator"].unique() if (kind := _shares_the_input(name))}
    chosen = signal[signal["estimator"].isin(list(kinds))]
    wide = chosen.pivot(index=[*keys, "seed"], columns="quantity", values="value").reindex(columns=SIGNAL)
    surplus = (wide["by_signal"] - wide["observed"]).rename("value").reset_index().assign(quantity="surplus")
    found = intervals(pd.concat([chosen, surplus]), [*keys, "quantity"], "value").set_index([*keys, "quantity"])
    means, low, high = (
        found[end].unstack("quantity").reindex(columns=[*SIGNAL, "surplus"]) for end in ("mean", "low", "high")
    )
    rows = means[[*SIGNAL]].assign(low=low["observed"], high=high["observed"])
    rows["sign"] = (rows["low"] > 0).astype(int) - (rows["high"] < 0).astype(int)
    away = (rows["sign"] > 0) & (high["by_signal"] < 0) | (rows["sign"] < 0) & (low["by_signal"] > 0)
    most = rows["by_signal"] * rows["sign"] > 0.5 * rows["observed"].abs()
    none = rows["sign"] == 0
    taken = (low["by_signal"] > 0) & (low["surplus"] > 0) | (high["by_signal"] < 0) & (high["surplus"] < 0)
    cancelled = none & taken & (rows["by_signal"].abs() >= CONTRIBUTES)
    cases = {CANCELLED: cancelled, UNSIGNED: none, EXPLAINED: most, OPPOSED: away}
    rows["outcome"] = np.select([*cases.values()], [*cases], LESS)
    rows = rows.reset_index()
    rows.insert(2, "kind", rows["estimator"].map(kinds))
    places = {name: place for place, name in enumerate(tensor_order(rows["tensor"]))}
    order = {"tensor": places.get, "kind": KINDS.index, "estimator": str}
    return rows.sort_values([*order], key=lambda column: column.map(order[column.name]), ignore_index=True)


MOMENT, PATH = KINDS = (MomentEstimator.kind, PathEstimator.kind)


def _shares_the_input(name: str) -> str | None:
    """The kind of an estimator that :func:`signal_signs` is about."""
    estimator = ESTIMATORS[name]
    if isinstance(estimator, PathEstimator):
        return PATH
    return MOMENT if isinstance(estimator, MomentEstimator) and estimator.finish is unchanged else None


def turning(signs: pd.DataFrame) -> list[str]:
    """The estimators whose correlation with the total signal is above zero in one tensor and below it in another."""
    ends = signs.groupby("estimator", sort=False)["sign"].agg(["min", "max"])
    return [name for name, row in ends.iterrows() if row["min"] < 0 < row["max"]]
