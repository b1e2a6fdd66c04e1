"""Agreement of importances: dependence on confidence, theoretical predictions, sampling noise, and trajectories.

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
"""Distance from a predicted value below which a value is near it."""

RISE = 0.1
"""Rise in absolute correlation without sampling noise above which noise is said to lower the correlation."""

PREDICTED = (
    ("absolute_fisher", "mas", 1.0),
    ("fisher_empirical", "fisher_exact", 1.0),
    ("fisher_empirical", "mas", 0.5),
    ("fisher_exact", "mas", 0.5),
)
"""Pairs of estimators with a prediction for confident networks, and the predicted slope of log second on log first: 1
for equal powers of the gradient, ½ for a first power against a second power."""


def predicted_pairs(agreement: pd.DataFrame) -> Sequence[tuple[str, str, float | None]]:
    """Pairs of :data:`PREDICTED` in the order of a table; without any, the table's first pairs, without a slope.

    Args:
        agreement: table with ``estimator_a`` and ``estimator_b``.
    """
    pairs = list(agreement[PAIR].drop_duplicates().itertuples(index=False, name=None))
    both_ways = [*PREDICTED, *((second, first, 1 / slope) for first, second, slope in PREDICTED)]
    predicted = [pair for pair in both_ways if pair[:2] in pairs]
    return predicted or [(first, second, None) for first, second in pairs[: len(PREDICTED)]]


def along_confidence(agreement: pd.DataFrame, confidence: pd.DataFrame, tensors: Sequence[str]) -> pd.DataFrame:
    """Agreement under every condition, and the confidence of the networks.

    Args:
        agreement: the table ``explanation_agreement`` of one study.
        confidence: the table ``explanation_confidence`` of the same study.
        tensors: tensors to average over within each network.

    Returns:
        columns condition, level, coefficient, estimator_a, estimator_b, mean, low, high, n (intervals over seeds), and
        the mean ``max_probability`` and ``runner_up``.
    """
    keys = ["condition", "level"]
    chosen = agreement[agreement["tensor"].isin(list(tensors))]
    of_seed = chosen.groupby([*keys, "coefficient", *PAIR, "seed"], sort=False)["value"].mean().reset_index()
    probabilities = confidence.groupby([*keys, "quantity"])["value"].mean().unstack("quantity").reset_index()
    return intervals(of_seed, [*keys, "coefficient", *PAIR], "value").merge(probabilities, on=keys)


@dataclass(frozen=True)
class Prediction:
    """Theoretical prediction for a pair of estimators as the network's confidence grows.

    Attributes:
        pair: two estimators.
        coefficient: one of :data:`weight_importance.analysis.confidence.AGREEMENT`, with the first of the pair as a.
        limit: predicted limit of the coefficient; ``-inf`` or ``inf``: predicted to fall or rise.
        text: prediction in words.
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
    "parting": Prediction(
        ("fisher_empirical", "fisher_exact"), "pearson", -np.inf, "empirical and exact Fisher diverge"
    ),
    "excess": Prediction(("fisher_empirical", "fisher_exact"), "ratio", np.inf, "exact Fisher outgrows the empirical"),
    "root_empirical": Prediction(("fisher_empirical", "mas"), "log_slope", 0.5, "MAS is the root of empirical Fisher"),
    "root_exact": Prediction(("fisher_exact", "mas"), "log_slope", 0.5, "MAS is the root of exact Fisher"),
}
"""Consequences, by name, of MAS and absolute Fisher → 2|a|, empirical Fisher → a², exact Fisher → a²/ε."""

HELD, AGAINST, OPEN = "held", "against", "open"
TOWARDS, AWAY = "towards", "away"


