"""Agreement of importances along confidence, predictions of theory, sampling noise, and trajectories.

Works on tidy tables in memory; knows nothing of files, drawing or LaTeX.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.findings.correlation import PAIR
from weight_importance.findings.statistics import Interval, interval, intervals, paired

NEAR = 0.1
"""A value is near a predicted one if it differs by less than this."""

RISE = 0.1
"""Sampling noise lowers a correlation whose absolute value rises by more than this without it."""

PREDICTED = (
    ("absolute_fisher", "mas", 1.0),
    ("fisher_empirical", "fisher_exact", 1.0),
    ("fisher_empirical", "mas", 0.5),
    ("fisher_exact", "mas", 0.5),
)
"""Pairs of estimators with a prediction for confident networks, and the predicted slope of log second on log first: 1
for equal powers of the gradient, a half for a first power against a second one."""


def predicted_pairs(agreement: pd.DataFrame) -> Sequence[tuple[str, str, float | None]]:
    """The pairs of :data:`PREDICTED` as a table holds them; if there are none, its first pairs, without a slope.

    Args:
        agreement: with ``estimator_a`` and ``estimator_b``.
    """
    there = list(agreement[PAIR].drop_duplicates().itertuples(index=False, name=None))
    both_ways = [*PREDICTED, *((second, first, 1 / slope) for first, second, slope in PREDICTED)]
    found = [pair for pair in both_ways if pair[:2] in there]
    return found or [(first, second, None) for first, second in there[: len(PREDICTED)]]


def along_confidence(agreement: pd.DataFrame, confidence: pd.DataFrame, tensors: Sequence[str]) -> pd.DataFrame:
    """Agreement under every condition, and the confidence of the networks.

    Args:
        agreement: the table ``explanation_agreement`` of one study.
        confidence: the table ``explanation_confidence`` of the same study.
        tensors: over these, agreement is averaged within every network.

    Returns:
        columns condition, level, coefficient, estimator_a, estimator_b, mean, low, high, n (intervals over seeds), and
        the mean ``max_probability`` and ``runner_up``.
    """
    keys = ["condition", "level"]
    chosen = agreement[agreement["tensor"].isin(list(tensors))]
    of_seed = chosen.groupby([*keys, "coefficient", *PAIR, "seed"], sort=False)["value"].mean().reset_index()
    sure = confidence.groupby([*keys, "quantity"])["value"].mean().unstack("quantity").reset_index()
    return intervals(of_seed, [*keys, "coefficient", *PAIR], "value").merge(sure, on=keys)


@dataclass(frozen=True)
class Prediction:
    """Predictions of theory for a pair of estimators as the network's confidence grows.

    Attributes:
        pair: of estimators.
        coefficient: of :data:`weight_importance.analysis.confidence.AGREEMENT`, the first of the pair being a.
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
"""Consequences, by name, of MAS and absolute Fisher → 2|a|, empirical Fisher → a², exact Fisher → a²/ε."""

HELD, AGAINST, OPEN = "held", "against", "open"
TOWARDS, AWAY = "towards", "away"


