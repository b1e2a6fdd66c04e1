"""A study and its variants: matched strengths, paired differences, ranges of usable strengths."""

import math

import pandas as pd
import pytest

from studies import PUBLISHED, changed
from weight_importance.figures.variants import variants as variants_figure
from weight_importance.files.tables import COLUMNS
from weight_importance.findings.statistics import interval
from weight_importance.findings.variants import (
    OUTCOMES,
    compared,
    curves,
    plain_lambda,
    short_name,
    usable_range,
    variants,
)
from weight_importance.settings import Protocol

NAN = math.nan
PLAIN = changed(PUBLISHED, protocol=Protocol())
STABILISED = changed(PLAIN, retention={"penalty": "stabilised", "clamp_negative": True})
SAME_NETWORKS = {"companion_of": "net", "networks_of": "net"}
SETTINGS = {
    "net": PLAIN,
    "net_stabilised": changed(STABILISED, **SAME_NETWORKS),
    "net_frozen": changed(PLAIN, **SAME_NETWORKS),
    "net_published": changed(PUBLISHED, companion_of="net"),
    "net_atlas": changed(PLAIN, networks_of="net"),
    "other_frozen": changed(PLAIN, companion_of="other", networks_of="other"),
}


def retention(accuracies: dict[tuple[str, str, float], list[float]]) -> pd.DataFrame:
    """Retention from final test accuracies by study, estimator and λ; other accuracies differ."""
    rows = [
        (study, name, strength, seed, learnt, task, split, accuracy if (learnt, split) == (2, "test") else 0.01)
        for (study, name, strength), by_seed in accuracies.items()
        for seed, accuracy in enumerate(by_seed)
        for learnt in (1, 2)
        for task in range(1, learnt + 1)
        for split in ("validation", "test")
    ]
    return pd.DataFrame(rows, columns=COLUMNS["retention"])


TABLE = retention(
    {
        ("net", "mas", 0.03): [0.80, 0.82, 0.99],
        ("net", "mas", 0.1): [0.90, 0.92, 0.99],
        ("net", "si", 1.0): [0.5, 0.5, 0.5],
        ("net", "none", 0.0): [0.3, 0.4, 0.5],
        ("net_stabilised", "mas", 0.06): [0.81, 0.84],
        ("net_stabilised", "mas", 0.1): [0.7, 0.7],
        ("net_frozen", "mas", 0.1): [0.95, NAN],
        ("net_frozen", "none", 0.0): [0.4, 0.6],
        ("net_published", "mas", 0.1): [0.1, 0.1],
        ("other_frozen", "mas", 0.1): [0.2, 0.2],
    }
)


def row(result: pd.DataFrame, variant: str, estimator: str) -> dict:
    (result,) = result[(result["variant"] == variant) & (result["estimator"] == estimator)].to_dict("records")
    return result


def test_variants_are_the_companions_with_the_same_networks():
    assert variants("net", SETTINGS) == ["net_stabilised", "net_frozen"]
    assert variants("net_frozen", SETTINGS) == []
    assert short_name("net_stabilised", "net") == "stabilised"
    assert short_name("a_frozen", "net") == "a frozen"


def test_the_stabilised_strength_is_matched_with_half_its_value():
    assert plain_lambda(82.0, STABILISED) == 41.0
    assert plain_lambda(82.0, PLAIN) == 82.0
    result = row(compared("net", SETTINGS, TABLE), "net_stabilised", "mas")
    # 0.1 has no counterpart: 0.05 was not run
    assert (result["lambda"], result["lambda_counterpart"]) == (0.06, 0.03)


def test_a_plain_variant_of_a_stabilised_study_is_matched_with_twice_its_strength():
    settings = {"net": STABILISED, "net_plain": changed(PLAIN, **SAME_NETWORKS)}
    table = retention({("net", "mas", 6.0): [0.5, 0.6], ("net_plain", "mas", 3.0): [0.4, 0.7]})
    result = row(compared("net", settings, table), "net_plain", "mas")
    assert (result["lambda"], result["lambda_counterpart"]) == (3.0, 6.0)


def test_differences_are_paired_over_common_seeds():
    result = row(compared("net", SETTINGS, TABLE), "net_stabilised", "mas")
    expected = interval([0.01, 0.02])
    parts = [result[f"{name}_difference"] for name in ("mean", "low", "high")]
    assert parts == pytest.approx([expected.mean, expected.low, expected.high])
    assert result["n"] == 2
    # the variant lacks the third seed
    assert result["mean_counterpart"] == pytest.approx(0.81)
    assert result["mean_variant"] == pytest.approx(0.825)
    assert result["low_counterpart"] == pytest.approx(interval([0.80, 0.82]).low)


