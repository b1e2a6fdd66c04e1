"""Results next to the published ones: the compared study, the comparisons, and their verdicts."""

import math

import numpy as np
import pandas as pd
import pytest

from studies import PUBLISHED, changed
from weight_importance.figures.reproduction import reproduction_lambda
from weight_importance.files.tables import COLUMNS as TABLES
from weight_importance.findings import published
from weight_importance.findings.pruning import pruning_means
from weight_importance.findings.reproduction import (
    COLUMNS,
    MARGIN,
    OUTCOMES,
    comparisons,
    departures,
    judge,
    published_best,
    retention_means,
    tally,
)
from weight_importance.findings.statistics import deviation, difference, equivalence, final_accuracy, interval
from weight_importance.settings import Protocol, RotatedTasks, stand_in

STUDY = "mlp_permuted_mnist"
FOLLOWER = f"{STUDY}_published"
FOLDER = "workflow/resources/published"
NAN = math.nan


HELD_OUT = changed(PUBLISHED, protocol=Protocol())
SETTINGS = {
    STUDY: HELD_OUT,
    f"{STUDY}_stabilised": changed(HELD_OUT, companion_of=STUDY),
    FOLLOWER: changed(PUBLISHED, companion_of=STUDY),
}
REDUCED = SETTINGS | {FOLLOWER: changed(SETTINGS[FOLLOWER], retention={"epochs": 1}, protocol={"reused_adam": False})}
CNN = "cnn_mnist_fashion"
CNN_SETTINGS = {
    CNN: changed(
        PUBLISHED, network="cnn", datasets=("mnist", "fashion_mnist"), tasks=RotatedTasks(kind="rotated", count=4)
    )
}


@pytest.fixture(scope="module")
def literature() -> pd.DataFrame:
    return published.retention(FOLDER)


@pytest.fixture(scope="module")
def literature_pruning() -> pd.DataFrame:
    return published.pruning(FOLDER)


def retention(literature, shifts: dict[tuple[str, float], float], study=FOLLOWER, tasks=10, seeds=3, of=STUDY):
    """Runs whose mean test accuracy is the published one plus a shift and scatter; validation accuracies differ."""
    random = np.random.default_rng(3)
    means = literature[literature["study"] == of].set_index(["estimator", "lambda", "tasks_learnt"])["mean"]
    rows = [
        (study, name, strength, seed, learnt, task, split, accuracy if split == "test" else 0.1)
        for (name, strength), shift in shifts.items()
        for seed in range(seeds)
        for learnt in range(1, tasks + 1)
        for accuracy in [means[name, strength, learnt] + shift + 0.001 * random.normal()]
        for task in range(1, learnt + 1)
        for split in ("validation", "test")
    ]
    return pd.DataFrame(rows, columns=TABLES["retention"])


def pruned(literature_pruning, shift=0.0, study=FOLLOWER) -> pd.DataFrame:
    rows = [
        (study, scope, name, seed, fraction, 0.5 if mean is None else mean + shift + 0.001 * (seed - 1))
        for scope in ("tensor", "network")
        for name in ("mas", "magnitude", "random", "mas_logits")
        for seed in range(3)
        for fraction in (0.0, 0.5, 0.123)
        for mean in [next(iter(_published(literature_pruning, name, fraction)), None)]
    ]
    frame = pd.DataFrame(rows, columns=TABLES["pruning"])
    frame.loc[frame["scope"] == "network", "accuracy"] = 0.0
    return frame


def _published(literature_pruning, name, fraction):
    return literature_pruning[(literature_pruning["criterion"] == name) & (literature_pruning["fraction"] == fraction)][
        "mean"
    ]


SHIFTS = {("fisher_empirical", 41.0): 0.0, ("fisher_empirical", 12.0): -0.03, ("mas", 4.5): -0.02, ("mas", 10.0): 0.0}


@pytest.fixture(scope="module")
def compared(literature, literature_pruning) -> pd.DataFrame:
    table = retention(literature, SHIFTS, seeds=10)
    return comparisons(STUDY, SETTINGS, table, pruned(literature_pruning), literature, literature_pruning)


def one(compared: pd.DataFrame, **values) -> dict:
    for name, value in values.items():
        compared = compared[compared[name] == value]
    (row,) = compared.to_dict("records")
    return row


def test_the_study_of_the_published_protocol_is_compared_if_it_exists():
    assert stand_in(STUDY, SETTINGS) == FOLLOWER
    assert stand_in(STUDY, {STUDY: HELD_OUT, "other": changed(PUBLISHED, companion_of="else")}) == STUDY
    assert stand_in(FOLLOWER, {FOLLOWER: SETTINGS[FOLLOWER]}) == FOLLOWER
    with pytest.raises(KeyError, match="no settings of study 'cnn'"):
        stand_in("cnn", SETTINGS)