def predictions(agreement: pd.DataFrame, confidence: pd.DataFrame, tensors: Sequence[str]) -> pd.DataFrame:
    """Each of :data:`PREDICTIONS` in each tensor, along each way in which confidence was changed.

    Compared are the levels of the least and of the most confidence, by the mean largest probability. How the
    coefficient ``moved`` between them is judged by the 95 % interval of the change, paired by network: ``towards`` the
    prediction, ``away`` from it, or ``open`` if the interval contains both.

    The outcome of a prediction without a limit is that movement: ``held``, ``against`` or ``open``. One with a limit is
    judged by where the coefficient is at the most confidence, however it got there, as it may have been near all along:
    ``held``, its 95 % interval is within :data:`NEAR` of the limit; ``against``, it is outside, and more confidence
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
"""Verdict on a prediction without a limit, by the direction of change."""


def _nearness(reached: Interval, limit: float) -> str:
    """Whether an interval is within :data:`NEAR` of a limit, outside, or neither (also if it does not exist)."""
    low, high = limit - NEAR, limit + NEAR
    if low <= reached.low and reached.high <= high:
        return HELD
    return AGAINST if reached.low > high or reached.high < low else OPEN


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
    """The distance that should decrease; of ratios, on a logarithmic scale."""
    limit = prediction.limit
    if prediction.coefficient == "ratio":
        values, limit = np.log(values), np.log(limit) if np.isfinite(limit) else limit
    return (values - limit).abs() if np.isfinite(limit) else -np.sign(limit) * values


def reliabilities(reliability: pd.DataFrame, quantity: str = "full") -> pd.DataFrame:
    """Pearson reliability on all samples, by tensor and estimator: columns mean, low, high, n.

    Args:
        reliability: the table ``explanation_reliability`` of one study.
        quantity: ``full``, of the importance; ``residual_full``, of its residual beyond two factors.
    """
    full = reliability[(reliability["coefficient"] == "pearson") & (reliability["quantity"] == quantity)]
    return intervals(full, ["tensor", "estimator"], "value").set_index(["tensor", "estimator"])


def without_noise(noise: pd.DataFrame, tensors: Sequence[str]) -> pd.DataFrame:
    """Mean Pearson correlations with and without sampling noise, where both exist.

    Args:
        noise: the table ``explanation_noise`` of one study.
        tensors: in which to look.

    Returns:
        index tensor, estimator_a, estimator_b; columns ``observed``, ``independent``, and ``rise`` of the absolute
        value.
    """
    chosen = noise[noise["tensor"].isin(tensors) & (noise["coefficient"] == "pearson")]
    keys = ["tensor", *PAIR, "quantity"]
    means = intervals(chosen, keys, "value").set_index(keys)["mean"].unstack("quantity")
    means = means.dropna(subset=["observed", "independent"])
    return means.assign(rise=means["independent"].abs() - means["observed"].abs())


def rank_ceiling(noise: pd.DataFrame, reliability: pd.DataFrame) -> pd.DataFrame:
    """Mean rank correlation of each pair across halves of the samples, and the bound that reliabilities set.

    The bound is the root of the product of both estimators' rank correlations with themselves across halves.

    Args:
        noise: the table ``explanation_noise`` of one study.
        reliability: the table ``explanation_reliability`` of one study.

    Returns:
        index tensor, estimator_a, estimator_b; columns ``value`` and ``ceiling``.
    """
    ranks = noise[(noise["coefficient"] == "spearman") & (noise["quantity"] == "across")]
    half = reliability[(reliability["coefficient"] == "spearman") & (reliability["quantity"] == "half")]
    half = half.set_index(["tensor", "estimator", "seed"])["value"]
    products = [
        half[row.tensor, row.estimator_a, row.seed] * half[row.tensor, row.estimator_b, row.seed]
        for row in ranks.itertuples()
    ]
    ranks = ranks.assign(ceiling=np.sqrt(np.maximum(products, 0)))
    return ranks.groupby(["tensor", *PAIR])[["value", "ceiling"]].mean()


def trajectory_means(trajectories: pd.DataFrame, shared: pd.DataFrame, tensors: Sequence[str]) -> dict[str, pd.Series]:
    """Mean Pearson correlations of accumulated importances over pairs and weight tensors, by number of tasks learnt.

    Args:
        trajectories: the table ``explanation_trajectories`` of one study.
        shared: the table ``explanation_shared`` of one study.
        tensors: over which to average.

    Returns:
        by quantity of ``trajectories``, and for all pairs of ``shared``, those of a path estimator with another one
        (``path``) and those without any (``other``).
    """
    own, shared = (
        table[table["tensor"].isin(tensors) & (table["coefficient"] == "pearson")] for table in (trajectories, shared)
    )
    path = [name for name, estimator in ESTIMATORS.items() if isinstance(estimator, PathEstimator)]
    of_path = shared[PAIR].isin(path).sum(axis=1)
    parts = dict(iter(own.groupby("quantity")))
    parts |= {"shared": shared, "path": shared[of_path == 1], "other": shared[of_path == 0]}
    return {
        name: part.groupby("tasks_learnt")["value"].agg(lambda values: values.mean(skipna=False))
        for name, part in parts.items()
    }
