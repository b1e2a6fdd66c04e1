"""The map of all estimators: similarity, groups, scores, and their association (Mantel test)."""

import math
from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr, ttest_1samp

from weight_importance.analysis.used import correlation_used
from weight_importance.figures.atlas import atlas
from weight_importance.files.tables import COLUMNS
from weight_importance.findings.atlas import (
    clustered,
    groups,
    pruning_scores,
    retention_scores,
    similarity,
)
from weight_importance.findings.mantel import mantel_test
from weight_importance.findings.relations import Relation, relations
from weight_importance.findings.study import Findings
from weight_importance.paper.atlas import atlas as atlas_numbers

NAMES = ["fisher_empirical", "magnitude", "fisher_exact", "total_signal", "mas"]
# two groups of similar estimators: fisher_empirical, fisher_exact and mas; magnitude and total_signal
ALIKE = {("fisher_empirical", "fisher_exact"): 0.95, ("fisher_empirical", "mas"): 0.94, ("fisher_exact", "mas"): 0.92}
ALIKE |= {("magnitude", "total_signal"): 0.91}


def expected(first, second):
    return ALIKE.get((first, second), ALIKE.get((second, first), 0.1))


def correlation_table(coefficient="spearman"):
    rows = []
    for place, first in enumerate(NAMES):
        for second in NAMES[place + 1 :]:
            for seed in (0, 1):
                for tensor, shift in (("fc1.weight", -0.02), ("fc2.weight", 0.02), ("fc1.bias", 0.1), ("all", 0.06)):
                    value = expected(first, second) + shift + (0.01 if seed else -0.01)
                    rows.append(("study", tensor, first, second, coefficient, seed, value))
    return pd.DataFrame(rows, columns=COLUMNS["correlation"])


def retention_table(final):
    """``final``: estimator → λ → final test accuracy, 0.01 more for the second seed, different on validation data."""
    rows = [
        (
            "study",
            name,
            strength,
            seed,
            learnt,
            task,
            split,
            value + seed / 100 - (0.2 if learnt == 2 and task == 1 else 0) - (0.3 if split == "validation" else 0),
        )
        for name, values in final.items()
        for strength, value in values.items()
        for seed in (0, 1)
        for learnt, task in ((1, 1), (2, 1), (2, 2))
        for split in ("validation", "test")
    ]
    return pd.DataFrame(rows, columns=COLUMNS["retention"])


def selected_table(chosen):
    rows = [("study", name, strength, "validation") for name, strength in chosen.items()]
    return pd.DataFrame(rows, columns=COLUMNS["selected_lambda"])


def pruning_table(curves):
    rows = [
        ("study", scope, name, seed, fraction, (value if scope == "network" else 1 - value) + seed / 50)
        for scope in ("network", "tensor")
        for name, curve in curves.items()
        for fraction, value in curve.items()
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows, columns=COLUMNS["pruning"])


RETENTION = retention_table(
    {
        "none": {0.0: 0.5},
        "fisher_empirical": {1.0: 0.8, 2.0: 0.9, 3.0: 0.7},
        "mas": {1.0: 0.85, 2.0: 0.6},
        "fisher_exact": {1.0: 0.88},
        "magnitude": {1.0: 0.7},
        "total_signal": {1.0: 0.69},
    }
)
SELECTED = selected_table(
    {"none": 0.0, "fisher_empirical": 2.0, "mas": 1.0, "fisher_exact": 1.0, "magnitude": 1.0, "total_signal": 1.0}
)
PRUNING = pruning_table(
    {name: {0.0: 0.9, 0.5: 0.8 - place / 10, 1.0: 0.1} for place, name in enumerate(["random", *NAMES])}
)


def test_similarity_is_the_mean_over_weight_tensors_and_networks():
    square = similarity(correlation_table())
    assert list(square.index) == list(square.columns) == NAMES
    for first in NAMES:
        for second in NAMES:
            wanted = 1 if first == second else expected(first, second)
            assert square.loc[first, second] == pytest.approx(wanted, abs=1e-12)


def test_similarity_omits_tensors_without_a_correlation():
    table = correlation_table()
    pair = (table["estimator_a"] == "fisher_empirical") & (table["estimator_b"] == "mas")
    table.loc[pair & (table["tensor"] == "fc2.weight"), "value"] = math.nan
    assert similarity(table).loc["mas", "fisher_empirical"] == pytest.approx(0.92)
    table.loc[pair, "value"] = math.nan
    square = similarity(table)
    assert math.isnan(square.loc["mas", "fisher_empirical"])
    assert sorted(clustered(square)) == sorted(NAMES)


