"""The explorer: counts of weights, numbers of the tables, and the page's content security policy."""

import base64
import gzip
import hashlib
import json
import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from weight_importance.analysis.densities import (
    BEYOND,
    BINS,
    FEW,
    LEVELS,
    NOT_POSITIVE,
    STEPS_PER_DOUBLING,
    axis,
    density,
    level_of,
)
from weight_importance.explorer.page import LEAST_CONTRAST, SURFACES, against, contents, contrast, fill, looks
from weight_importance.figures.style import PALETTE
from weight_importance.files.tables import COLUMNS
from weight_importance.settings import Protocol

NAMES = ["fisher_empirical", "mas", "si"]  # in the order of their list
PAIRS = list(combinations(NAMES, 2))


def count_of(levels: np.ndarray) -> np.ndarray:
    """The counts that levels represent, as the page computes them."""
    return np.where(levels > 0, np.round(2.0 ** ((levels.astype(float) - 1) / STEPS_PER_DOUBLING)), 0)


def importances(n: int, seed: int) -> list[np.ndarray]:
    """Three estimators of n weights: two similar ones, the third with zeros and negative values."""
    random = np.random.default_rng(seed)
    first = np.exp(random.normal(size=n) * 3)
    third = random.normal(size=n)
    third[: n // 4] = 0
    return [first, np.sqrt(first) * np.exp(random.normal(size=n)), third]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [FEW + 1, 20_000])
def test_cells_count_their_weights(seed, n):
    values = importances(n, seed)
    result = density([axis(one) for one in values])
    assert not result.few and result.entries == n
    for place, (i, j) in enumerate(combinations(range(3), 2)):
        both = (values[i] > 0) & (values[j] > 0)
        assert result.positive[place] == both.sum()
        edges = [np.linspace(*result.ranges[one], BINS + 1) for one in (i, j)]
        expected, _, _ = np.histogram2d(*(np.log10(values[one][both]) for one in (i, j)), bins=edges)
        # numpy's last cell includes its last edge, where there is no weight
        assert result.shown[place] == expected.sum()
        np.testing.assert_allclose(count_of(result.content[place]), expected, rtol=0.091, atol=0.5)


@pytest.mark.parametrize("n", [1, 10, FEW])
def test_every_weight_of_a_small_tensor_is_kept(n):
    values = importances(n, seed=n)
    result = density([axis(one) for one in values])
    assert result.few and result.content.shape == (3, n)
    for one, (low, high), kept in zip(values, result.ranges, result.content, strict=True):
        positive = one > 0
        assert (kept[~positive] == NOT_POSITIVE).all()
        if positive.any():
            middle = low + (kept[positive] + 0.5) / LEVELS * (high - low)
            assert np.abs(middle - np.log10(one[positive])).max() <= (high - low) / LEVELS


def test_outliers_are_beyond_the_axis_and_not_in_its_cells():
    values = np.ones(5000) + np.arange(5000) / 5000
    values[0] = 1e30
    result = axis(values)
    assert result.codes[0] == BEYOND and (result.codes[1:] < BINS).all()
    pair = density([result, axis(np.ones(5000))])
    assert pair.positive.tolist() == [5000] and pair.shown.tolist() == [4999]


def test_an_estimator_without_positive_values_has_no_axis():
    result = density([axis(np.ones(10)), axis(np.zeros(10))])
    assert np.isnan(result.ranges[1]).all() and result.shown.tolist() == [0]


def test_levels_represent_counts_within_9_per_cent():
    counts = np.concatenate([np.arange(12), np.geomspace(12, 1e15, 500).astype(int)])
    again = count_of(level_of(counts))
    assert (again[:5] == counts[:5]).all()
    assert (np.abs(again - counts) <= 0.091 * counts + 0.5).all()


SETTINGS = {
    "one": {
        "networks_of": None, "network": "mlp", "datasets": ["mnist"], "protocol": Protocol().model_dump(),
        "seeds": 2, "estimators": NAMES[::-1],
        "tasks": {"kind": "permuted", "count": 2}, "shards": ["seeds-0-1"],
        "retention": {"seeds": None, "penalty": "plain", "batch_norm": "running"},
    },
    "like_it": {
        "networks_of": "one", "network": "mlp", "datasets": ["mnist"], "protocol": Protocol().model_dump(), "seeds": 2,
        "estimators": ["mas"], "tasks": {"kind": "permuted", "count": 2}, "shards": [],
        "retention": {"seeds": 1, "penalty": "stabilised", "batch_norm": "frozen"},
    },
}  # fmt: skip


