"""Judgements on the tables of the stage ``explanation``: which prediction held, and where a sign comes from.

Made in this one place, so that tables, figures and sentences cannot disagree. Knows nothing of files, colours or LaTeX.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.explanation import SIGNAL
from weight_importance.findings import tensor_order
from weight_importance.statistics import interval, intervals

NEAR = 0.1
"""Within this of a predicted value, a value is called near to it."""


@dataclass(frozen=True)
class Prediction:
    """What theory foresees of a pair of estimators as the network's confidence grows.

    Attributes:
        pair: of estimators.
        coefficient: of :data:`weight_importance.explanation.AGREEMENT`, the first of the pair being a.
        limit: where the coefficient should go; ``-inf`` or ``inf``: it should fall or rise.
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


def predictions(agreement: pd.DataFrame, confidence: pd.DataFrame, tensors: Sequence[str]) -> pd.DataFrame:
    """Each of :data:`PREDICTIONS` in each tensor, along each way in which confidence was changed.

    Compared are the levels of the least and of the most confidence, by the mean largest probability. Outcomes:
    ``held``, the coefficient moved as foreseen (towards its limit), and the 95 % interval of how far, paired by
    network, excludes zero; ``against``, the same in the other direction; ``open``, the interval does not tell.

    Args:
        agreement: the table ``explanation_agreement`` of one study.
        confidence: the table ``explanation_confidence`` of the same study.
        tensors: in which to look.

    Returns:
        columns prediction, condition, tensor, first and last (means at the least and the most confidence), outcome,
        near (last is within :data:`NEAR` of the limit). Predictions of pairs that are not there are left out, and so
        are conditions with a single level.
    """
    sure = confidence[confidence["quantity"] == "max_probability"]
    sure = sure.groupby(["condition", "level"])["value"].mean()
    rows = []
    for name, prediction in PREDICTIONS.items():
        values = _of_pair(agreement[agreement["coefficient"] == prediction.coefficient], prediction)
        for condition in values["condition"].unique():
            least, most = sure[condition].idxmin(), sure[condition].idxmax()
            if least == most:
                continue
            for tensor in tensors:
                here = values[(values["condition"] == condition) & (values["tensor"] == tensor)]
                ends = [here[here["level"] == level].set_index("seed")["value"].sort_index() for level in (least, most)]
                change = interval(_distance(ends[1], prediction) - _distance(ends[0], prediction))
                last = ends[1].mean(skipna=False)
                rows.append(
                    {
                        "prediction": name,
                        "condition": condition,
                        "tensor": tensor,
                        "first": ends[0].mean(skipna=False),
                        "last": last,
                        "outcome": HELD if change.high < 0 else AGAINST if change.low > 0 else OPEN,
                        "near": bool(abs(last - prediction.limit) <= NEAR),
                    }
                )
    return pd.DataFrame(rows, columns=["prediction", "condition", "tensor", "first", "last", "outcome", "near"])


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
    """Where the sign of the correlation of the total signal with gradient estimators comes from.

    Args:
        signal: the table ``explanation_signal`` of one study.

    Returns:
        a row for each weight tensor and estimator that is made of gradients: the means of all quantities, ``low`` and
        ``high`` of the interval of ``observed``, ``sign`` (1, -1, or 0 where that interval includes zero) and
        ``outcome`` of the shared input factor alone: ``explained``, it makes more than half of the correlation;
        ``opposed``, its interval lies on the other side of zero; ``less than half``, neither. Where there is no sign:
        ``cancelled``, what it contributes lies beyond the interval of the correlation; else ``no sign``.
    """
    keys = ["tensor", "estimator"]
    gradients = [name for name in signal["estimator"].unique() if ESTIMATORS[name].kind != "state"]
    chosen = signal[signal["estimator"].isin(gradients)]
    found = intervals(chosen, [*keys, "quantity"], "value").set_index([*keys, "quantity"])
    means, low, high = (found[end].unstack("quantity").reindex(columns=SIGNAL) for end in ("mean", "low", "high"))
    order = {name: place for place, name in enumerate(tensor_order(means.index.get_level_values("tensor")))}
    means = means.sort_index(key=lambda level: level.map(order) if level.name == "tensor" else level)
    rows = means.assign(low=low["observed"], high=high["observed"])
    rows["sign"] = (rows["low"] > 0).astype(int) - (rows["high"] < 0).astype(int)
    away = (rows["sign"] > 0) & (high["by_signal"] < 0) | (rows["sign"] < 0) & (low["by_signal"] > 0)
    most = rows["by_signal"] * rows["sign"] > 0.5 * rows["observed"].abs()
    none, within = rows["sign"] == 0, rows["by_signal"].between(rows["low"], rows["high"])
    known = rows["low"].notna()
    cases = {CANCELLED: none & known & ~within, UNSIGNED: none, EXPLAINED: most, OPPOSED: away}
    rows["outcome"] = np.select([*cases.values()], [*cases], LESS)
    return rows.reset_index()


def turning(signs: pd.DataFrame) -> list[str]:
    """The estimators whose correlation with the total signal is above zero in one tensor and below it in another."""
    ends = signs.groupby("estimator", sort=False)["sign"].agg(["min", "max"])
    return [name for name, row in ends.iterrows() if row["min"] < 0 < row["max"]]