@pytest.mark.parametrize(
    ("changes", "expected", "matters_for_pruning"),
    [
        ({"network": "cnn"}, "network: cnn instead of mlp", True),
        ({"datasets": ("mnist_subset",)}, "data sets: mnist subset instead of mnist", True),
        ({"protocol": {"train_on_validation": False}}, "validation images in training: no instead of yes", True),
        ({"protocol": {"carry_adam": False}}, "state of Adam carried from task to task: no instead of yes", False),
        (
            {"protocol": {"pruning_importance_on": "training"}},
            "importances for pruning on: training instead of test",
            True,
        ),
        ({"images": {"training": 2000}}, "training images: 2000 instead of all", True),
        ({"training": {"learning_rate": 0.01}}, "step size: 0.01 instead of 0.001", True),
        ({"importance": {"samples": 300}}, "images for importances: 300 instead of 5000", True),
        # the settings below matter after the first task only, whose network is pruned
        ({"tasks": RotatedTasks(kind="rotated", count=4)}, "tasks: rotated instead of permuted", False),
        ({"retention": {"epochs": 1}}, "epochs for each later task: 1 instead of 6", False),
        ({"retention": {"images": 800}}, "training images of each later task: 800 instead of all", False),
        ({"retention": {"penalty": "stabilised"}}, "penalty: stabilised instead of plain", False),
        (
            {"retention": {"batch_norm": "frozen"}},
            "statistics of batch normalisation: frozen instead of running",
            False,
        ),
        ({"retention": {"clamp_negative": True}}, "negative importances counted as zero: yes instead of no", False),
    ],
)
def test_departures_from_the_published_settings_are_named(changes, expected, matters_for_pruning):
    settings = changed(PUBLISHED, **changes)
    assert departures(STUDY, settings) == [expected]
    new_state = changed(settings, protocol={"reused_adam": False})
    assert departures(STUDY, new_state, "pruning") == ([expected] if matters_for_pruning else [])


def test_only_published_networks_with_several_tasks_reuse_the_state_of_adam():
    words = "state of Adam carried from network to network"
    new_state = changed(PUBLISHED, protocol={"reused_adam": False})
    assert departures(STUDY, new_state) == [f"{words}: no instead of yes"]
    assert departures(STUDY, new_state, "pruning") == []
    assert departures(STUDY, PUBLISHED, "pruning") == [f"{words}: yes instead of no"]
    followed = SETTINGS | {FOLLOWER: changed(new_state, companion_of=STUDY)}
    assert stand_in(STUDY, followed) == FOLLOWER
    both = SETTINGS | {"pruned": changed(new_state, companion_of=STUDY, retention=None)}
    assert (stand_in(STUDY, both), stand_in(STUDY, both, "pruning")) == (FOLLOWER, "pruned")


def test_words_for_departures_need_no_latex_packages():
    setups = [published.SETUP, *published.SETUPS.values()]
    assert all(words.isascii() and not set(words) & set("_%&#$") for setup in setups for _, _, words in setup)


def test_only_a_run_with_all_published_settings_is_as_published():
    assert not departures(STUDY, PUBLISHED)
    assert not departures(CNN, CNN_SETTINGS[CNN])
    assert departures(CNN, PUBLISHED)
    assert departures("a_study_of_ones_own", PUBLISHED)


def test_every_comparison_has_one_row_and_a_known_outcome(compared):
    assert tuple(compared.columns) == COLUMNS
    assert set(compared["outcome"]) <= set(OUTCOMES)
    place = ["kind", "estimator", "lambda", "fraction", "tasks_learnt"]
    assert not compared.duplicated(place).any()
    counts = compared.groupby("kind").size().to_dict()
    # two strengths and tasks 2 to 9 of two estimators; another best of MAS; fraction 0.5 of two published criteria
    assert counts == {"lambda": 4, "tasks": 16, "best_value": 1, "pruning": 2}


def test_no_two_rows_compare_the_same_runs(compared):
    """Nor one pair of values under two names: means of random numbers do not coincide by chance."""
    learnt = compared[compared["kind"] != "best_value"]
    assert not learnt.duplicated(["mean_ours", "mean_published"]).any()
    # means of best values also occur elsewhere, but never as a pair
    best = compared[compared["kind"] == "best_value"].merge(learnt, on=["mean_ours", "mean_published"])
    assert best.empty


