"""Recovery by ablations: estimators, intervals and outcomes."""

import math

import numpy as np
import pandas as pd
import pytest

from ratios import ratio
from weight_importance.files.tables import COLUMNS
from weight_importance.findings.ablations import OUTCOMES, ablations_of, frontier, recovery, without_ablations
from weight_importance.findings.statistics import final_accuracy, interval, paired, select_lambda

NAN = math.nan
SEEDS = range(100, 105)
TWO = "values_of(mas)_in_ranks_of(si)"
NOISE = np.array([0.0, 0.004, -0.003, 0.002, -0.001])
SHIFT = np.array([0.0005, -0.001, 0.0, 0.001, -0.0005])
"""By seed: common deviation of all conditions, and deviation of one condition."""


def table(accuracies: dict[tuple[str, float], np.ndarray | list[float]]) -> pd.DataFrame:
    """Retention of three tasks; after the last, the newest is 0.03 better than the mean and the others 0.015 worse.

    On validation data all seeds are equal and worse, with the same order of strengths.
    """
    rows = [
        ("study", name, strength, seed, learnt, task, split, of_split[split] + (0.03 if task == 3 else -0.015))
        for (name, strength), by_seed in accuracies.items()
        for seed, accuracy in zip(SEEDS, by_seed, strict=False)
        for learnt in (1, 2, 3)
        for task in range(1, learnt + 1)
        for of_split in [{"validation": float(np.mean(by_seed)) / 2 + 0 * accuracy, "test": accuracy}]
        for split in of_split
    ]
    return pd.DataFrame(rows, columns=COLUMNS["retention"])


TABLE = table(
    {
        ("none", 0.0): 0.5 + 2 * NOISE,
        ("l2", 1.0): 0.6 + 3 * NOISE,
        ("depth_10(l2)", 1.0): 0.55 + NOISE,
        ("depth_0.1(l2)", 1.0): 0.65 + 3 * NOISE,
        ("mas", 1.0): 0.8 + NOISE,
        ("mas", 10.0): 0.9 + NOISE,
        ("mas", 100.0): 0.7 + NOISE,
        ("si", 1.0): 0.85 + NOISE,
        ("si", 10.0): [NAN, 0.9, 0.9, 0.9, 0.9],
        ("uniform(mas)", 1.0): 0.6 + NOISE,
        ("uniform(mas)", 10.0): 0.7 + NOISE + SHIFT,
        ("uniform(mas)", 100.0): 0.6 + NOISE,
        ("shuffled(mas)", 1.0): 0.9 + NOISE + SHIFT,
        ("power_2(mas)", 1.0): 0.9 + NOISE + 20 * SHIFT,
        ("reversed(mas)", 1.0): [NAN] * 5,
        (TWO, 1.0): 0.92 + NOISE + SHIFT,
    }
)
FOUND = recovery(TABLE, select_lambda(TABLE)).set_index(["estimator", "ablation"])


def accuracy(name: str, strength: float) -> pd.Series:
    final = final_accuracy(TABLE, "test")
    return final[(final["estimator"] == name) & (final["lambda"] == strength)].set_index("seed")["accuracy"]


def test_every_ablation_is_listed_after_each_of_its_estimators():
    assert [*FOUND.loc["mas"].index] == ["mas", "uniform(mas)", "shuffled(mas)", "power_2(mas)", "reversed(mas)", TWO]
    assert [*FOUND.loc["si"].index] == ["si", TWO]
    assert ablations_of(without_ablations(TABLE)) == {}
    assert set(without_ablations(TABLE)["estimator"]) == {"none", "l2", "mas", "si"}
    assert without_ablations(TABLE.head(0)).empty


def test_recovery_by_hand():
    row = FOUND.loc[("mas", "uniform(mas)")]
    assert row["lambda"] == 10.0 and row["n"] == 5
    assert row["mean_recovery"] == pytest.approx(0.5, abs=1e-3)
    none, mas, ablation = accuracy("none", 0.0), accuracy("mas", 10.0), accuracy("uniform(mas)", 10.0)
    l2, per_layer = accuracy("l2", 1.0), accuracy("depth_0.1(l2)", 1.0)
    expected = {
        "accuracy": interval(ablation),
        "recovery": ratio(ablation - none, mas - none),
        "recovery_l2": ratio(ablation - l2, mas - l2),
        "recovery_l2_per_layer": ratio(ablation - per_layer, mas - per_layer),
        "difference": paired(ablation, mas),
    }
    for what, expected_interval in expected.items():
        assert [row[f"{part}_{what}"] for part in ("mean", "low", "high")] == pytest.approx(
            [expected_interval.mean, expected_interval.low, expected_interval.high]
        )
    own = FOUND.loc[("mas", "mas")]
    assert [own[f"{part}_recovery"] for part in ("mean", "low", "high")] == pytest.approx([1, 1, 1])


