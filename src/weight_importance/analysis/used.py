"""Similarity of importances in the form that the penalty and pruning use.

Works on importances in memory; knows nothing of files, networks or how importances are computed.
"""

from collections.abc import Sequence

import pandas as pd
import torch

from weight_importance.analysis.correlation import Importances, correlation
from weight_importance.analysis.rows import pair_rows
from weight_importance.estimators.weights import is_weight
from weight_importance.files.tables import COLUMNS


def correlation_used(study: str, importances: Importances, seeds: Sequence[int]) -> pd.DataFrame:
    """The table ``correlation_used``: every pair of estimators over the whole network.

    - ``retention``: Pearson correlation of values over all parameters, negative values clamped to zero as in a clamping
      penalty; the penalty uses values, and its strength absorbs their scale;
    - ``pruning``: Spearman correlation of absolute values over the weight tensors; pruning uses ranks and removes only
      weights.

    Args:
        study: name for the first column.
        importances: estimator to parameter name to importance of shape ``(R, *parameter.shape)``.
        seeds: the seed of each of the R replicas.
    """
    tables = []
    for replica, seed in enumerate(seeds):
        of_one = [{name: values[replica].double() for name, values in each.items()} for each in importances.values()]
        whole = torch.stack([torch.cat([values.flatten() for values in each.values()]) for each in of_one], 1)
        weights = [torch.cat([values.flatten() for values in each.values() if is_weight(values)]) for each in of_one]
        uses = {
            "retention": correlation(whole.clamp_min(0), "pearson"),
            "pruning": correlation(torch.stack(weights, 1).abs(), "spearman"),
        }
        tables.append(pair_rows({"study": study, "seed": seed}, list(importances), "use", uses))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS["correlation_used"])]
