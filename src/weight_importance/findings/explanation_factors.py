"""Contribution of shared factors to correlations: of pairs, and of the total signal with gradient estimators.

Works on tidy tables in memory; knows nothing of files, colours or LaTeX.
"""

import numpy as np
import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.analysis.signal import SIGNAL
from weight_importance.estimators.kinds import MomentEstimator, PathEstimator, unchanged
from weight_importance.findings.correlation import PAIR
from weight_importance.findings.statistics import intervals
from weight_importance.findings.tensors import tensor_order

NOTABLE = 0.3
"""Lowest absolute mean of a notable correlation."""

CONTRIBUTES = 0.1
"""Lowest absolute mean of a noticeable contribution of a shared factor to a correlation."""


def factor_terms(factors: pd.DataFrame) -> pd.DataFrame:
    """Mean terms of each pair's correlation in each weight tensor.

    Args:
        factors: the table ``explanation_factors`` of one study.

    Returns:
        index tensor, estimator_a, estimator_b; one column per quantity of the table, and ``by_factors``, the sum of the
        terms of the input factor, the output factor and their product.
    """
    keys = ["tensor", *PAIR]
    terms = intervals(factors, [*keys, "quantity"], "value").set_index([*keys, "quantity"])["mean"].unstack("quantity")
    return terms.assign(by_factors=terms[["by_input", "by_output", "by_product"]].sum(axis=1))


def notable_by_factors(terms: pd.DataFrame) -> dict[str, int]:
    """Count ``notable`` correlations, and those ``mostly`` due to factors or mostly due to the ``input`` factor.

    Args:
        terms: result of :func:`factor_terms`.
    """
    notable = terms[terms["observed"].abs() >= NOTABLE]
    shares = {"mostly": notable["by_factors"], "input": notable["by_input"]}
    return {"notable": len(notable)} | {
        name: int((part / notable["observed"] > 0.5).sum()) for name, part in shares.items()
    }


EXPLAINED, LESS, OPPOSED = "explained", "less than half", "opposed"
CANCELLED, UNSIGNED = "cancelled", "no sign"


def signal_signs(signal: pd.DataFrame) -> pd.DataFrame:
    """Sources of the sign of correlations between the total signal |w| E|x| and gradient-based estimators.

    ``kind`` is ``moment`` (means over samples of powers of a gradient; the formula contains the input as a factor but
    not the weight) or ``path`` (also contains the displacement that produced the weight). All other estimators are
    omitted because the weight may be a factor (functions of a mean and the weight, such as |w| times the gradient or
    ½hw²; functions of the weights alone).

    Args:
        signal: the table ``explanation_signal`` of one study.

    Returns:
        one row per weight tensor and estimator, path estimators last in each tensor: kind, the means of all quantities,
        ``low`` and ``high`` of ``observed``, ``sign`` (1, -1, or 0 if that interval includes zero) and ``outcome`` of
        the shared input factor. With a sign: ``explained``, its contribution is more than half of the correlation;
        ``opposed``, the interval of its contribution is on the other side of zero; ``less than half``, neither. Without
        a sign: ``cancelled``, its contribution is at least :data:`CONTRIBUTES` in absolute value and the deviations of
        the weight magnitudes counteract it, both significantly (intervals of the contribution, and of its excess over
        the correlation, paired by network, exclude zero); else ``no sign``.
    """
    keys = ["tensor", "estimator"]
    kinds = {name: kind for name in signal["estimator"].unique() if (kind := _shares_the_input(name))}
    chosen = signal[signal["estimator"].isin(list(kinds))]
    wide = chosen.pivot(index=[*keys, "seed"], columns="quantity", values="value").reindex(columns=SIGNAL)
    surplus = (wide["by_signal"] - wide["observed"]).rename("value").reset_index().assign(quantity="surplus")
    estimates = intervals(pd.concat([chosen, surplus]), [*keys, "quantity"], "value").set_index([*keys, "quantity"])
    means, low, high = (
        estimates[end].unstack("quantity").reindex(columns=[*SIGNAL, "surplus"]) for end in ("mean", "low", "high")
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
    """Kind of an estimator covered by :func:`signal_signs`, else ``None``."""
    estimator = ESTIMATORS[name]
    if isinstance(estimator, PathEstimator):
        return PATH
    return MOMENT if isinstance(estimator, MomentEstimator) and estimator.finish is unchanged else None


def turning(signs: pd.DataFrame) -> list[str]:
    """Estimators whose correlation with the total signal is positive in one tensor and negative in another."""
    ends = signs.groupby("estimator", sort=False)["sign"].agg(["min", "max"])
    return [name for name, row in ends.iterrows() if row["min"] < 0 < row["max"]]