def test_outcomes_follow_from_the_interval_and_the_test():
    assert FOUND["outcome"].to_dict() == {
        ("mas", "mas"): "equivalent",
        ("mas", "uniform(mas)"): "worse",
        ("mas", "shuffled(mas)"): "equivalent",
        ("mas", "power_2(mas)"): "undecided",
        ("mas", "reversed(mas)"): "diverged",
        ("mas", TWO): "better",
        ("si", "si"): "equivalent",
        ("si", TWO): "better",
    }
    assert set(FOUND["outcome"]) == set(OUTCOMES)
    assert FOUND.loc[("mas", "shuffled(mas)"), "tost_p"] < 0.05 < FOUND.loc[("mas", "uniform(mas)"), "tost_p"]
    assert FOUND.loc[("mas", "reversed(mas)")].isna()[["lambda", "mean_recovery", "mean_accuracy", "tost_p"]].all()


def test_seven_tenths_of_a_point_are_not_equivalent():
    close = {("none", 0.0): [0.5] * 5, ("mas", 1.0): 0.9 + NOISE, ("uniform(mas)", 1.0): 0.893 + NOISE + SHIFT / 10}
    result = recovery(table(close), select_lambda(table(close))).set_index("ablation")
    assert result.loc["uniform(mas)", "outcome"] == "worse"


def test_all_ablations_but_the_primary_one_are_one_family():
    named = TABLE.assign(estimator=TABLE["estimator"].str.replace("mas", "fisher_empirical"))
    named["estimator"] = named["estimator"].replace("shuffled(fisher_empirical)", "rank_one(fisher_empirical)")
    result = recovery(named, select_lambda(named)).set_index("ablation")
    for name in ("tost_p", "difference_p"):
        assert (
            result.loc["rank_one(fisher_empirical)", f"holm_{name}"] == result.loc["rank_one(fisher_empirical)", name]
        )
        family = result.drop("rank_one(fisher_empirical)").dropna(subset=name).sort_values(name)
        assert family[f"holm_{name}"].iloc[0] == pytest.approx(min(1, len(family) * family[name].iloc[0]))


def test_a_strength_at_the_edge_of_several_is_marked():
    assert not FOUND.loc[("mas", "mas"), "at_edge"] and not FOUND.loc[("mas", "uniform(mas)"), "at_edge"]
    assert FOUND.loc[("si", "si"), "at_edge"], "the larger diverged for a seed"
    assert not FOUND.loc[("mas", "shuffled(mas)"), "at_edge"]


def test_a_diverged_estimator_has_no_recovery():
    broken = table({("none", 0.0): [0.5] * 5, ("mas", 1.0): [NAN] * 5, ("uniform(mas)", 1.0): 0.6 + NOISE})
    row = recovery(broken, select_lambda(broken)).set_index("ablation").loc["uniform(mas)"]
    assert row["outcome"] == "diverged" and math.isnan(row["mean_recovery"])
    assert row["mean_accuracy"] == pytest.approx(0.6 + NOISE.mean())


def test_one_seed_has_values_and_is_undecided():
    single = TABLE[TABLE["seed"] == 101]
    row = recovery(single, select_lambda(single)).set_index("ablation").loc["uniform(mas)"]
    assert row["outcome"] == "undecided" and math.isfinite(row["mean_recovery"]) and math.isnan(row["low_recovery"])


def test_the_frontier_separates_the_newest_task_from_earlier_ones():
    result = frontier(TABLE.sample(frac=1, random_state=0)).set_index(["estimator", "lambda"])
    assert len(result) == 16 and set(result["n"]) == {5}
    row = result.loc[("mas", 10.0)]
    assert row["mean_new"] == pytest.approx(0.93 + NOISE.mean()) and row["mean_old"] == pytest.approx(
        0.885 + NOISE.mean()
    )
    assert row["high_new"] - row["mean_new"] == pytest.approx(interval(NOISE).high - NOISE.mean())
    assert math.isnan(result.loc[("si", 10.0), "mean_old"])
