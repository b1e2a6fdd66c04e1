"""Contribution of factors per input and per output of a layer to a correlation of importances.

Works on importances in memory; knows nothing of files, networks or how importances are computed.
"""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from weight_importance.analysis.correlation import Importances, correlation
from weight_importance.analysis.rows import pair_rows
from weight_importance.estimators.factors import rank_one
from weight_importance.estimators.weights import weight_names
from weight_importance.files.tables import COLUMNS

FACTORS = (
    "observed", "by_input", "by_output", "by_product", "by_rest",
    "input_factors", "output_factors", "reconstructions", "residuals",
)  # fmt: skip


def factors(study: str, importances: Importances, seeds: Sequence[int]) -> pd.DataFrame:
    """The table ``explanation_factors``: :func:`factor_contributions` of every weight tensor.

    Args:
        study: name for the first column.
        importances: estimator to parameter name to importance ``(R, *shape)``.
        seeds: the seed of each of the R replicas.
    """
    first = next(iter(importances.values()))
    rows = []
    for replica, seed in enumerate(seeds):
        for tensor in weight_names({name: values[replica] for name, values in first.items()}):
            contributions = factor_contributions(torch.stack([each[tensor][replica] for each in importances.values()]))
            keys = {"study": study, "tensor": tensor, "seed": seed}
            rows.append(pair_rows(keys, list(importances), "quantity", contributions))
    return pd.concat(rows, ignore_index=True)[list(COLUMNS["explanation_factors"])]


def factor_contributions(importance: Tensor) -> dict[str, Tensor]:
    """Contributions of factors to each pair's Pearson correlation in a weight tensor, by the names in :data:`FACTORS`.

    Let x be the positive part of an importance as a matrix (out × in; the inputs of a convolution are input channels
    and positions). Then x = mean + row effect + column effect + interaction, four parts that are mutually orthogonal
    for any two estimators. The correlation is therefore a sum, each term a covariance over the product of both standard
    deviations of x:

    - ``observed`` = ``by_input`` + ``by_output`` + ``by_product`` + ``by_rest``;
    - ``by_input``, ``by_output``: column effects (one factor per input), row effects (one factor per output);
    - ``by_product``: interactions of the rank-one reconstructions (row sums times column sums over the total,
      :func:`weight_importance.estimators.factors.rank_one`), whose row and column effects equal those of x;
    - ``by_rest``: the remainder, including its products with the other estimator's reconstruction.

    The other four are separate correlations: ``input_factors`` of the column means, ``output_factors`` of the row
    means, ``reconstructions``, and ``residuals`` (x minus its reconstruction).

    Args:
        importance: ``(E, out, ...)`` of E estimators.

    Returns:
        name → ``(E, E)``; ``nan`` if undefined (constant, or only rounding error as residual).
    """
    x = importance.clamp(min=0).flatten(2).double().cpu()
    model = rank_one(x)
    rest = x - model
    # the residual of an exact product is rounding error
    negligible = torch.linalg.vector_norm(rest.flatten(1), dim=1) < 1e-7 * torch.linalg.vector_norm(x.flatten(1), dim=1)
    rest[negligible] = 0
    rows, columns = x.mean(2), x.mean(1)
    spread = _centred(x.flatten(1)).norm(dim=1)
    scale = spread * spread[:, None]

    def share(part: Tensor, times: int = 1) -> Tensor:
        centred = _centred(part)
        return times * (centred @ centred.T) / scale

    observed = share(x.flatten(1))
    by_input, by_output = share(columns, x.shape[1]), share(rows, x.shape[2])
    whole = share(model.flatten(1))
    return {
        "observed": observed,
        "by_input": by_input,
        "by_output": by_output,
        "by_product": whole - by_input - by_output,
        "by_rest": observed - whole,
        "input_factors": correlation(columns.T, "pearson"),
        "output_factors": correlation(rows.T, "pearson"),
        "reconstructions": correlation(model.flatten(1).T, "pearson"),
        "residuals": correlation(rest.flatten(1).T, "pearson"),
    }


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(1, keepdim=True)
