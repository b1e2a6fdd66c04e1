"""Tables of estimators with their formulas."""

from collections.abc import Iterable

import pandas as pd

from weight_importance import ESTIMATORS
from weight_importance.paper.latex import booktabs
from weight_importance.paper.macros import label


def described(names: Iterable[str]) -> pd.DataFrame:
    """One row per estimator: label, formula, kind, source."""
    lines = [
        {
            "estimator": label(name),
            "importance of a parameter": f"${ESTIMATORS[name].formula}$",
            "kind": ESTIMATORS[name].kind,
            "source": rf"\citet{{{ESTIMATORS[name].source}}}",
        }
        for name in names
    ]
    return pd.DataFrame(lines)


def render() -> str:
    r"""Render the macro ``\estimatorcatalogue``: the table of all estimators."""
    return f"\\newcommand\\estimatorcatalogue{{{booktabs(described(ESTIMATORS), 'llll')}}}\n"
