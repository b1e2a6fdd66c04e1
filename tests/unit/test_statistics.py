"""Intervals over seeds, paired differences, equivalence tests, and the selection of λ."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ratios import ratio
from weight_importance.files.tables import COLUMNS
from weight_importance.findings.statistics import (
    Interval,
    equivalence,
    final_accuracy,
    interval,
    intervals,
    paired,
    paired_equivalence,
    select_lambda,
)

NAN = math.nan


def retention(accuracies: dict[tuple[str, float], list[float]], study: str = "study", tasks: int = 2) -> pd.DataFrame:
    """A retention table with the given mean validation accuracies over all tasks after the last one.

    On test data, and after earlier tasks, the order of the runs is reversed.
    """
    rows = []
    for (estimator, strength), by_seed in accuracies.items():
        for seed, accuracy in enumerate(by_seed):
            for learnt in range(1, tasks + 1):
                for task in range(1, learnt + 1):
                    shift = 0.01 * (task - (tasks + 1) / 2)
                    validation = accuracy + shift if learnt == tasks else 1 - accuracy
                    rows.append((study, estimator, strength, seed, learnt, task, "validation", validation))
                    rows.append((study, estimator, strength, seed, learnt, task, "test", 1 - accuracy + shift))
    return pd.DataFrame(rows, columns=list(COLUMNS["retention"]))


def selected(frame: pd.DataFrame) -> dict[tuple[str, str], float]:
    table = select_lambda(frame)
    assert tuple(table.columns) == COLUMNS["selected_lambda"]
    assert set(table["criterion"]) == {"validation"}
    assert not table.duplicated(["study", "estimator"]).any()
    return {(row["study"], row["estimator"]): row["lambda"] for row in table.to_dict("records")}


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 4, 20])
def test_interval_agrees_with_scipy(n: int, level: float) -> None:
    values = np.random.default_rng(n).normal(size=n)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    result = interval(values, level)
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high))
    assert (result.mean, result.n) == (pytest.approx(values.mean()), n)


def test_a_single_value_has_no_interval() -> None:
    result = interval([0.5])
    assert (result.mean, result.n) == (0.5, 1)
    assert math.isnan(result.low)
    assert math.isnan(result.high)


def test_equal_values_have_an_interval_of_zero_width() -> None:
    assert interval([0.25, 0.25, 0.25]) == Interval(0.25, 0.25, 0.25, 3)


@pytest.mark.parametrize("values", [[NAN], [0.5, NAN], [0.1, 0.2, NAN, 0.3]])
def test_a_missing_value_leaves_no_mean(values: list[float]) -> None:
    result = interval(values)
    assert result.n == len(values)
    assert all(math.isnan(value) for value in (result.mean, result.low, result.high))


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], 1.0])
def test_interval_needs_a_list_of_values(values: object) -> None:
    with pytest.raises(ValueError, match="shape"):
        interval(values)


def test_intervals_of_groups() -> None:
    frame = pd.DataFrame(
        {"b": ["y", "x", "y", "x"], "a": [2, 1, 2, 1], "seed": [0, 0, 1, 1], "accuracy": [1.0, 5.0, 3.0, NAN]}
    )
    result = intervals(frame, ["a", "b"], "accuracy")
    assert list(result.columns) == ["a", "b", "mean", "low", "high", "n"]
    assert result[["a", "b", "n"]].to_numpy().tolist() == [[1, "x", 2], [2, "y", 2]]
    assert math.isnan(result["mean"][0])
    expected = interval([1.0, 3.0])
    assert (result["mean"][1], result["low"][1], result["high"][1]) == (expected.mean, expected.low, expected.high)


def test_intervals_keep_groups_without_lambda() -> None:
    frame = pd.DataFrame({"estimator": ["none", "none"], "lambda": [NAN, NAN], "value": [1.0, 2.0]})
    assert intervals(frame, ["estimator", "lambda"])["mean"].tolist() == [1.5]


def test_intervals_of_no_rows() -> None:
    result = intervals(pd.DataFrame({"a": [], "value": []}), ["a"])
    assert result.empty
    assert list(result.columns) == ["a", "mean", "low", "high", "n"]


def test_intervals_of_no_rows_can_be_merged_with_others() -> None:
    frame = pd.DataFrame({"a": [0.5, 0.5], "value": [1.0, 2.0]})
    result = intervals(frame[frame["a"] > 1], ["a"])
    assert result.merge(intervals(frame, ["a"]), on="a").empty


def test_paired_differences_by_seed() -> None:
    a = pd.Series({0: 0.9, 1: 0.5, 2: 0.7})
    b = pd.Series({2: 0.6, 0: 0.7, 1: 0.2})  # in another order
    result, expected = paired(a, b), interval([0.2, 0.3, 0.1])
    assert (result.mean, result.low, result.high) == pytest.approx((expected.mean, expected.low, expected.high))


def test_paired_needs_the_same_seeds() -> None:
    with pytest.raises(ValueError, match=r"seeds \[1, 2\] occur in one"):
        paired(pd.Series({0: 1.0, 1: 2.0}), pd.Series({0: 1.0, 2: 2.0}))
    with pytest.raises(ValueError, match=r"twice: \[0\]"):
        paired(pd.Series([1.0, 2.0], index=[0, 0]), pd.Series({0: 1.0}))


def summary(values: np.ndarray) -> tuple[float, float, int]:
    return float(values.mean()), float(values.std(ddof=1)), len(values)


@pytest.mark.parametrize("seed", range(30))
def test_equivalence_holds_if_the_90_percent_interval_is_within_the_margin(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.normal(0, 0.5, 4), random.normal(random.uniform(-1, 1), 0.2, 20)
    inner = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
    for margin in (0.3, 0.6, 0.9, 1.2):
        p = equivalence(*summary(a), *summary(b), margin)
        assert (p < 0.05) == (-margin < inner.low and inner.high < margin)
        assert p == pytest.approx(equivalence(*summary(b), *summary(a), margin))


def test_equivalence_without_scatter_compares_the_means() -> None:
    assert equivalence(0.5, 0.0, 3, 0.505, 0.0, 3, 0.01) == 0
    assert equivalence(0.5, 0.0, 3, 0.52, 0.0, 3, 0.01) == 1


@pytest.mark.parametrize("first", [(0.5, NAN, 1), (0.5, 0.0, 1), (NAN, NAN, 3)])
def test_equivalence_needs_two_values_and_a_mean(first: tuple[float, float, int]) -> None:
    assert math.isnan(equivalence(*first, 0.5, 0.1, 20, 0.01))
    assert math.isnan(equivalence(0.5, 0.1, 20, *first, 0.01))


def by_seed(values: np.ndarray) -> pd.Series:
    return pd.Series(values, index=range(100, 100 + len(values)))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_at_the_ends_of_a_ratio_s_interval_the_paired_test_begins_to_reject(seed: int, level: float) -> None:
    random = np.random.default_rng(seed)
    common = random.normal(size=5)
    x, y = 2 + common + random.normal(0, 0.3, 5), 1 + common + random.normal(0, 0.3, 5)
    result = ratio(by_seed(y), by_seed(x).sample(frac=1, random_state=seed), level)
    assert result.mean == pytest.approx(y.mean() / x.mean())
    if math.isnan(result.low):
        assert stats.ttest_1samp(x, 0).pvalue > 1 - level
    else:
        assert result.low < result.mean < result.high
        for end in (result.low, result.high):
            assert stats.ttest_1samp(y - end * x, 0).pvalue == pytest.approx(1 - level)
        assert stats.ttest_1samp(y - (result.low - 0.1) * x, 0).pvalue < 1 - level


def test_a_ratio_without_scatter_or_without_a_denominator() -> None:
    result = ratio(by_seed(np.array([1.0, 2.0, 4.0])), by_seed(np.array([2.0, 4.0, 8.0])), 0.5)
    assert (result.mean, result.low, result.high) == pytest.approx((0.5, 0.5, 0.5))
    one = ratio(by_seed(np.array([1.0])), by_seed(np.array([2.0])))
    assert one.mean == 0.5 and math.isnan(one.low) and one.n == 1
    assert math.isnan(ratio(by_seed(np.array([1.0, 1.0])), by_seed(np.array([0.0, 0.0]))).mean)
    unbounded = ratio(by_seed(np.array([1.0, 1.2, 0.9])), by_seed(np.array([0.1, -0.3, 0.4])))
    assert math.isfinite(unbounded.mean) and math.isnan(unbounded.low) and math.isnan(unbounded.high)


def test_pairs_need_the_same_seeds() -> None:
    with pytest.raises(ValueError, match=r"seeds \[2\] occur in one"):
        paired_equivalence(pd.Series([1.0, 2.0], index=[0, 1]), pd.Series([1.0, 2.0, 3.0], index=[0, 1, 2]), 0.1)


@pytest.mark.parametrize("seed", range(30))
def test_paired_equivalence_holds_if_the_90_percent_interval_is_within_the_margin(seed: int) -> None:
    random = np.random.default_rng(seed)
    a = by_seed(random.normal(0, 3, 5))
    b = a + random.normal(random.uniform(-1, 1), 0.3, 5)
    inner = paired(a, b, 0.9)
    for margin in (0.3, 0.6, 0.9, 1.2):
        assert (paired_equivalence(a, b, margin) < 0.05) == (-margin < inner.low and inner.high < margin)


def test_paired_equivalence_without_scatter_and_without_pairs() -> None:
    a = by_seed(np.array([0.5, 0.25, 0.75]))
    assert paired_equivalence(a, a + 0.25, 0.3) == 0
    assert paired_equivalence(a, a + 0.25, 0.2) == 1
    assert math.isnan(paired_equivalence(a[:1], a[:1], 0.2))
    assert math.isnan(paired_equivalence(a, a.where(a > 0.3), 0.2))


def test_final_accuracy_is_the_mean_over_tasks_after_the_last() -> None:
    frame = retention({("mas", 1.0): [0.8, 0.6], ("none", 0.0): [0.3, NAN]}, tasks=3)
    result = final_accuracy(frame.sample(frac=1, random_state=0), "validation")
    assert list(result.columns) == ["study", "estimator", "lambda", "seed", "accuracy"]
    assert result["accuracy"].tolist() == pytest.approx([0.8, 0.6, 0.3, NAN], nan_ok=True)
    assert final_accuracy(frame, "test")["accuracy"].tolist()[0] == pytest.approx(0.2)


def test_final_accuracy_is_after_each_study_s_last_task() -> None:
    frame = pd.concat([retention({("mas", 1.0): [0.8]}, "a", tasks=2), retention({("mas", 1.0): [0.6]}, "b", tasks=4)])
    assert final_accuracy(frame, "validation")["accuracy"].tolist() == pytest.approx([0.8, 0.6])


def test_one_missing_accuracy_is_a_diverged_run() -> None:
    frame = retention({("mas", 1.0): [0.8]})
    frame.loc[frame.index[-2], "accuracy"] = NAN
    assert frame.loc[frame.index[-2], "split"] == "validation"
    assert math.isnan(final_accuracy(frame, "validation")["accuracy"][0])


def test_the_best_mean_on_validation_is_selected() -> None:
    frame = retention({("mas", 1.0): [0.6, 0.6], ("mas", 2.0): [0.9, 0.5], ("mas", 4.0): [0.95, 0.3]})
    assert selected(frame) == {("study", "mas"): 2.0}


def test_each_study_and_estimator_has_its_lambda() -> None:
    frame = pd.concat(
        [
            retention({("si", 1.0): [0.6], ("si", 2.0): [0.5], ("mas", 1.0): [0.1], ("mas", 2.0): [0.2]}, "b"),
            retention({("si", 1.0): [0.3], ("si", 2.0): [0.4]}, "a", tasks=3),
        ]
    )
    assert selected(frame) == {("a", "si"): 2.0, ("b", "mas"): 2.0, ("b", "si"): 1.0}
    assert select_lambda(frame)["study"].tolist() == ["a", "b", "b"]


@pytest.mark.parametrize("order", range(3))
def test_the_smallest_of_equally_good_lambdas_is_selected(order: int) -> None:
    equals = {("mas", float(strength)): [0.5, 0.5] for strength in range(40, 1, -1)}
    frame = retention(equals | {("mas", 0.5): [0.4, 0.4]}).sample(frac=1, random_state=order)
    assert selected(frame) == {("study", "mas"): 2.0}


def test_a_lambda_that_diverged_for_one_seed_is_not_eligible() -> None:
    assert selected(retention({("mas", 1.0): [0.2, 0.2], ("mas", 9.0): [0.9, NAN]})) == {("study", "mas"): 1.0}


def test_if_all_diverged_none_is_selected() -> None:
    frame = retention({("mas", 1.0): [NAN, 0.9], ("mas", 9.0): [0.9, NAN], ("si", 3.0): [0.1, 0.2]})
    result = selected(frame)
    assert math.isnan(result["study", "mas"])
    assert result["study", "si"] == 3.0


def test_selection_on_test_data_as_published() -> None:
    # on test data the order of the runs is reversed
    frame = retention({("mas", 1.0): [0.6, 0.6], ("mas", 2.0): [0.9, 0.5]}, tasks=3)
    assert select_lambda(frame).to_numpy().tolist() == [["study", "mas", 2.0, "validation"]]
    assert select_lambda(frame, "test").to_numpy().tolist() == [["study", "mas", 1.0, "test"]]


def test_selection_needs_only_its_split() -> None:
    frame = retention({("mas", 1.0): [0.6], ("mas", 2.0): [0.9]}).query("split == 'test'")
    assert select_lambda(frame, "test")["lambda"].tolist() == [1.0]
    with pytest.raises(ValueError, match="no rows of split 'validation'"):
        select_lambda(frame)