def test_means_equal_those_of_the_run_and_of_the_published_file(compared, literature):
    table = retention(literature, SHIFTS, seeds=10)
    row = one(compared, kind="lambda", estimator="mas", **{"lambda": 4.5})
    expected = interval(final_accuracy(table, "test").query("estimator == 'mas' and `lambda` == 4.5")["accuracy"])
    assert (row["mean_ours"], row["low_ours"], row["n_ours"]) == pytest.approx((expected.mean, expected.low, 10))
    assert (row["mean_published"], row["n_published"]) == (pytest.approx(0.955323), 20)
    run, literature_row = (
        {key: row[f"{key}_{who}"] for key in ("mean", "low", "high", "n")} for who in ("ours", "published")
    )
    change = [row[f"{key}_difference"] for key in ("mean", "low", "high")]
    assert change == pytest.approx(difference(run, literature_row))
    p = equivalence(
        run["mean"], deviation(run), 10, literature_row["mean"], deviation(literature_row), 20, row["margin"]
    )
    assert row["tost_p"] == pytest.approx(p)


def test_the_deviation_follows_from_the_interval():
    values = np.array([0.1, 0.4, 0.35, 0.2])
    assert deviation(vars(interval(values))) == pytest.approx(values.std(ddof=1))
    assert math.isnan(deviation(vars(interval([0.3]))))


def test_a_small_shift_is_reproduced_and_a_large_one_differs(compared):
    same = one(compared, kind="lambda", estimator="mas", **{"lambda": 10.0})
    assert same["outcome"] == "reproduced"
    assert same["verdict"].startswith("reproduced (equivalent within 0.21 points, p")
    other = one(compared, kind="lambda", estimator="fisher_empirical", **{"lambda": 12.0})
    assert other["outcome"] == "differs"
    assert other["verdict"] == f"differs by {-100 * other['mean_difference']:.2f} points (lower here)"


def test_the_margin_excludes_the_published_strengths_at_a_factor_of_two(compared, literature, literature_pruning):
    """A run at twice the strength never passes; if the published curve is flat, no run of this size does."""
    row = one(compared, kind="lambda", estimator="mas", **{"lambda": 10.0})
    assert (row["rival"], row["margin"]) == ("λ = 5", pytest.approx((0.953840 - 0.949682) / 2))
    flat = one(compared, kind="lambda", estimator="fisher_empirical", **{"lambda": 41.0})
    assert (flat["rival"], flat["outcome"]) == ("λ = 85", "undecided")
    assert flat["margin"] == pytest.approx((0.950547 - 0.947455) / 2)
    assert one(compared, kind="lambda", estimator="fisher_empirical", **{"lambda": 12.0})["margin"] <= MARGIN
    published_at = literature[literature["study"] == STUDY].set_index(["estimator", "lambda", "tasks_learnt"])["mean"]
    for strength, rival in ((10.0, 5.0), (12.0, 6.0), (22.0, 10.0), (4.5, 9.0), (4.5, 2.0)):
        shift = published_at["mas", rival, 10] - published_at["mas", strength, 10]
        table = retention(literature, {("mas", strength): shift}, seeds=200)
        wrong = comparisons(STUDY, SETTINGS, table, pruned(literature_pruning), literature, literature_pruning)
        assert one(wrong, kind="lambda")["outcome"] != "reproduced"


def test_comparisons_of_one_kind_are_one_family(compared):
    for kind, rows in compared.groupby("kind"):
        for name in ("tost_p", "difference_p"):
            best = rows.loc[rows[name].astype(float).idxmin()]
            assert best[f"holm_{name}"] == pytest.approx(min(1, len(rows) * best[name])), kind


def test_tasks_are_compared_at_the_published_best_strength(compared):
    rows = compared[(compared["kind"] == "tasks") & (compared["estimator"] == "mas")]
    assert set(rows["lambda"]) == {4.5}
    # the first has no penalty, and the last is in the comparison over λ
    assert sorted(rows["tasks_learnt"]) == list(range(2, 10))


def test_the_best_of_both_are_compared_if_they_differ(compared, literature):
    assert published_best(literature[literature["study"] == STUDY]) == {"fisher_empirical": 41.0, "mas": 4.5}
    row = one(compared, kind="best_value", estimator="mas")
    assert (row["lambda"], row["lambda_ours"]) == (4.5, 10.0)
    assert row["mean_published"] == pytest.approx(0.955323)
    at_ten = one(compared, kind="lambda", estimator="mas", **{"lambda": 10.0})
    assert row["mean_ours"] == at_ten["mean_ours"]
    # the best of the Fisher information is the published one, which already has a row
    assert set(compared.loc[compared["kind"] == "best_value", "estimator"]) == {"mas"}


