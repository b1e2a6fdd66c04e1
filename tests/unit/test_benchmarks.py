"""Split MNIST next to the published table: methods of studies, judged settings, anchors per task or one."""

import math

import numpy as np
import pandas as pd
import pytest

from configurations import combined, default, read
from studies import changed
from weight_importance.figures.benchmarks import benchmarks as drawn
from weight_importance.files.tables import COLUMNS
from weight_importance.findings import benchmarks, publications
from weight_importance.paper.benchmarks import benchmarks as macros
from weight_importance.settings import Configuration
from weight_importance.settings.known import REPOSITORY
from weight_importance.settings.merging import merged

FOLDER = "workflow/resources/published"
HSU = publications.named("hsu-2018-split-mnist")
SCENARIO_OF = {"split_mnist_task": "task", "split_mnist_domain_ewc": "domain", "split_mnist_class_l2": "class"}


def configuration(*presets: str) -> Configuration:
    """The default configuration with presets."""
    config = default()
    for preset in presets:
        config = combined(config, read(REPOSITORY / preset))
    return Configuration.model_validate(merged(config))


@pytest.fixture(scope="module")
def settings() -> dict:
    """The studies of the preset at the published scale."""
    comparison = configuration("presets/hsu.yaml").studies
    return benchmarks.benchmark_studies(
        {name: comparison[name] for name in comparison if name.startswith("split_mnist")}
    )


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    table = publications.published(FOLDER)
    return table[table["publication"] == HSU.name]


def retention(settings: dict, published: pd.DataFrame, shift: float, seeds: int = 10) -> pd.DataFrame:
    """Runs whose accuracies after the last task are the published ones plus a shift and a small scatter."""
    draw, rows = np.random.default_rng(0), []
    for name, study in settings.items():
        for estimator in study.retained():
            method = benchmarks.method(study, estimator)
            row = published[(published["method"] == method) & (published["scenario"] == benchmarks.scenario(study))]
            for strength in study.retention.strengths(estimator):
                for seed in range(seeds):
                    value = row["mean"].iloc[0] + shift + 0.001 * draw.normal()
                    for split, wrong in (("test", 0), ("validation", 0.3)):
                        rows += [
                            (name, estimator, strength, seed, 5, task, split, value - wrong) for task in range(1, 6)
                        ]
                        rows.append((name, estimator, strength, seed, 1, 1, split, 0.1))
    return pd.DataFrame(rows, columns=COLUMNS["retention"])


def test_the_preset_has_every_published_method_in_every_scenario(settings, published):
    comparison = benchmarks.compared(settings, retention(settings, published, 0.0), published)
    keys = [*zip(comparison["scenario"], comparison["method"], strict=True)]
    assert keys == [(scenario, method) for scenario in publications.SCENARIOS for method in publications.METHODS]
    assert len(comparison) == len(published)
    assert {name: settings[name].tasks.scenario for name in SCENARIO_OF} == SCENARIO_OF


def test_only_published_settings_are_judged(settings, published):
    assert all(HSU.departures(study) == [] for study in settings.values())
    reduced = {name: study for name, study in configuration().studies.items() if name.startswith("split_mnist")}
    assert HSU.departures(reduced["split_mnist_task"]) == ["training images: 5000 instead of all"]
    comparison = benchmarks.compared(reduced, retention(reduced, published, 0.0), published)
    assert {*comparison["outcome"]} == {"not judged"}
    other = changed(settings["split_mnist_task"], training={"epochs": None, "iterations": 2000})
    assert HSU.departures(other) == ["epochs for the first task: given in iterations instead of 4"]


@pytest.mark.parametrize(
    ("preset", "study", "publication", "methods"),
    [
        ("vandeven", "vandeven_split_task", "vandeven-tolias-2018-split-mnist", {"none", "joint", "online_ewc", "si"}),
        ("vandeven", "vandeven_permuted", "vandeven-tolias-2018-permuted-mnist", {"none", "online_ewc", "si"}),
        ("zenke", "zenke_permuted", "zenke-2017-permuted-mnist", {"none", "si"}),
    ],
)
def test_a_study_is_compared_with_the_publication_of_its_settings(preset, study, publication, methods):
    studies = {study: configuration(f"presets/{preset}.yaml").studies[study]}
    assert publications.nearest(studies[study]).name == publication
    assert publications.named(publication).departures(studies[study]) == []
    published = publications.published(FOLDER)
    published = published[published["publication"] == publication]
    comparison = benchmarks.compared(studies, retention(studies, published, 0.0), published)
    assert {*comparison["method"]} == methods and len(comparison) == len(methods)


