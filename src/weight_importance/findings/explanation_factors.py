"""The part that shared factors have in correlations: of pairs, and of the total signal with gradient estimators.

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
"""A correlation is notable from this mean on, in absolute value."""

CONTRIBUTES = 0.1
"""A shared factor contributes noticeably to a correlation from this mean on, in absolute value."""


def factor_terms(factors: pd.DataFrame) -> pd.DataFrame:
    """The mean terms of every pair's correlation in every weight tensor.

    Args:
        factors: the table ``explanation_factors`` of one study.

    Returns:
        index tensor, estimator_a, estimator_b; a column for each quantity of the table, and ``by_factors``, the sum of
        the terms of the input factor, the output factor and their product.
    """
    keys = ["tensor", *PAIR]
    terms = intervals(factors, [*keys, "quantity"], "value").set_index([*keys, "quantity"])["mean"].unstack("quantity")
    return terms.assign(by_factors=terms[["by_input", "by_output", "by_product"]].sum(axis=1))


def notable_by_factors(terms: pd.DataFrame) -> dict[str, int]:
    """The number of ``notable`` correlations, of those ``mostly`` due to factors, and of those due to the ``input``'s.

    Args:
        terms: of :func:`factor_terms`.
    """
    notable = terms[terms["observed"].abs() >= NOTABLE]
    shares = {"mostly": notable["by_factors"], "input": notable["by_input"]}
    return {"notable": len(notable)} | {
        name: int((part / notable["observed"] > 0.5).sum()) for name, part in shares.items()
    }


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
        of the correlation; ``opposed``, its interval is on the other side of zero; ``less than half``,
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
