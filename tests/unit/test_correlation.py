"""Correlations of importances: values against SciPy, invariances, the null distribution, undefined cases."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor

from weight_importance.analysis.correlation import COEFFICIENTS, correlate, excluded, log_slopes
from weight_importance.analysis.ranks import average_ranks
from weight_importance.files.tables import COLUMNS
from weight_importance.runtime.errors import UserError

SHAPES = {"fc1.weight": (30, 40), "fc1.bias": (30,), "fc2.weight": (4, 30), "fc2.bias": (4,)}
SWEEP = range(5)


def importances(seed: int, replicas: int = 2, dtype: torch.dtype = torch.float64) -> dict[str, dict[str, Tensor]]:
    """Four related estimators with exact zeros and ties; the last also has negative values."""
    random = torch.Generator().manual_seed(seed)
    result: dict[str, dict[str, Tensor]] = {name: {} for name in ("fisher", "mas", "signal", "si")}
    for parameter, shape in SHAPES.items():
        common = torch.randn(replicas, *shape, generator=random, dtype=torch.float64)
        for name, tensors in result.items():
            values = (common + torch.randn(common.shape, generator=random, dtype=torch.float64)).mul(2).exp()
            if len(shape) > 1:
                values[..., :5] = 0  # dead inputs
            if name == "signal":
                values = values.round(decimals=1)
            if name == "si":
                values = values - values.median() / 2
            tensors[parameter] = values.to(dtype)
    return result


def flat(importance: dict[str, Tensor], tensor: str, replica: int) -> np.ndarray:
    names = SHAPES if tensor == "all" else [tensor]
    return np.concatenate([importance[name][replica].double().flatten().numpy() for name in names])


def only(**estimators: list[float] | Tensor) -> dict[str, dict[str, Tensor]]:
    """Importances with the single parameter ``w`` and a single replica."""
    return {name: {"w": torch.as_tensor(values).double()[None]} for name, values in estimators.items()}


def values(importance: dict[str, dict[str, Tensor]], tensor: str = "w") -> dict[str, float]:
    """The coefficients of the first pair in one tensor."""
    table, _ = correlate("study", importance, [0], 1)
    first = table[table["tensor"] == tensor].head(len(COEFFICIENTS))
    return dict(zip(first["coefficient"], first["value"], strict=True))


def reference(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """The four coefficients of one pair, each from its definition."""
    both = (x > 0) & (y > 0)
    k = max(1, round(0.1 * len(x)))
    top_x, top_y = (set(np.argsort(-entries, kind="stable")[:k]) for entries in (x, y))
    return {
        "pearson": stats.pearsonr(x, y).statistic,
        "spearman": stats.spearmanr(x, y).statistic,
        "pearson_log": stats.pearsonr(np.log(x[both]), np.log(y[both])).statistic,
        "overlap_top10": len(top_x & top_y) / k,
    }


@pytest.mark.filterwarnings("ignore:An input array is constant")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("seed", SWEEP)
def test_agrees_with_scipy(seed: int, dtype: torch.dtype) -> None:
    importance = importances(seed, dtype=dtype)
    table, _ = correlate("study", importance, [7, 9], 1)
    assert tuple(table.columns) == COLUMNS["correlation"]
    assert len(table) == 2 * (len(SHAPES) + 1) * 6 * len(COEFFICIENTS)
    observed = table.set_index(["tensor", "estimator_a", "estimator_b", "seed", "coefficient"])["value"]
    for tensor in [*SHAPES, "all"]:
        for a, b in combinations(importance, 2):
            for replica, network in enumerate((7, 9)):
                x, y = flat(importance[a], tensor, replica), flat(importance[b], tensor, replica)
                if ((x > 0) & (y > 0)).sum() < 3:
                    continue
                for coefficient, value in reference(x, y).items():
                    key = (tensor, a, b, network, coefficient)
                    assert observed[key] == pytest.approx(value, rel=1e-10, abs=1e-11), key


def test_average_ranks_are_those_of_scipy() -> None:
    draw = np.random.default_rng(0)
    values = np.stack([draw.normal(size=500), draw.integers(5, size=500), np.zeros(500), np.full(500, np.nan)], 1)
    np.testing.assert_array_equal(average_ranks(torch.from_numpy(values)).numpy(), stats.rankdata(values, axis=0))


@pytest.mark.parametrize("slope", [0.5, 1.0, -2.0])
def test_the_slope_of_a_power_law_is_its_exponent_over_positive_entries(slope: float) -> None:
    first = torch.rand(40, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.1
    second = 7 * first**slope
    first[0], second[1] = 0, -3
    expected = torch.tensor([[1, slope], [1 / slope, 1]], dtype=torch.float64)
    torch.testing.assert_close(log_slopes(torch.stack([first, second], 1)), expected)


def test_logarithms_omit_entries_not_positive_in_both() -> None:
    # the remaining entries are (1, 1), (e, e²), (e², e): exponents (0, 0), (1, 2), (2, 1), with correlation 1/2
    e = np.e
    observed = only(a=[1, e, e**2, 0, 5, -1, 7], b=[1, e**2, e, 3, 0, 4, -2])
    assert values(observed)["pearson_log"] == pytest.approx(0.5)
    shares = excluded(observed, [0])
    assert list(shares["tensor"]) == ["w", "all"]
    assert shares["excluded"].tolist() == pytest.approx([4 / 7, 4 / 7])


@pytest.mark.parametrize(
    ("n", "k"),
    [(1, 1), (4, 1), (10, 1), (14, 1), (16, 2), (150, 15), (300, 30)],
)
def test_overlap_counts_the_top_tenth(n: int, k: int) -> None:
    ascending = torch.arange(n) + 1.0
    shifted = ascending.roll(1)  # moves the largest entry to the front, out of the top tenth
    expected = (k - 1) / k if n > 1 else np.nan
    assert values(only(a=ascending, b=shifted))["overlap_top10"] == pytest.approx(expected, nan_ok=True)


def test_overlap_breaks_ties_by_position() -> None:
    tied = [3.0] * 5 + [1.0] * 15  # the top two are places 0 and 1
    places = {(0, 1): 1.0, (1, 2): 0.5, (3, 4): 0.0}
    for (one, two), expected in places.items():
        other = torch.zeros(20)
        other[[one, two]] = 1.0
        assert values(only(a=tied, b=other))["overlap_top10"] == expected


@pytest.mark.parametrize("factor", [1e-30, 0.3, 1e20])
@pytest.mark.parametrize("seed", SWEEP)
def test_a_positive_factor_changes_nothing(seed: int, factor: float) -> None:
    importance = importances(seed)
    scaled = importance | {"fisher": {name: tensor * factor for name, tensor in importance["fisher"].items()}}
    expected, _ = correlate("study", importance, [0, 1], 1)
    observed, _ = correlate("study", scaled, [0, 1], 1)
    # a common factor per tensor keeps the order within `all` too, since every tensor has the same
    np.testing.assert_allclose(observed["value"], expected["value"], rtol=1e-9, atol=1e-10)


def test_identical_and_opposite_estimators() -> None:
    x = torch.rand(100, generator=torch.Generator().manual_seed(0)) + 0.1
    assert list(values(only(a=x, b=x)).values()) == pytest.approx([1, 1, 1, 1])
    assert list(values(only(a=x, b=1 / x)).values())[1:] == pytest.approx([-1, -1, 0])


def test_coefficients_stay_within_one() -> None:
    for seed in range(20):
        x = torch.rand(1000, generator=torch.Generator().manual_seed(seed))
        assert max(values(only(a=x, b=3 * x)).values()) <= 1


@pytest.mark.parametrize("constant", [0.0, 0.1, -2.0, 1 / 3])
def test_a_constant_estimator_has_no_correlation(constant: float) -> None:
    x = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    observed = values(only(a=x, b=torch.full((1000,), constant)))
    assert set(observed) == set(COEFFICIENTS)
    assert all(np.isnan(value) for value in observed.values())


def test_a_constant_estimator_does_not_affect_other_pairs() -> None:
    x, y = torch.rand(2, 1000, generator=torch.Generator().manual_seed(0))
    alone = values(only(a=x, b=y))
    assert values(only(a=x, b=y, c=torch.zeros(1000))) == pytest.approx(alone)


@pytest.mark.parametrize("offset", [1.0, 1e-6, 1e6])
def test_constant_logarithms_have_no_correlation(offset: float) -> None:
    x = torch.rand(100_000, generator=torch.Generator().manual_seed(1)).double() + 0.5
    x[:50_000] = offset
    y = torch.rand(100_000, generator=torch.Generator().manual_seed(2)).double() + 0.5
    y[50_000:] = 0
    observed = values(only(a=x, b=y))
    assert np.isnan(observed["pearson_log"])
    assert not np.isnan(observed["pearson"])


def test_a_small_spread_of_logarithms_is_kept() -> None:
    spread = torch.rand(2, 1000, generator=torch.Generator().manual_seed(3)).double()
    near = 1 + 1e-7 * spread
    expected = np.corrcoef(spread)[0, 1]
    assert values(only(a=near[0], b=near[1]))["pearson_log"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "defined"), [(2, False), (3, True)])
def test_a_correlation_needs_three_entries(n: int, defined: bool) -> None:
    observed = values(only(a=[1.0, 2.0, 4.0][:n], b=[5.0, 3.0, 4.0][:n]))
    assert [not np.isnan(observed[name]) for name in COEFFICIENTS] == [defined, defined, defined, True]
    padded = values(only(a=[1.0, 2.0, 4.0][:n] + [0.0] * 5, b=[5.0, 3.0, 4.0][:n] + [1.0] * 5))
    assert np.isnan(padded["pearson_log"]) != defined


@pytest.mark.parametrize("seed", SWEEP)
def test_the_null_is_centred(seed: int) -> None:
    permutations = 40
    table, null = correlate("study", importances(seed), [seed, seed + 100], permutations)
    assert tuple(null.columns) == COLUMNS["correlation_null"]
    assert len(null) == len(table) * permutations
    assert sorted(null["permutation"].unique()) == list(range(permutations))
    for (tensor, coefficient), group in null.groupby(["tensor", "coefficient"]):
        if tensor == "fc2.bias":  # four entries, of which too few may be positive
            continue
        # the pairs share their permutations, so only permutations and seeds count as independent
        means = group.groupby(["seed", "permutation"])["value"].mean()
        n = sum(int(np.prod(SHAPES[name])) for name in SHAPES if tensor in (name, "all"))
        k = round(n / 10)
        # The exact deviation under permutation is a better bound than that over draws: with heavy tails, most draws of
        # Pearson's coefficient are below zero and few are far above.
        deviation = {
            "pearson": 1 / np.sqrt(n - 1),
            "spearman": 1 / np.sqrt(n - 1),
            "pearson_log": means.std(),
            "overlap_top10": stats.hypergeom(n, k, k).std() / k,
        }[coefficient]
        expected = k / n if coefficient == "overlap_top10" else 0.0
        assert abs(means.mean() - expected) < 4.5 * deviation / np.sqrt(len(means)), (tensor, coefficient)


def test_the_null_has_the_spread_of_independent_entries() -> None:
    _, null = correlate("study", importances(0, replicas=1), [0], 300)
    spearman = null.query("tensor == 'all' and coefficient == 'spearman' and estimator_b == 'si'")["value"]
    n = sum(int(np.prod(shape)) for shape in SHAPES.values())
    assert spearman.std() == pytest.approx(1 / np.sqrt(n - 1), rel=0.12)


def test_the_null_permutes_the_second_estimator_jointly() -> None:
    """One permutation for all pairs: identical second estimators have identical nulls, which differ by permutation."""
    x, y = torch.rand(2, 100, generator=torch.Generator().manual_seed(0))
    _, null = correlate("study", only(a=x, b=y, c=y), [0], 3)
    b, c = (null.query(f"estimator_a == 'a' and estimator_b == '{name}'")["value"].to_numpy() for name in "bc")
    np.testing.assert_array_equal(b, c)
    assert len(set(b.round(12))) > 3


def test_permutations_differ_between_seeds_tensors_and_indices() -> None:
    """With equal entries for two seeds in two tensors of one size, only the permutations differ."""
    x, y = torch.rand(2, 100, generator=torch.Generator().manual_seed(0))
    twice = {name: {"v": torch.stack([z, z]), "w": torch.stack([z, z])} for name, z in {"a": x, "b": y}.items()}
    _, null = correlate("study", twice, [0, 1], 3)
    spearman = null.query("coefficient == 'spearman' and tensor != 'all'")
    assert len(spearman) == 2 * 2 * 3
    assert spearman["value"].round(12).is_unique


def test_a_seed_does_not_depend_on_the_others() -> None:
    importance = importances(3, replicas=3)
    together = correlate("study", importance, [4, 8, 2], 2)
    alone = {
        estimator: {name: tensor[1:2] for name, tensor in tensors.items()} for estimator, tensors in importance.items()
    }
    for whole, part in zip(together, correlate("study", alone, [8], 2), strict=True):
        pd.testing.assert_frame_equal(whole[whole["seed"] == 8].reset_index(drop=True), part, check_exact=True)


def test_more_permutations_keep_the_first_ones() -> None:
    few, many = (correlate("study", importances(1), [0, 1], count)[1] for count in (2, 4))
    pd.testing.assert_frame_equal(many[many["permutation"] < 2].reset_index(drop=True), few, check_exact=True)


def test_entries_that_are_not_finite_are_named() -> None:
    importance = importances(0)
    importance["mas"]["fc1.bias"][1, 3] = torch.nan
    with pytest.raises(UserError, match=r"'mas' of fc1.bias for seed 6"):
        correlate("study", importance, [5, 6], 1)


def test_one_estimator_has_no_pair() -> None:
    with pytest.raises(UserError, match="at least two estimators"):
        correlate("study", {"fisher": importances(0)["fisher"]}, [0, 1], 1)


def test_estimators_of_different_networks_are_refused() -> None:
    importance = importances(0)
    del importance["mas"]["fc1.bias"]
    with pytest.raises(ValueError, match="'mas' have shapes"):
        correlate("study", importance, [0, 1], 1)


def test_seeds_and_replicas_of_different_number_are_refused() -> None:
    with pytest.raises(ValueError, match="2 replicas for 3 seeds"):
        correlate("study", importances(0), [0, 1, 2], 1)