def test_the_best_are_compared_if_the_published_best_was_not_run(literature, literature_pruning):
    table = retention(literature, {("mas", 10.0): 0.0})
    compared = comparisons(STUDY, SETTINGS, table, pruned(literature_pruning), literature, literature_pruning)
    row = one(compared, kind="best_value", estimator="mas")
    assert (row["lambda"], row["lambda_ours"]) == (4.5, 10.0)
    assert "tasks" not in set(compared["kind"])


def test_training_without_a_penalty_is_compared_once(literature, literature_pruning):
    shifts = {("fisher_empirical", 0.0): 0.0, ("fisher_empirical", 675.0): 0.0}
    table = retention(literature, shifts, CNN, tasks=4, of=CNN)
    table["estimator"] = table["estimator"].mask(table["lambda"] == 0, "none")
    # as if the sweep of another estimator also started there
    twice = pd.concat(
        [literature, literature[(literature["study"] == CNN) & (literature["lambda"] == 0)].assign(estimator="mas")]
    )
    compared = comparisons(CNN, CNN_SETTINGS, table, pruned(literature_pruning).head(0), twice, literature_pruning)
    row = one(compared, estimator="none")
    assert (row["kind"], row["lambda"], row["lambda_ours"], row["tasks_learnt"]) == ("lambda", 0.0, 0.0, 4)
    assert row["mean_published"] == pytest.approx(0.313855)
    assert row["mean_difference"] == pytest.approx(0, abs=0.002)
    assert row["outcome"] == "reproduced"
    # no penalty is no estimator's best
    assert published_best(twice[twice["study"] == CNN]) == {"fisher_empirical": 675.0}


def test_pruning_is_compared_within_matrices_at_common_fractions_and_criteria(compared):
    rows = compared[compared["kind"] == "pruning"]
    assert set(rows["estimator"]) == {"mas", "magnitude"}
    # at 0 all criteria have the same network
    assert set(rows["fraction"]) == {0.5}
    assert rows["mean_difference"].abs().max() == pytest.approx(0, abs=1e-9)


def test_a_study_with_held_out_data_is_shown_but_not_judged(literature, literature_pruning):
    tables = retention(literature, SHIFTS, STUDY), pruned(literature_pruning, study=STUDY)
    compared = comparisons(STUDY, {STUDY: HELD_OUT}, *tables, literature, literature_pruning)
    assert set(compared["kind"]) == {"lambda", "tasks", "best_value", "pruning"}
    assert set(compared["outcome"]) == {"not judged"}


def test_a_reduced_run_is_shown_but_not_judged(literature, literature_pruning, compared):
    reduced = comparisons(
        STUDY,
        REDUCED,
        retention(literature, SHIFTS, seeds=10),
        pruned(literature_pruning),
        literature,
        literature_pruning,
    )
    numbers = [name for name in COLUMNS if name not in ("outcome", "verdict")]
    pd.testing.assert_frame_equal(reduced[numbers], compared[numbers])
    learnt = reduced[reduced["kind"] != "pruning"]
    assert set(learnt["outcome"]) == {"not judged"}
    assert learnt["verdict"].eq("not judged, settings differ").all()
    table = retention(literature, SHIFTS, seeds=10).assign(accuracy=NAN)
    diverged = comparisons(STUDY, REDUCED, table, pruned(literature_pruning), literature, literature_pruning)
    assert set(diverged.loc[diverged["kind"] == "tasks", "verdict"]) == {"not judged, diverged here"}
    # pruning needs only the first task, which is not reduced
    assert "not judged" not in set(reduced.loc[reduced["kind"] == "pruning", "outcome"])


def test_fewer_tasks_are_compared_with_the_published_value_after_as_many(literature, literature_pruning):
    table = retention(literature, SHIFTS, tasks=3)
    compared = comparisons(STUDY, SETTINGS, table, pruned(literature_pruning), literature, literature_pruning)
    row = one(compared, kind="lambda", estimator="fisher_empirical", **{"lambda": 41.0})
    assert row["tasks_learnt"] == 3
    assert one(compared, kind="best_value", estimator="mas")["tasks_learnt"] == 3
    assert set(compared.loc[compared["kind"] == "tasks", "tasks_learnt"]) == {2}