def test_groups_are_those_above_the_similarity():
    square = similarity(correlation_table())
    assert {frozenset(members) for members in groups(square)} == {
        frozenset({"fisher_empirical", "fisher_exact", "mas"}),
        frozenset({"magnitude", "total_signal"}),
    }
    # average linkage: mas joins the other two at (0.94 + 0.92) / 2
    assert [frozenset(members) for members in groups(square, 0.94)] == [frozenset({"fisher_empirical", "fisher_exact"})]
    assert groups(square, 0.96) == []
    assert [sorted(members) for members in groups(square, 0.0)] == [sorted(NAMES)]


def test_the_tree_puts_similar_estimators_next_to_each_other():
    order = clustered(similarity(correlation_table()))
    places = sorted(order.index(name) for name in ("fisher_empirical", "fisher_exact", "mas"))
    assert places in ([0, 1, 2], [2, 3, 4])


def test_retention_scores_are_at_the_selected_strength():
    result = retention_scores(RETENTION, SELECTED).set_index("estimator")
    # mean of tasks 1 and 2 after the last, the first 0.2 lower; seeds differ by 0.01
    assert result.loc["fisher_empirical", "mean"] == pytest.approx(0.9 - 0.1 + 0.005)
    assert result.loc["none", "mean"] == pytest.approx(0.5 - 0.1 + 0.005)
    assert result["at_edge"].to_dict() == {
        "fisher_empirical": False, "mas": True, "fisher_exact": False, "magnitude": False, "total_signal": False,
        "none": False,
    }  # fmt: skip


def test_pruning_scores_are_areas_under_the_curves():
    result = pruning_scores(PRUNING).set_index("criterion")
    # trapezoids: (0.9 + 0.8) / 4 + (0.8 + 0.1) / 4; the mean over seeds adds 0.01
    assert result.loc["random", "mean"] == pytest.approx(0.65 + 0.01)
    assert result.loc["mas", "mean"] == pytest.approx(0.65 - 0.25 + 0.01)
    up_to_half = pruning_scores(PRUNING.assign(fraction=PRUNING["fraction"] / 2)).set_index("criterion")
    assert up_to_half.loc["mas", "mean"] == pytest.approx(result.loc["mas", "mean"])


def test_stages_that_a_study_lacks_have_no_scores():
    empty = {name: pd.DataFrame(columns=list(COLUMNS[name])) for name in ("retention", "selected_lambda", "pruning")}
    assert retention_scores(empty["retention"], empty["selected_lambda"]).empty
    assert pruning_scores(empty["pruning"]).empty


def test_published_relations_are_compared_with_the_correlations(monkeypatch):
    published = (Relation(("mas", "fisher_exact"), 0.9, 1.0, 1), Relation(("mas", "si"), 1.0, 1.0, 1))
    monkeypatch.setattr("weight_importance.findings.relations.RELATIONS", published)
    result = relations(correlation_table("pearson"))
    assert result[["estimator_a", "estimator_b"]].to_numpy().tolist() == [["mas", "fisher_exact"]]
    assert result["mean"].item() == pytest.approx(0.98)  # the tensor all
    assert (result["least"].item(), result["most"].item(), result["n"].item()) == (0.9, 1.0, 2)
    assert result["verdict"].item() == "undecided"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.96, 0.97, 0.965], "as published"),
        ([0.951, 0.952, 0.949], "undecided"),  # the mean rounds to the published value, but not significantly
        ([0.93, 0.94, 0.935], "lower"),
        ([0.5], "undecided"),
    ],
)
def test_a_relation_is_as_published_if_a_test_shows_that_it_rounds_to_the_published_value(values, verdict):
    rows = [("study", "all", "mas", "masx", "pearson", seed, value) for seed, value in enumerate(values)]
    table = pd.DataFrame(rows, columns=COLUMNS["correlation"])
    row = relations(table).iloc[0]  # published: 1.0
    assert row["verdict"] == verdict
    if len(values) > 1:
        assert row["tost_p"] == pytest.approx(
            ttest_1samp(np.arctanh(values), np.arctanh(0.95), alternative="greater")[1]
        )


def test_the_mantel_test_over_families():
    """By hand: the rank correlation of six pairs, and its rank among those of all 24 permutations."""
    names = ["fisher_exact", "mas", "si", "magnitude", "fisher_empirical", "masx"]
    places = np.array([0.0, 1.0, 3.0, 7.0, 0.0, 1.0])
    square = pd.DataFrame(-np.abs(places[:, None] - places), index=names, columns=names)
    scores = pd.Series([0.2, 1.1, 2.5, 9.0, 0.0, 1.3], index=names)
    means = pd.Series([0.1, 1.2, 2.5, 9.0])  # of Fisher information, MAS, the path, magnitude

    def statistic(order):
        pairs = [*combinations(range(4), 2)]
        near = pd.Series([-abs(means[order[a]] - means[order[b]]) for a, b in pairs])
        return pd.Series([square.iat[pair] for pair in pairs]).corr(near, method="spearman")

    every = [statistic(order) for order in permutations(range(4))]
    result = mantel_test(square, scores)
    assert result.r == pytest.approx(every[0])
    assert result.p == pytest.approx(np.mean(np.abs(every) >= abs(every[0]) - 1e-9)) and result.n == 4


