"""Tidy rows of tables, one per pair of estimators or per estimator, from matrices or vectors of values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


def pair_rows(keys: Mapping[str, Any], estimators: Sequence[str], kind: str, values: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of every pair of estimators, in the given order.

    Args:
        keys: columns with a constant value.
        estimators: E names.
        kind: name of the column for the keys of ``values``: ``coefficient`` or ``quantity``.
        values: matrices ``(E, E)``; only the upper triangle is used.
    """
    a, b = np.triu_indices(len(estimators), k=1)
    names = np.array(estimators, dtype=object)
    pairs = {
        "estimator_a": np.repeat(names[a], len(values)),
        "estimator_b": np.repeat(names[b], len(values)),
        kind: np.tile(np.array(list(values), dtype=object), len(a)),
        "value": np.stack([np.asarray(matrix)[a, b] for matrix in values.values()]).T.flatten(),
    }
    return pd.DataFrame(dict(keys) | pairs)


def estimator_rows(keys: Mapping[str, Any], estimators: Sequence[str], values: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of every estimator, as :func:`pair_rows` with the column ``quantity``, from vectors ``(E,)``."""
    columns = {
        "estimator": np.repeat(np.array(estimators, dtype=object), len(values)),
        "quantity": np.tile(np.array(list(values), dtype=object), len(estimators)),
        "value": np.stack([np.asarray(vector) for vector in values.values()]).T.flatten(),
    }
    return pd.DataFrame(dict(keys) | columns)
