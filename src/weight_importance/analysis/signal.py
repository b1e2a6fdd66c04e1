"""Sources of the correlation of the total absolute signal with other importances in a weight tensor.

Works on weights and importances in memory; knows nothing of files or how importances are computed.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from weight_importance.analysis.correlation import Importances, correlation
from weight_importance.analysis.rows import estimator_rows
from weight_importance.estimators.weights import weight_names
from weight_importance.files.tables import COLUMNS

TOTAL_SIGNAL = "total_signal"
"""Name of the estimator."""

SIGNAL_TERMS = ("by_signal", "by_input_weights", "by_output_weights", "by_single_weights")
SIGNAL = ("observed", *SIGNAL_TERMS, "input_factors", "output_factors", "divided")


def signal(
    study: str, parameters: Mapping[str, Tensor], importances: Importances, seeds: Sequence[int]
) -> pd.DataFrame:
    """The table ``explanation_signal``: :func:`signal_contributions` of every weight tensor.

    Args:
        study: name for the first column.
        parameters: parameter name to weights ``(R, *shape)``.
        importances: estimator to parameter name to importance ``(R, *shape)``, including the total signal.
        seeds: the seed of each of the R replicas.
    """
    total = importances[TOTAL_SIGNAL]
    others = {name: importance for name, importance in importances.items() if name != TOTAL_SIGNAL}
    rows = []
    for replica, seed in enumerate(seeds):
        for tensor in weight_names({name: values[replica] for name, values in total.items()}):
            stacked = torch.stack([importance[tensor][replica] for importance in others.values()])
            contributions = signal_contributions(parameters[tensor][replica], total[tensor][replica], stacked)
            keys = {"study": study, "tensor": tensor, "seed": seed}
            rows.append(estimator_rows(keys, list(others), contributions))
    return pd.concat(rows, ignore_index=True)[list(COLUMNS["explanation_signal"])]


def signal_contributions(weight: Tensor, signal: Tensor, importance: Tensor) -> dict[str, Tensor]:
    """Sources of the correlation of total signal with other importances in a weight tensor, as named in :data:`SIGNAL`.

    The total signal is |w| ∘ u, with one factor u per input, the mean of |x|. Splitting |w| into its mean, its
    deviations by input and by output, and the remainder gives a sum of four terms. The correlation with another
    importance G is linear in the signal and hence a sum, each term a covariance with G over both standard deviations:

    - ``observed`` = ``by_signal`` + ``by_input_weights`` + ``by_output_weights`` + ``by_single_weights``;
    - ``by_signal``: u times the mean of |w|, the contribution of the shared input factor alone;
    - ``by_input_weights``, ``by_output_weights``, ``by_single_weights``: u times the deviations of |w|: of its means
      per input, of its means per output, and of the remainder.

    The others are separate correlations: ``input_factors``, u with the mean of G per input; ``output_factors``, the
    mean of |w| with the mean of G per output; ``divided``, |w| with G divided by its mean per input, where this mean
    and u are above zero: the correlation without both input factors.

    Args:
        weight: ``(out, ...)``; the inputs of a convolution are input channels and positions.
        signal: total signal of the weight, of the same shape.
        importance: ``(E, out, ...)`` of E other estimators, including negative values.

    Returns:
        name → ``(E,)``; ``nan`` if undefined.
    """
    magnitude, total = (tensor.detach().cpu().double().flatten(1) for tensor in (weight.abs(), signal))
    others = importance.cpu().double().flatten(2)
    received = total.sum(0) / magnitude.sum(0).clamp(min=torch.finfo(torch.float64).tiny)
    mean, by_output, by_input = magnitude.mean(), magnitude.mean(1, keepdim=True), magnitude.mean(0, keepdim=True)
    parts = mean, by_input - mean, by_output - mean, magnitude - by_input - by_output + mean
    centred = others.flatten(1) - others.flatten(1).mean(1, keepdim=True)
    scale = centred.norm(dim=1) * (total - total.mean()).norm()
    contributions = {"observed": _with(total, others)}
    contributions |= {
        name: centred @ (part * received).expand_as(total).flatten() / scale
        for name, part in zip(SIGNAL_TERMS, parts, strict=True)
    }
    columns = others.mean(1)
    divided = []
    for one, factor in zip(others, columns, strict=True):
        positive = (received > 0) & (factor > 0)
        left = one[:, positive] / factor[positive]
        divided.append(_with(magnitude[:, positive], left[None]).item() if positive.any() else torch.nan)
    return contributions | {
        "input_factors": _with(received, columns),
        "output_factors": _with(by_output, others.mean(2)),
        "divided": torch.tensor(divided, dtype=torch.float64),
    }


def _with(one: Tensor, others: Tensor) -> Tensor:
    """Pearson correlation of one tensor ``(...)`` with each of several ``(E, ...)``."""
    return correlation(torch.cat([one.reshape(1, -1), others.flatten(1)]).T, "pearson")[0, 1:]