@pytest.mark.parametrize(
    ("count", "expected", "departures"),
    [
        (3, {"none": 0.8459, "si": 0.9827}, []),
        (7, {"si": 0.9756}, []),
        (10, {"none": 0.5741, "si": 0.9694}, []),
        (12, {}, ["tasks: 12 instead of 2 to 10"]),
    ],
)
def test_a_publication_of_every_number_of_tasks_is_compared_after_as_many_as_the_study_has(count, expected, departures):
    """Both sides are single runs, so that there is neither an interval nor a verdict."""
    study = changed(configuration("presets/zenke.yaml").studies["zenke_permuted"], tasks={"count": count})
    rows = [
        ("zenke_permuted", estimator, strength, 0, count, task, "test", 0.9)
        for estimator, strength in (("none", 0.0), ("si", 0.1))
        for task in range(1, count + 1)
    ]
    table, published = pd.DataFrame(rows, columns=COLUMNS["retention"]), publications.published(FOLDER)
    comparison = benchmarks.compared({"zenke_permuted": study}, table, published).set_index("method")
    assert dict(comparison["mean_published"]) == expected
    np.testing.assert_allclose(
        comparison["mean_difference"].astype(float), 0.9 - comparison["mean_published"].astype(float)
    )
    assert {*comparison["verdict"]} <= {"undecided: a single run has no interval"}
    assert comparison["low_difference"].isna().all() and {*comparison["tasks_learnt"]} <= {count}
    assert publications.nearest(study).departures(study) == departures
    results = macros("zenke_permuted", {"zenke_permuted": study}, table, published)
    assert ("benchmarks/domain/none/published" in results) == ("none" in expected)
    assert results["benchmarks/tasks"] == rf"\num{{{count}}}"
    assert not any("nan" in value for value in results.values())


def test_without_a_published_strength_the_best_one_is_compared_and_standard_errors_become_intervals():
    studies = {"vandeven_split_task": configuration("presets/vandeven.yaml").studies["vandeven_split_task"]}
    published = publications.published(FOLDER)
    table = retention(studies, published[published["publication"] == "vandeven-tolias-2018-split-mnist"], 0.0)
    table.loc[table["lambda"] == 1e4, "accuracy"] += 0.1
    of_one_network = table[(table["lambda"] == 1e4) & (table["seed"] == table["seed"].min())]
    table = pd.concat([table, of_one_network.assign(accuracy=1.0, **{"lambda": 2e4})])
    comparison = benchmarks.compared(studies, table, published).set_index("method")
    assert comparison.loc["online_ewc", "lambda"] == 1e4
    assert comparison.loc["si", "mean_published"] == 0.9914
    np.testing.assert_allclose(
        comparison.loc["si", "high_published"] - 0.9914, 2.093 * 0.0011, rtol=1e-3
    )  # t, 19 degrees


@pytest.mark.parametrize(("shift", "outcome"), [(0.0, "reproduced"), (0.004, "reproduced"), (-0.1, "differs")])
def test_accuracies_are_judged_by_equivalence(settings, published, shift, outcome):
    precise = published.assign(low=published["mean"] - 0.001, high=published["mean"] + 0.001)
    comparison = benchmarks.compared(settings, retention(settings, precise, shift), precise)
    judged = comparison[comparison["method"] != "joint"]
    assert {*judged["outcome"]} == {outcome}
    assert {*comparison.loc[comparison["method"] == "joint", "outcome"]} == {"not judged"}
    np.testing.assert_allclose(comparison["mean_difference"], shift, atol=0.001)
    assert benchmarks.tally(comparison)[outcome] == len(judged) == 18


def test_one_penalty_per_task_is_compared_with_one_anchor_by_seed_at_common_strengths(settings, published):
    table = retention(settings, published, 0.0)
    own = table["study"] == "split_mnist_task_ewc"
    online = (table["study"] == "split_mnist_task") & (table["estimator"] == "fisher_predicted")
    table.loc[own, "accuracy"] = table.loc[online, "accuracy"].to_numpy() - 0.02
    comparison = benchmarks.anchors(settings, table)
    assert [*zip(comparison["scenario"], comparison["lambda"], strict=True)] == [
        ("task", 100), ("task", 400), ("domain", 100), ("domain", 700), ("class", 100), ("class", 600),
    ]  # fmt: skip
    assert comparison["mean"].tolist()[:2] == [pytest.approx(-0.02)] * 2 and {*comparison["n"]} == {10}


def test_single_and_diverged_networks_are_shown(settings, published):
    table = retention(settings, published, 0.0, seeds=1)
    table.loc[table["estimator"] == "si", "accuracy"] = math.nan
    comparison = benchmarks.compared(settings, table, published).set_index(["scenario", "method"])
    assert comparison.loc[("task", "si"), "outcome"] == "diverged"
    assert comparison.loc[("task", "ewc"), "outcome"] == "undecided"
    assert len(drawn(comparison.reset_index(), published).axes) == 3


def test_the_paper_s_numbers_name_their_sources(settings, published):
    results = macros("split_mnist_task", settings, retention(settings, published, 0.0), published)
    assert results["benchmarks/task/ewc/published"] == r"\num{97.70}"
    assert results["benchmarks/domain/l2/lambda"] == r"\num{0.5}"
    assert results["benchmarks/count"] == r"\num{21}" and results["benchmarks/departures"] == "none"
    assert "benchmarks/anchors/task/100/interval" in results
    tables = {source.table for source in results["benchmarks/class/si/ours"].sources}
    assert tables == {"retention", HSU.table}
