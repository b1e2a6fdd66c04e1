"""Comparisons at selected strengths, against references: all resamples, Student's t, exact parabolas."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ratios import ratio
from weight_importance.findings.selection import Curve, contrast, curves, holm, joined, peaks, recovered, resamples
from weight_importance.findings.statistics import paired, paired_equivalence, select_lambda


def curve(name: str, strengths: int, seed: int) -> Curve:
    random = np.random.default_rng(seed)
    settings = [(name, 10.0**place) for place in range(strengths)]
    return Curve(settings, (3, 4, 5, 6), *(random.normal(0.8, 0.02, (strengths, 4)) for _ in range(2)))


def test_at_one_strength_interval_tests_and_ratio_equal_those_of_paired_differences():
    a, b, zero = curve("a", 1, 0), curve("b", 1, 1), curve("none", 1, 2)
    result, expected = contrast(a, b), paired(a.by_seed, b.by_seed)
    assert (result.mean, result.low, result.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert result.p == pytest.approx(stats.ttest_rel(a.by_seed, b.by_seed).pvalue)
    assert result.equivalence(0.02) == pytest.approx(paired_equivalence(a.by_seed, b.by_seed, 0.02))
    of_ratio = ratio(a.by_seed - zero.by_seed, b.by_seed - zero.by_seed)
    assert vars(recovered(a, b, zero)) == pytest.approx(vars(of_ratio), nan_ok=True)


def test_the_error_is_that_over_all_resamples_with_a_selection_in_each_without_diverged_strengths():
    a, b = curve("a", 3, 3), joined([curve("b", 2, 4), curve("c", 3, 5)])
    a.criterion[1, 2] = a.test[1, 2] = np.nan
    differences = []
    for drawn in product(range(4), repeat=4):
        at_best = []
        for one, rows in ((a, [0, 2]), (b, range(5))):
            best = max(rows, key=lambda row, one=one: np.mean([one.criterion[row, seed] for seed in drawn]))
            at_best.append(np.mean([one.test[best, seed] for seed in drawn]))
        differences.append(at_best[0] - at_best[1])
    assert contrast(a, b).error == pytest.approx(np.std(differences) * np.sqrt(4 / 3))


def test_resamples_are_all_or_random_multinomial_counts():
    counts, weights = resamples(4)
    assert weights.sum() == pytest.approx(1) and len(counts) == 35
    np.testing.assert_allclose(weights @ (counts - 1.0) ** 2, 0.75)  # of every network: n p (1 - p)
    counts, weights = resamples(10)
    assert {*counts.sum(1)} == {10} and weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights @ (counts - 1.0) ** 2, 0.9, atol=0.1)


def test_the_selected_strength_equals_that_of_the_table():
    random = np.random.default_rng(0)
    keys = pd.MultiIndex.from_product(
        [["s"], ["mas", "si"], [1.0, 3.0, 10.0], range(4), [1], [1], ["validation", "test"]],
        names=["study", "estimator", "lambda", "seed", "tasks_learnt", "task", "split"],
    )
    table = pd.DataFrame({"accuracy": random.random(len(keys))}, index=keys).reset_index()
    table.loc[(table["estimator"] == "si") & (table["seed"] == 2), "accuracy"] = np.nan
    result = curves(table)
    assert [*result] == ["mas"], "all strengths of SI diverged"
    chosen = select_lambda(table).set_index("estimator")["lambda"]
    assert result["mas"].best == ("mas", chosen["mas"])


def test_holm_steps_down():
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": np.nan, "e": 0.005})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": np.nan, "e": 0.02}, nan_ok=True)


def test_the_peak_of_a_parabola_over_log_strength_is_located_between_uneven_strengths():
    strengths, tops = np.array([1.0, 4.0, 10.0, 30.0, 200.0]), np.array([9.0, 14.0, 400.0])
    accuracy = 0.9 - 0.02 * (np.log(strengths)[:, None] - np.log(tops)) ** 2
    one = Curve([("mas", strength) for strength in strengths], (0, 1, 2), accuracy, accuracy)
    [row] = peaks({"mas": one, "short": curve("short", 2, 0)}).to_dict("records")
    at = np.array([9.0, 14.0, 200.0])  # a peak beyond the grid is at its edge
    assert row["lambda"] == pytest.approx(np.exp(np.log(at).mean()))
    chosen = accuracy[accuracy.mean(1).argmax()]
    best = np.array([0.9, 0.9, accuracy[-1, 2]])
    assert row["mean_cost"] == pytest.approx((best - chosen).mean())
    assert row["low"] < row["lambda"] < row["high"] and row["n"] == 3
