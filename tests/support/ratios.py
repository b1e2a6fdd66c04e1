"""The ratio of two means over the same seeds, from values by seed."""

import numpy as np
import pandas as pd

from weight_importance.findings.statistics import Interval, fieller


def ratio(numerator: pd.Series, denominator: pd.Series, level: float = 0.95) -> Interval:
    """Ratio of the means with Fieller's interval."""
    y, x = numerator.to_numpy(float), denominator.loc[numerator.index].to_numpy(float)
    spread = np.cov(y, x) / len(y) if len(y) > 1 else np.full((2, 2), np.nan)
    return fieller(y.mean(), x.mean(), spread[0, 0], spread[0, 1], spread[1, 1], len(y), level)