def test_variants_of_one_formula_count_once():
    square = similarity(correlation_table())
    scores = pd.Series(range(5), index=NAMES, dtype=float)
    twice = square.reindex(index=[*NAMES, "ggn"], columns=[*NAMES, "ggn"])
    twice.loc["ggn"], twice["ggn"] = twice.loc["fisher_exact"], twice["fisher_exact"]
    twice.loc["fisher_empirical"], twice["fisher_empirical"] = twice.loc["fisher_exact"], twice["fisher_exact"]
    scores["fisher_empirical"] = scores["fisher_exact"]
    once = twice.drop(index=["ggn", "fisher_empirical"], columns=["ggn", "fisher_empirical"])
    both = pd.concat([scores, scores[["fisher_exact"]].set_axis(["ggn"])])
    assert vars(mantel_test(twice, both)) == pytest.approx(vars(mantel_test(once, scores)))


def test_importances_are_correlated_as_they_are_used():
    """Pruning ignores signs, and the penalty negative values."""
    random = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(1, 6, 5, generator=random), torch.randn(1, 6, generator=random)
    other = torch.randn(1, 6, 5, generator=random)
    given = {"si": {"w": weight, "b": bias}, "mas": {"w": -weight, "b": bias}, "snip": {"w": other, "b": bias}}
    result = correlation_used("study", given, [4]).set_index(["use", "estimator_a", "estimator_b"])["value"]
    assert result["pruning", "si", "mas"] == pytest.approx(1)
    flat = {
        name: torch.cat([value.flatten() for value in tensors.values()]).clamp_min(0) for name, tensors in given.items()
    }
    assert result["retention", "si", "snip"] == pytest.approx(np.corrcoef(flat["si"], flat["snip"])[0, 1], abs=1e-6)
    ranks = spearmanr(weight.abs().flatten(), other.abs().flatten()).statistic
    assert result["pruning", "si", "snip"] == pytest.approx(ranks)


def test_one_estimator_has_no_groups():
    one = pd.DataFrame([[1.0]], index=["mas"], columns=["mas"])
    assert groups(one) == [] and clustered(one) == ["mas"]
    assert groups(one.iloc[:0, :0]) == [] and clustered(one.iloc[:0, :0]) == []


@pytest.mark.parametrize("count", [2, 3])
def test_too_few_estimators_have_no_mantel_statistic(count):
    square = similarity(correlation_table()).iloc[:count, :count]
    assert math.isnan(mantel_test(square, pd.Series(range(count), index=square.index, dtype=float)).r)


def used() -> pd.DataFrame:
    rows = correlation_table().query("tensor == 'all'")
    return pd.concat([rows.assign(use=use) for use in ("retention", "pruning")])


def test_numbers_of_the_map():
    pearson = correlation_table("pearson").assign(value=lambda table: table["value"].clip(upper=0.999))
    tables = {"correlation": pd.concat([correlation_table(), pearson]), "correlation_used": used()}
    scores = {"retention": RETENTION, "selected_lambda": SELECTED, "pruning": PRUNING}
    result = atlas_numbers(Findings(tables | scores))
    assert result["atlas/estimators/count"] == r"\num{5}" and result["atlas/pairs/count"] == r"\num{10}"
    assert result["atlas/groups/count"] == r"\num{2}" and result["atlas/alone/list"] == "none"
    assert result["atlas/retention/mantel/n"] == r"\num{4}", "both Fisher informations are one family"
    assert result["atlas/batch"] == r"\num{100}"
    assert result["atlas/pruning/best/label"] == "Fisher (empirical)"


def test_the_map_has_a_row_of_scores_for_every_estimator():
    square = similarity(correlation_table())
    drawn = atlas(square, "spearman", retention_scores(RETENTION, SELECTED), pruning_scores(PRUNING))
    drawn.canvas.draw()
    _, matrix, retained, spared, _ = drawn.axes
    shown = [text.get_text() for text in matrix.get_yticklabels()]
    assert shown == [text.get_text() for text in matrix.get_xticklabels()] and len(set(shown)) == 5
    # an interval and a dot per estimator; a ring for MAS; reference lines only if they are in view
    assert len(retained.lines) == 2 * 5 + 1 and len(spared.lines) == 2 * 5 + 1
    assert [axes.get_title() for axes in (retained, spared)] == ["no penalty: 40 %", "random: 66 %"]


def test_the_map_without_scores():
    empty = pruning_scores(PRUNING.iloc[:0])
    nothing = retention_scores(RETENTION.iloc[:0], SELECTED)
    drawn = atlas(similarity(correlation_table()), "spearman", nothing, empty)
    assert [text.get_text() for axes in drawn.axes[2:4] for text in axes.texts] == ["not computed"] * 2
