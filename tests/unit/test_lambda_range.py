"""The shift test between curves of accuracy against λ, on curves of a known form."""

import numpy as np
import pandas as pd
import pytest
import torch

from configurations import default
from weight_importance.figures.lambda_range import lambda_range as drawn
from weight_importance.findings.lambda_range import curves, distance, shifts, totals
from weight_importance.settings import Configuration
from weight_importance.settings.merging import merged

TOTALS = ["curve", "seed", "total"]
STRENGTHS = 10.0 ** np.arange(0, 14)


def logistic(strength: np.ndarray, middle: float) -> np.ndarray:
    """Accuracy from 0.85 without a penalty to 0.99, with half of the gain at ``middle``."""
    return 0.85 + 0.14 / (1 + (middle / np.maximum(strength, 1e-30)) ** 2)


def accuracy_curves(middles: dict[str, float], seeds: int = 2) -> pd.DataFrame:
    rows = [
        (name, strength, seed, value)
        for name, middle in middles.items()
        for seed in range(seeds)
        for strength, value in zip(STRENGTHS, logistic(STRENGTHS, middle), strict=True)
    ]
    rows += [("none", 0.0, seed, 0.85) for seed in range(seeds)]
    return pd.DataFrame(rows, columns=["curve", "lambda", "seed", "accuracy"])


def test_curves_of_importances_that_differ_by_a_factor_coincide_after_rescaling():
    curves = accuracy_curves({"fisher_exact": 1e7, "mas": 1e4, "si": 1e4})
    values = torch.tensor(
        [[1.0, -5.0], [3.0, 0.0]]
    )  # negative values do not count; the second network has different sums
    scaled = {"fisher_exact": 1.0, "mas": 1000.0, "si": 10.0}
    summed = totals({name: {"w": factor * values} for name, factor in scaled.items()}, [0, 1])
    assert summed["total"].tolist() == [1.0, 3.0, 1000.0, 3000.0, 10.0, 30.0]
    table = shifts(curves, summed).set_index("curve")
    np.testing.assert_allclose(table["ratio"][["fisher_exact", "mas", "si"]], [1, 1000, 10], rtol=1e-9)
    np.testing.assert_allclose(table["fitted_ratio"][["fisher_exact", "mas", "si"]], [1, 1000, 1000], rtol=1e-6)
    assert table.loc["mas", "distance"] > 0.05 and table.loc["mas", "distance_shifted"] < 1e-9
    assert table.loc["si", "distance_shifted"] > 0.03 and table.loc["si", "distance_fitted"] < 1e-9
    np.testing.assert_allclose(table["half_rise"][["fisher_exact", "mas"]], [1e7, 1e4], rtol=1e-3)
    assert len(drawn(curves, table.reset_index()).axes) == 2


def test_the_distance_is_that_of_one_curve_moved_along_the_other():
    reference = pd.Series([0.0, 1.0, 1.0], index=[0.0, 1.0, 2.0])
    own = pd.Series([0.5, 1.0], index=[0.0, 5.0])
    assert distance(own, reference, 0.5) == pytest.approx(0.0)  # beyond its ends the reference is constant
    assert distance(own, reference, 0.0) == pytest.approx(np.sqrt(0.25 / 2))


def test_two_curves_are_compared_on_the_networks_that_both_have():
    curves = accuracy_curves({"fisher_exact": 1e7, "mas": 1e4})
    curves.loc[(curves["curve"] == "fisher_exact") & (curves["seed"] == 1), "accuracy"] = 0.5
    curves = curves[(curves["curve"] != "mas") | (curves["seed"] == 0)]
    summed = pd.DataFrame([("fisher_exact", 0, 1.0), ("fisher_exact", 1, 9.0), ("mas", 0, 1e3)], columns=TOTALS)
    row = shifts(curves, summed).set_index("curve").loc["mas"]
    assert row["seeds"] == 1 and row["ratio"] == pytest.approx(1e3)
    assert row["distance_shifted"] < 1e-9


def test_a_curve_has_the_strengths_of_all_its_networks():
    settings = {"study": Configuration.model_validate(merged(default())).studies["split_mnist_task"]}
    rows = [("si", strength, seed) for seed, grid in ((0, [1, 10, 100]), (1, [1, 100])) for strength in grid]
    rows += [("none", 0, 0), ("none", 0, 1), ("mas", 10, 0), ("magnitude", 1, 0), ("magnitude", 3, 1)]
    retention = pd.DataFrame(rows, columns=["estimator", "lambda", "seed"])
    retention = retention.assign(study="study", tasks_learnt=5, task=1, split="test", accuracy=0.9)
    table = curves(settings, retention)
    strengths = {curve: sorted(set(group["lambda"])) for curve, group in table.groupby("curve")}
    assert strengths == {"si": [1, 100], "none": [0], "mas": [10], "magnitude": [1, 3]}