def tables() -> dict[str, pd.DataFrame]:
    # pairs in the order of the rule, not of the page
    pairs = [(b, a, 0.1 * place) for place, (a, b) in enumerate(PAIRS)]
    correlation = [
        ("one", tensor, a, b, coefficient, seed, value + 0.01 * seed)
        for tensor in ("fc1.weight", "all")
        for a, b, value in pairs
        for coefficient in ("pearson", "spearman")
        for seed in range(2)
    ]
    null = [(*row[:-1], permutation, 0.001 * permutation) for row in correlation for permutation in range(3)]
    retention = [
        (study, name, strength, seed, learnt, task, "test", np.nan if strength == 9 else 0.5 + 0.1 * task)
        for study, name, strength in (
            ("one", "mas", 1.0), ("one", "mas", 9.0), ("one", "none", 0.0), ("one", "shuffled(mas)", 1.0),
            ("like_it", "mas", 2.0),
        )
        for seed in range(2)
        for learnt in (1, 2)
        for task in (1, 2)
    ]  # fmt: skip
    rows = {
        "correlation": correlation,
        "correlation_null": null,
        "retention": retention,
        "selected_lambda": [("one", "mas", 1.0, "validation"), ("one", "shuffled(mas)", np.nan, "validation")],
        "pruning": [("one", "tensor", name, seed, 0.5, 0.9) for name in ("mas", "random") for seed in range(2)],
    }
    return {name: pd.DataFrame(result, columns=list(COLUMNS[name])) for name, result in rows.items()}


@pytest.fixture(scope="module")
def filled():
    large, small = importances(5000, seed=0), importances(8, seed=1)
    densities = {
        "one": {
            "fc1.weight": ((50, 50), density([axis(one) for one in large])),
            "all": ((), density([axis(one) for one in small])),
        }
    }
    return contents(SETTINGS, tables(), densities)


def test_numbers_equal_those_of_the_tables(filled):
    one, like_it = filled[0]["studies"]
    assert one["estimators"] == NAMES
    assert one["names"] == [*NAMES, "shuffled(mas)"]
    result = one["agreement"]["fc1.weight"]["pearson"]
    assert [mean for mean, _, _ in result["pairs"]] == pytest.approx([0.005, 0.105, 0.205])
    assert result["n"] == 2 and result["null"] == pytest.approx([0.0, 0.002], abs=1e-4)
    assert one["retention"]["mas"][0][:2] == [1, 0.65]
    assert one["retention"]["mas"][1] == [9, None, None, None, 2]
    assert one["selected"] == {"mas": 1}
    assert one["pruning"]["tensor"]["random"][0][:2] == [0.5, 0.9]
    assert (like_it["like"], like_it["estimators"], like_it["names"], like_it["tensors"]) == ("one", [], ["mas"], [])
    for words in ("stabilised", "frozen", "(1 learn the later tasks)"):
        assert words in like_it["text"]


def test_densities_are_at_their_offsets(filled):
    data, densities = filled
    weight, everything = data["studies"][0]["tensors"]
    assert (weight["offset"], everything["offset"]) == (0, len(PAIRS) * BINS**2)
    assert len(densities) == everything["offset"] + len(NAMES) * everything["entries"]


def test_a_study_without_rows_is_shown():
    nothing = {name: pd.DataFrame(columns=list(columns)) for name, columns in COLUMNS.items()}
    data, densities = contents(SETTINGS, nothing, {})
    assert densities == b"" and [study["names"] for study in data["studies"]] == [[], []]


def test_the_policy_allows_only_the_page_s_script_and_style(filled):
    texts = {
        "page.html": '<meta content="{{policy}}"><style>{{style}}</style><b>{{data}}</b><i>{{densities}}</i>'
        "<script>{{script}}</script>",
        "style.css": "a{}", "charts.js": "1;", "page.js": "2;",
    }  # fmt: skip
    data = filled[0] | {"more": "</script>"}
    page = fill(texts, data, filled[1])
    policy = re.search('content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    for text in ("a{}", "1;2;"):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert page.count("</script>") == 1, "content cannot end its element"
    assert json.loads(re.search("<b>(.*)</b>", page)[1]) == data
    assert gzip.decompress(base64.b64decode(re.search("<i>(.*)</i>", page)[1])) == filled[1]
    assert fill(texts, data, filled[1]) == page


def test_colours_have_enough_contrast_in_both_themes():
    for surface in SURFACES.values():
        for colour in PALETTE:
            assert contrast(against(colour, surface), surface) >= LEAST_CONTRAST
    assert against("#117733", "#ffffff") == "#117733", "colours with enough contrast are unchanged"
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_ablations_are_named_with_their_estimators():
    assert looks("shuffled(mas)", 0)["label"].startswith("shuffled ")
    names = [looks(name, 0)["label"] for name in ("values_of(mas)_in_ranks_of(si)", "values_of(si)_in_ranks_of(mas)")]
    assert len(set(names)) == 2 and all("in ranks of" in name for name in names)