def test_variants_are_compared_without_a_penalty():
    result = row(compared("net", SETTINGS, TABLE), "net_frozen", "none")
    assert (result["lambda"], result["lambda_counterpart"]) == (0.0, 0.0)
    assert result["mean_difference"] == pytest.approx(0.15)


def test_a_diverged_run_has_no_difference():
    result = row(compared("net", SETTINGS, TABLE), "net_frozen", "mas")
    assert math.isnan(result["mean_variant"])
    assert math.isnan(result["mean_difference"])
    assert result["mean_counterpart"] == pytest.approx(0.91)


def test_a_study_without_variants_or_results_has_nothing_to_compare():
    for settings, table in (({"net": PLAIN}, TABLE), (SETTINGS, TABLE.head(0))):
        result = compared("net", settings, table)
        assert result.empty
        assert "mean_difference" in result.columns
    assert set(curves("net", {"net": PLAIN}, TABLE)["study"]) == {"net"}
    assert curves("net", SETTINGS, TABLE.head(0)).empty
    assert usable_range("net", {"net": PLAIN}, TABLE).empty
    assert usable_range("net", SETTINGS, TABLE.head(0)).empty


def test_curves_have_all_seeds_and_strengths_of_the_plain_penalty():
    result = curves("net", SETTINGS, TABLE).set_index(["study", "estimator", "lambda"])
    assert set(result.index.get_level_values("study")) == {"net", "net_stabilised", "net_frozen"}
    assert result.loc[("net", "mas", 0.1), "n"] == 3
    assert result.loc[("net_stabilised", "mas", 0.06), "plain_lambda"] == 0.03


def ranges(study: dict[float, float], variant: dict[float, float] | None = None, seeds: int = 2) -> dict:
    """The row of one variant from means by strength of the study and of the variant (default: equal)."""
    means = {"net": study, "net_frozen": study if variant is None else variant}
    table = retention(
        {
            (name, "mas", strength): [mean] * seeds
            for name, by_strength in means.items()
            for strength, mean in by_strength.items()
        }
    )
    return row(usable_range("net", SETTINGS, table), "net_frozen", "mas")


PEAK = {1.0: 0.80, 2.0: 0.892, 4.0: 0.90, 8.0: 0.89, 16.0: 0.88}


def test_the_usable_range_is_within_one_point_of_the_best():
    result = ranges(PEAK)
    for who in ("variant", "counterpart"):
        limits = [result[f"{name}_{who}"] for name in ("best_lambda", "low", "high", "factor")]
        assert limits == [4.0, 2.0, 8.0, 4.0]
        assert result[f"best_{who}"] == pytest.approx(0.9)
        assert (result[f"open_low_{who}"], result[f"open_high_{who}"]) == (False, False)
    assert (result["strengths"], result["n"]) == (5, 2)


def test_the_usable_range_may_end_with_the_common_strengths():
    result = ranges({1.0: 0.80, 2.0: 0.90, 4.0: 0.905})
    assert (result["low_variant"], result["high_variant"]) == (2.0, 4.0)
    assert (result["open_low_variant"], result["open_high_variant"]) == (False, True)
    alone = ranges({3.0: 0.8}, seeds=1)
    assert (alone["factor_variant"], alone["open_low_variant"], alone["open_high_variant"]) == (1.0, True, True)
    assert (alone["n"], alone["outcome"]) == (1, "undecided")


def test_the_usable_range_has_no_gap():
    result = ranges({1.0: 0.895, 2.0: 0.7, 4.0: 0.90, 8.0: NAN, 16.0: 0.899})
    assert (result["low_variant"], result["high_variant"]) == (4.0, 4.0)


@pytest.mark.parametrize("lost", ["study", "variant", "both"])
def test_if_every_strength_diverged_there_is_no_range_and_no_order(lost):
    nothing = dict.fromkeys(PEAK, NAN)
    result = ranges(PEAK if lost == "variant" else nothing, PEAK if lost == "study" else nothing)
    assert result["outcome"] == "undecided"
    for who, missing in (("variant", lost != "study"), ("counterpart", lost != "variant")):
        assert math.isnan(result[f"factor_{who}"]) == missing


