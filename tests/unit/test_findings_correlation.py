"""Properties of pairs of estimators: intervals on Fisher's z, signs by a family of tests, shares of pairs."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from weight_importance.files.tables import COLUMNS
from weight_importance.findings.correlation import beyond_null, fisher_intervals, pair_properties, shares

NAMES = ["mas", "si", "snip", "wanda"]


def table(means: dict[tuple[str, str], dict[str, float]], seeds: int = 4, spread: float = 0.01, start: int = 0):
    random = np.random.default_rng(start)
    rows = [
        ("study", tensor, *pair, "pearson", seed, value + spread * random.normal())
        for pair, of_tensors in means.items()
        for tensor, value in of_tensors.items()
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=COLUMNS["correlation"])


def null(correlation: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([correlation.assign(permutation=place, value=0.001 * (-1) ** place) for place in range(2)])


def test_intervals_are_students_on_artanh_and_stay_within_one():
    values = [0.99, 0.9, 0.999, 0.95]
    frame = pd.DataFrame({"tensor": "w", "seed": range(4), "value": values})
    [row] = fisher_intervals(frame, ["tensor"]).to_dict("records")
    z = np.arctanh(values)
    half = stats.t.ppf(0.975, 3) * stats.sem(z)
    centre = np.arctanh(np.mean(values))
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(
        (np.mean(values), np.tanh(centre - half), np.tanh(centre + half))
    )
    assert row["high"] < 1 and row["p"] == pytest.approx(stats.ttest_1samp(z, 0).pvalue)
    same = fisher_intervals(frame.assign(value=1.0), ["tensor"])
    assert same[["mean", "low", "high"]].to_numpy() == pytest.approx(1)


def test_strong_is_independent_of_the_number_of_networks():
    pair = {("mas", "si"): {"fc1.weight": 0.72, "fc2.weight": 0.9, "all": 0.8}}
    few, many = (table(pair, seeds, 0.05) for seeds in (3, 300))
    result = [pair_properties(beyond_null(each, null(each))).iloc[0] for each in (few, many)]
    assert [row["strong"] for row in result] == [True, True]
    assert result[0]["low"] < 0.7 < result[1]["low"], "the interval shows the uncertainty"
    assert result[1]["lowest"] == pytest.approx(0.72, abs=0.01)


def test_a_sign_in_one_of_many_tensors_needs_more_than_one_test():
    """Some of many unrelated tensors are significant on their own, and few families have any."""
    tensors = {f"fc{place}.weight": 0.0 for place in range(60)}
    chance = [table({("mas", "si"): tensors}, 5, 0.1, seed) for seed in range(8)]
    result = [beyond_null(each, null(each)) for each in chance]
    assert sum((each["p"] < 0.05).any() for each in result) > 6
    assert sum((each["sign"] != 0).any() for each in result) < 3
    turning = table({("mas", "si"): tensors | {"fc1.weight": 0.5, "fc2.weight": -0.5}}, 5, 0.01)
    assert pair_properties(beyond_null(turning, null(turning)))["turning"].item()


def test_shares_resample_estimators_not_pairs():
    pairs = [*combinations(NAMES, 2)]
    means = {pair: {"fc1.weight": 0.9 if "mas" in pair else 0.1} for pair in pairs}
    correlation = table(means)
    result = shares(correlation, pair_properties(beyond_null(correlation, null(correlation))))
    row = result.set_index("property").loc["strong"]
    every = []
    for drawn in product(NAMES, repeat=4):
        weights = [drawn.count(a) * drawn.count(b) for a, b in pairs]
        if any(weights):
            every.append(np.average(["mas" in pair for pair in pairs], weights=weights))
    assert row["mean"] == 0.5 and (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(every, [0.025, 0.975])))