@pytest.mark.parametrize("others", [True, False])
def test_divergence_at_the_published_best_strength_is_reported(literature, literature_pruning, others):
    """Another best strength is compared additionally, not instead."""
    table = retention(literature, SHIFTS if others else {("mas", 4.5): 0.0})
    table.loc[(table["lambda"] == 4.5) & (table["seed"] == 1) & (table["tasks_learnt"] > 5), "accuracy"] = NAN
    compared = comparisons(STUDY, SETTINGS, table, pruned(literature_pruning), literature, literature_pruning)
    row = one(compared, kind="lambda", estimator="mas", **{"lambda": 4.5})
    assert (row["outcome"], row["verdict"]) == ("diverged", "diverged here")
    rows = compared[(compared["kind"] == "tasks") & (compared["estimator"] == "mas")].set_index("tasks_learnt")
    assert list(rows.index[rows["outcome"] == "diverged"]) == [6, 7, 8, 9]
    assert tally(compared).query("kind == 'tasks' and estimator == 'mas'")["diverged"].item() == 4
    best = compared[compared["kind"] == "best_value"]
    assert list(best["lambda_ours"]) == ([10.0] if others else [])


def test_a_single_seed_is_undecided(literature, literature_pruning):
    single = comparisons(
        STUDY,
        SETTINGS,
        retention(literature, SHIFTS, seeds=1),
        pruned(literature_pruning),
        literature,
        literature_pruning,
    )
    verdicts = set(single.loc[single["kind"] == "lambda", "verdict"])
    assert verdicts == {"undecided: a single run has no interval"}
    assert math.isnan(one(single, kind="lambda", estimator="mas", **{"lambda": 4.5})["tost_p"])


def test_without_common_settings_there_are_no_comparisons(literature, literature_pruning):
    empty = comparisons(
        STUDY,
        SETTINGS,
        retention(literature, SHIFTS, study="x"),
        pruned(literature_pruning, study="x"),
        literature,
        literature_pruning,
    )
    assert empty.empty
    assert tuple(empty.columns) == COLUMNS
    assert tally(empty).empty
    unknown = comparisons(
        "other", {"other": PUBLISHED}, retention(literature, SHIFTS, "other"), pruned(literature_pruning, 0, "other"),
        literature, literature_pruning,
    )  # fmt: skip
    assert unknown.empty


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.001, 0.01, 0.5, 0.01), ("reproduced", "reproduced (equivalent within 1 point, p = 0.010)")),
        ((0.003, 1e-5, 0.001, 0.0025), ("reproduced", "reproduced (equivalent within 0.25 points, p below 0.001)")),
        ((0.02, 0.9, 0.001), ("differs", "differs by 2.00 points (higher here)")),
        ((-0.02, 0.9, 0.001), ("differs", "differs by 2.00 points (lower here)")),
        ((0.02, 0.6, 0.2), ("undecided", "undecided (margin: 1 point)")),
        ((NAN, NAN, NAN), ("diverged", "diverged here")),
    ],
)
def test_verdicts_follow_the_equivalence_test_then_the_difference_test(values, expected):
    assert judge(*values) == expected


def test_a_tally_counts_outcomes_and_names_the_largest_difference(compared):
    row = one(tally(compared), kind="tasks", estimator="mas")
    assert (row["count"], row["differs"], row["verdict"]) == (8, 8, "8 of 8 different")
    rows = compared[(compared["kind"] == "tasks") & (compared["estimator"] == "mas")]
    assert row["mean_difference"] == rows["mean_difference"].min()
    row = one(tally(compared), kind="lambda", estimator="fisher_empirical")
    assert row["verdict"] == "1 of 2 different, 1 undecided"
    assert row["lambda"] == 12.0


def test_means_of_a_run_have_the_columns_of_the_published_ones(literature, literature_pruning):
    run = retention_means(retention(literature, SHIFTS))
    assert list(run.columns) == [name for name in literature.columns if name != "study"]
    assert list(pruning_means(pruned(literature_pruning)).columns) == [*literature_pruning.columns.drop("study")]


def test_the_figure_shows_training_without_a_penalty_and_the_published_level(literature):
    table = retention(
        literature, {("fisher_empirical", 0.0): 0.1, ("fisher_empirical", 675.0): 0.0}, CNN, tasks=4, of=CNN
    )
    table["estimator"] = table["estimator"].mask(table["lambda"] == 0, "none")
    drawn = reproduction_lambda(retention_means(table), literature[literature["study"] == CNN])
    (axes,) = drawn.axes
    levels = [line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]]
    assert levels == pytest.approx([31.3855, 41.3855], abs=0.2)
    without = reproduction_lambda(
        retention_means(table), literature[(literature["study"] == CNN) & (literature["lambda"] > 0)]
    )
    assert not [line for line in without.axes[0].lines if list(line.get_xdata()) == [0, 1]]