def predictions(agreement: pd.DataFrame, confidence: pd.DataFrame, tensors: Sequence[str]) -> pd.DataFrame:
    """Test each of :data:`PREDICTIONS` in each tensor, for each condition that changes confidence.

    The levels of lowest and highest confidence (mean largest probability) are compared. ``moved`` classifies the change
    of the coefficient by its 95 % interval, paired by network: ``towards`` the prediction, ``away`` from it, or
    ``open`` if the interval contains zero.

    Without a limit, the outcome follows the movement: ``held``, ``against`` or ``open``. With a limit, it depends only
    on the coefficient at the highest confidence, which may have been near the limit all along: ``held`` if its 95 %
    interval is within :data:`NEAR` of the limit; ``against`` if the interval is outside (more confidence might still
    lead there); else ``open``.

    Comparisons share networks (across tensors, and often across conditions), so outcomes are not independent.

    Args:
        agreement: the table ``explanation_agreement`` of one study.
        confidence: the table ``explanation_confidence`` of the same study.
        tensors: tensors to test.

    Returns:
        columns prediction, condition, tensor, first and last (means at the lowest and the highest confidence), limited
        (the prediction has a limit), moved, outcome. Missing pairs and conditions with a single level are omitted.
    """
    confidences = confidence[confidence["quantity"] == "max_probability"]
    confidences = confidences.groupby(["condition", "level"])["value"].mean()
    rows = []
    for name, prediction in PREDICTIONS.items():
        values = _of_pair(agreement[agreement["coefficient"] == prediction.coefficient], prediction)
        limited = bool(np.isfinite(prediction.limit))
        for condition in values["condition"].unique():
            least, most = confidences[condition].idxmin(), confidences[condition].idxmax()
            if least == most:
                continue
            for tensor in tensors:
                group = values[(values["condition"] == condition) & (values["tensor"] == tensor)]
                ends = [
                    group[group["level"] == level].set_index("seed")["value"].sort_index() for level in (least, most)
                ]
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
"""Outcome of a prediction without a limit, by direction of change."""


def _nearness(reached: Interval, limit: float) -> str:
    """Classify an interval as within :data:`NEAR` of a limit, outside, or neither (also if undefined)."""
    low, high = limit - NEAR, limit + NEAR
    if low <= reached.low and reached.high <= high:
        return HELD
    return AGAINST if reached.low > high or reached.high < low else OPEN


def _of_pair(rows: pd.DataFrame, prediction: Prediction) -> pd.DataFrame:
    """Rows of a prediction's pair with its first estimator as a, even if the table has the reverse order.

    Ratios are inverted; a reversed slope is a different slope, so those rows are dropped.
    """
    a, b = prediction.pair
    same_order = rows[(rows["estimator_a"] == a) & (rows["estimator_b"] == b)]
    turned = rows[(rows["estimator_a"] == b) & (rows["estimator_b"] == a)]
    if same_order.empty and prediction.coefficient == "ratio":
        return turned.assign(value=1 / turned["value"])
    return turned if same_order.empty and prediction.coefficient == "pearson" else same_order


def _distance(values: pd.Series, prediction: Prediction) -> pd.Series:
    """Distance predicted to decrease; ratios on a logarithmic scale."""
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
        tensors: tensors to include.

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
    """Mean rank correlation of each pair across halves of the samples, and its upper bound from reliabilities.

    The bound is the geometric mean of both estimators' rank correlations with themselves across halves.

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
        tensors: tensors to average over.

    Returns:
        by quantity of ``trajectories``; and from ``shared``, for all pairs (``shared``), pairs with exactly one path
        estimator (``path``) and pairs without any (``other``).
    """
    own, shared = (
        table[table["tensor"].isin(tensors) & (table["coefficient"] == "pearson")] for table in (trajectories, shared)
    )
    path = [name for name in pd.unique(shared[PAIR].to_numpy().ravel()) if isinstance(ESTIMATORS[name], PathEstimator)]
    of_path = shared[PAIR].isin(path).sum(axis=1)
    parts = dict(iter(own.groupby("quantity")))
    parts |= {"shared": shared, "path": shared[of_path == 1], "other": shared[of_path == 0]}
    return {
        name: part.groupby("tasks_learnt")["value"].agg(lambda values: values.mean(skipna=False))
        for name, part in parts.items()
    }