def test_only_common_strengths_and_seeds_determine_the_range():
    study = PEAK | {3.0: 0.95, 32.0: 0.99}
    assert ranges(study, PEAK) == ranges(PEAK, PEAK)
    assert ranges(PEAK, study) == ranges(PEAK, PEAK)
    rows = {("net", "mas", strength): [mean, mean] for strength, mean in PEAK.items()}
    # a third seed of the study that would make another strength its best
    third = {key: [*values, 0.99 if key[2] == 16.0 else 0.1] for key, values in rows.items()}
    variant = {("net_frozen", *key[1:]): values for key, values in rows.items()}
    result = row(usable_range("net", SETTINGS, retention(third | variant)), "net_frozen", "mas")
    assert result == ranges(PEAK)


def test_the_stabilised_range_equals_the_plain_one_at_half_the_strength():
    rows = {("net", "mas", strength): [mean] * 2 for strength, mean in PEAK.items()}
    rows |= {("net_stabilised", "mas", 2 * strength): [mean] * 2 for strength, mean in PEAK.items()}
    result = row(usable_range("net", SETTINGS, retention(rows)), "net_stabilised", "mas")
    for name in ("best_lambda", "low", "high", "factor"):
        assert result[f"{name}_variant"] == result[f"{name}_counterpart"]
    assert result["outcome"] == "not resolved"


# named by the strengths at which accuracy is within a point of the best
CLOSED = {1.0: 0.5, 2.0: 0.5, 4.0: 0.9, 8.0: 0.9, 16.0: 0.5, 32.0: 0.5}
WIDE = {1.0: 0.5, 2.0: 0.9, 4.0: 0.9, 8.0: 0.9, 16.0: 0.5, 32.0: 0.5}
SHIFTED = {1.0: 0.5, 2.0: 0.9, 4.0: 0.9, 8.0: 0.5, 16.0: 0.5, 32.0: 0.5}
OPEN = {1.0: 0.5, 2.0: 0.5, 4.0: 0.5, 8.0: 0.9, 16.0: 0.9, 32.0: 0.9}
OPEN_NARROW = {1.0: 0.9, 2.0: 0.5, 4.0: 0.5, 8.0: 0.5, 16.0: 0.5, 32.0: 0.5}
EVERYWHERE = dict.fromkeys(CLOSED, 0.9)


@pytest.mark.parametrize(
    ("variant", "study", "outcome"),
    [
        (WIDE, CLOSED, "wider"),
        (CLOSED, WIDE, "narrower"),
        (CLOSED, SHIFTED, "not resolved"),
        # an open range has at least this width, so it can be wider for certain
        (OPEN, CLOSED, "wider"),
        (CLOSED, OPEN, "narrower"),
        # but a smaller or seemingly equal range may extend beyond the common strengths
        (OPEN_NARROW, CLOSED, "undecided"),
        (CLOSED, OPEN_NARROW, "undecided"),
        (OPEN, WIDE, "undecided"),
        (WIDE, OPEN, "undecided"),
        (OPEN_NARROW, EVERYWHERE, "undecided"),
        (EVERYWHERE, EVERYWHERE, "undecided"),
    ],
)
def test_ranges_are_ordered_only_if_the_grid_suffices(variant, study, outcome):
    assert outcome in OUTCOMES
    assert ranges(study, variant)["outcome"] == outcome


def test_every_pair_has_a_row_even_without_a_common_strength():
    result = usable_range("net", SETTINGS, TABLE)
    # the variants lack SI, and training without a penalty has no strength
    assert list(zip(result["variant"], result["estimator"], strict=True)) == [
        ("net_stabilised", "mas"),
        ("net_frozen", "mas"),
    ]
    apart = ranges({1.0: 0.9}, {2.0: 0.9})
    assert (apart["strengths"], apart["n"], apart["outcome"]) == (0, 0, "undecided")
    assert math.isnan(apart["factor_variant"])


def test_strips_of_the_figure_show_the_ranges_over_common_strengths():
    wide = {("net", "mas", strength): [0.9, 0.9] for strength in (1.0, 2.0, 4.0, 8.0, 16.0)}
    narrow = {("net_frozen", "mas", strength): [0.9, 0.9] for strength in (2.0, 4.0)}
    figure = variants_figure("net", SETTINGS, retention(wide | narrow))
    curve_axes, strip = (axes for axes in figure.axes if axes.axison)
    study, variant = (list(line.get_xdata()) for line in curve_axes.lines)
    assert (study, variant) == ([1.0, 2.0, 4.0, 8.0, 16.0], [2.0, 4.0])
    assert [list(line.get_xdata()) for line in strip.lines if len(line.get_xdata()) == 2] == [[2.0, 4.0]] * 2
