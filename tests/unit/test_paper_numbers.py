"""The numbers of the paper: equal to those of the tables, with sources; an unknown key stops LaTeX."""

import itertools
import math
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from studies import PUBLISHED, changed, configuration
from weight_importance.analysis.correlation import COEFFICIENTS
from weight_importance.files.derivation import Derived, Rows, completed, derived, rows
from weight_importance.files.tables import COLUMNS
from weight_importance.findings import published
from weight_importance.findings.ablations import recovery
from weight_importance.findings.correlation import beyond_null, fisher_intervals, pair_properties
from weight_importance.findings.retention import ranking
from weight_importance.findings.statistics import difference, final_accuracy, interval, select_lambda
from weight_importance.findings.study import Findings
from weight_importance.findings.tensors import weight_tensors
from weight_importance.learning.networks import network
from weight_importance.paper.ablations import ablations
from weight_importance.paper.configuration import configuration as settings
from weight_importance.paper.configuration import layers, scale
from weight_importance.paper.correlation import correlation
from weight_importance.paper.latex import listing, number, with_interval
from weight_importance.paper.numbers import collect, render
from weight_importance.settings import Configuration, FullyConnected, Images

STUDY = "mlp_permuted_mnist"
STABILISED = f"{STUDY}_stabilised"
ESTIMATORS = ["fisher_empirical", "mas", "si"]
LAMBDAS = {"fisher_empirical": [10.0, 41.0], "mas": [1.0, 4.5], "si": [0.1, 1.0]}
SEEDS = range(3)


def table(name: str, rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS[name])


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """A small study: MAS diverges for one seed at its larger λ; forgetting without a penalty."""
    random = np.random.default_rng(5)
    pairs = list(itertools.combinations(ESTIMATORS, 2))
    correlation = [
        (STUDY, tensor, a, b, coefficient, seed, value * sign + 0.01 * random.normal())
        for tensor, sign in (("fc1.weight", 1), ("fc1.bias", -1), ("all", 1))
        for (a, b), value in zip(pairs, (0.9, 0.3, 0.5), strict=True)
        for coefficient in COEFFICIENTS
        for seed in SEEDS
    ]
    null = [(*row[:6], permutation, 0.02 * random.normal()) for row in correlation for permutation in range(4)]
    retention = [
        (STUDY, name, strength, seed, learnt, task, split, accuracy)
        for name, strengths in (LAMBDAS | {"none": [0.0]}).items()
        for strength in strengths
        for seed in SEEDS
        for learnt in range(1, 11)
        for task in range(1, learnt + 1)
        for split in ("validation", "test")
        for accuracy in [
            math.nan
            if (name, strength, seed) == ("mas", 4.5, 1) and learnt > 1
            else 0.5 - 0.02 * (learnt - task) + 0.001 * random.normal()
            if name == "none"
            else 0.95 - 0.01 * (strength == max(strengths)) + 0.001 * random.normal()
        ]
    ]
    retention += [
        (STABILISED, "fisher_empirical", 2 * strength, *keys, accuracy + 0.004)
        for _, name, strength, *keys, accuracy in retention
        if name == "fisher_empirical"
    ]
    frames = {
        "baseline": table(
            "baseline", [(STUDY, s, split, 0.97 + 0.001 * s) for s in SEEDS for split in ("validation", "test")]
        ),
        "correlation": table("correlation", correlation),
        "correlation_null": table("correlation_null", null),
        "retention": table("retention", retention),
        "pruning": table(
            "pruning",
            [
                (STUDY, scope, criterion, seed, fraction, 0.97 - fraction * (0.5 + 0.1 * place) + 0.001 * seed)
                for scope in ("tensor", "network")
                for place, criterion in enumerate([*ESTIMATORS, "random"])
                for seed in SEEDS
                for fraction in (0.0, 0.5, 0.9)
            ],
        ),
    }
    return frames | {"selected_lambda": select_lambda(frames["retention"])}


@pytest.fixture(scope="module")
def config() -> Configuration:
    """A study at the published scale, and a variant with the stabilised penalty."""
    companion = {"companion_of": STUDY, "networks_of": STUDY, "analyses": ("retention",)}
    changes = {"penalty": "stabilised", "clamp_negative": True, "unpenalised": False}
    stabilised = changed(PUBLISHED, retention=changes, pruning=None, **companion)
    return configuration({STUDY: PUBLISHED, STABILISED: stabilised})


@pytest.fixture(scope="module")
def literature() -> pd.DataFrame:
    """A published value within the scatter of the results and one far above."""
    rows = [
        (STUDY, "fisher_empirical", 41.0, 10, 0.94, 0.9395, 0.9405, 20),
        (STUDY, "mas", 1.0, 10, 0.99, 0.989, 0.991, 20),
    ]
    return pd.DataFrame(rows, columns=["study", "estimator", "lambda", "tasks_learnt", "mean", "low", "high", "n"])


@pytest.fixture(scope="module")
def literature_pruning() -> pd.DataFrame:
    columns = ["study", "scope", "criterion", "fraction", "mean", "low", "high", "n"]
    return pd.DataFrame([(STUDY, "tensor", "mas", 0.9, 0.466, 0.465, 0.467, 10)], columns=columns)


@pytest.fixture(scope="module")
def everything(config, tables, literature, literature_pruning) -> dict[str, Derived]:
    return collect(config, tables, (literature, literature_pruning))


@pytest.fixture(scope="module")
def results(everything) -> dict[str, str]:
    return {key.removeprefix(f"{STUDY}/"): value for key, value in everything.items()}


def value(text: str) -> float:
    return float(re.fullmatch(r"\\num\{(.*)\}", text)[1])


def test_a_mean_and_its_interval_equal_those_of_the_table(results, tables):
    rows = tables["correlation"].query("estimator_a == 'fisher_empirical' and estimator_b == 'mas'")
    rows = rows.query("tensor == 'fc1.weight' and coefficient == 'pearson'")
    [expected] = fisher_intervals(rows, ["tensor"]).itertuples()
    for order in ("fisher_empirical/mas", "mas/fisher_empirical"):
        key = f"correlation/pearson/{order}/fc1.weight"
        assert value(results[f"{key}/mean"]) == pytest.approx(expected.mean, abs=0.005)
        assert value(results[f"{key}/low"]) == pytest.approx(expected.low, abs=0.005)
        assert results[f"{key}/interval"] == rf"\numrange{{{expected.low:.2f}}}{{{expected.high:.2f}}}"


def test_properties_of_pairs_follow_the_signs_and_sizes(results):
    assert results["correlation/pearson/strong/list"] == "Fisher (empirical) with MAS (softmax)"
    assert value(results["correlation/pearson/turning/count"]) == 3
    assert results["correlation/pearson/ranging/list"] == "Fisher (empirical) with MAS (softmax)"
    assert value(results["correlation/pearson/pairs/count"]) == 3
    assert results["correlation/pearson/all/lowest/pair"] == "Fisher (empirical) with SI"


def test_accuracies_are_in_per_cent_and_at_the_selected_strength(results, tables):
    assert value(results["retention/fisher_empirical/selected/lambda"]) == 10
    final = final_accuracy(tables["retention"], "test").query("estimator == 'fisher_empirical' and `lambda` == 10")
    expected = 100 * final["accuracy"].mean()
    assert value(results["retention/fisher_empirical/selected/test/mean"]) == pytest.approx(expected, abs=0.005)
    assert value(results["retention/effective/count"]) == value(results["retention/compared/count"]) == 3
    assert value(results["retention/edge/count"]) == 3


def test_divergence_of_one_seed_is_named_and_not_averaged(results):
    assert results["retention/mas/4.5/test/mean"] == "--"
    assert results["retention/mas/4.5/test/interval"] == "no interval"
    assert results["retention/diverged/list"] == r"MAS (softmax) at $\lambda$ = \num{4.5}"


def test_a_scale_of_normalisation_is_no_weight_tensor(tables):
    """A pair is strong if it is strong in every tensor of two or more dimensions."""
    names = ["bn1.weight", "fc.weight", "conv1.weight", "fc.bias", "conv1.bias", "all"]
    assert weight_tensors(names) == ["conv1.weight", "fc.weight"]
    means = beyond_null(tables["correlation"], tables["correlation_null"])
    weak = means[means["tensor"] == "fc1.weight"].assign(mean=0.1)
    for tensor, strong in (("bn1.weight", True), ("fc2.weight", False)):
        properties = pair_properties(pd.concat([means, weak.assign(tensor=tensor)]))
        assert properties["strong"].any() == strong


def test_a_correlation_within_the_null_has_no_sign(tables):
    """An interval without zero is not sufficient: the mean must be outside the null distribution."""
    correlation, null = tables["correlation"], tables["correlation_null"]
    result = beyond_null(correlation, null)
    assert set(result["sign"]) == {-1, 1}
    wide = null.assign(value=null["permutation"].map({0: -1.0, 1: -0.5, 2: 0.5, 3: 1.0}))
    assert set(beyond_null(correlation, wide)["sign"]) == {0}
    assert (result["null_high"] - result["null_low"]).max() < 0.08, "means over seeds scatter less than single seeds"


def test_best_and_worst_are_chosen_on_validation_data(tables):
    """If validation and test disagree, validation determines the order, and test the spread."""
    retention, selected = (tables[name].query("study == @STUDY") for name in ("retention", "selected_lambda"))
    lucky = (retention["estimator"] == "si") & (retention["split"] == "test")
    changed = ranking(retention.assign(accuracy=retention["accuracy"] + 0.02 * lucky), selected)
    before = ranking(retention, selected)
    assert changed.order == before.order
    assert changed.gains["none"]["si"].mean == pytest.approx(before.gains["none"]["si"].mean + 0.02)
    assert changed.means["si"]["mean"] == pytest.approx(before.means["si"]["mean"] + 0.02)
    assert changed.gaps[before.best, before.worst] == changed.spread


def test_estimators_are_below_the_best_or_above_it_or_not_significantly_different(tables):
    retention, selected = (tables[name].query("study == @STUDY") for name in ("retention", "selected_lambda"))
    before = ranking(retention, selected)
    test, best = retention["split"] == "test", retention["estimator"] == before.best
    for change, expected in ((0.3, before.order[1:]), (-0.3, [])):
        changed = ranking(retention.assign(accuracy=retention["accuracy"] + change * (test & best)), selected)
        assert changed.below == expected and changed.above == ([] if expected else before.order[1:])
        assert changed.indistinguishable == []


def test_outcomes_of_published_values_are_counted(results):
    assert results["difference/fisher_empirical/41/verdict"].startswith("reproduced")
    assert results["difference/mas/1/verdict"].startswith("differs")
    assert value(results["difference/mas/1/mean"]) < -3
    assert value(results["comparisons/lambda/count"]) == 2
    assert results["comparisons/lambda/outcomes"] == r"\num{1} reproduced and \num{1} different"
    assert value(results["comparisons/pruning/count"]) == 1
    assert results["departures"] == "none"
    assert value(results["published/fisher_empirical/best/lambda"]) == 41


def test_variants_are_compared_at_matched_strengths(results):
    for strength in (20, 82):
        key = f"variant/{STABILISED}/fisher_empirical/{strength}"
        assert value(results[f"{key}/mean"]) == pytest.approx(0.4, abs=0.005)
    key = f"range/{STABILISED}/fisher_empirical"
    assert results[f"{key}/study/open"] == "yes" and value(results[f"{key}/study/factor"]) >= 1
    assert results[f"{key}/outcome"] in ("equal", "undecided")


def test_configuration_is_quoted_with_labels_and_counts():
    result = settings({"seeds": 4, "estimators": ["mas", "si"], "studies": {"a": {"images": {"training": None}}}})
    assert result["config/seeds"] == r"\num{4}"
    assert result["config/estimators"] == "MAS (softmax) and SI"
    assert result["config/estimators/count"] == r"\num{2}"
    assert result["a/config/images/training"] == "all"


def test_the_largest_fraction_is_named_last(results):
    assert results["pruning/tensor/best/last/label"] == "Fisher (empirical)"
    assert results["pruning/tensor/random/last/mean"] == results["pruning/tensor/random/0.9/mean"]
    assert results["pruning/last/percent"] == r"\num{90}"


@pytest.mark.parametrize("architecture", ["mlp", "mlp_wide", FullyConnected(kind="mlp", hidden=(30, 15)), "cnn"])
def test_layers_are_those_of_the_network(architecture):
    modules = network(architecture, (1, 28, 28), 10)().modules()
    sizes = [module.out_features for module in modules if isinstance(module, torch.nn.Linear)][:-1]
    result = layers(STUDY, changed(PUBLISHED, network=architecture))
    assert re.findall(r"\d+", result.get("network/hidden", "")) == [str(size) for size in sizes]
    assert (
        ("leaky" in result.get("network/activation", "")) == ("network/published" in result) == (architecture == "mlp")
    )


@pytest.mark.parametrize(("first", "later", "expected"), [(1000, 10000, "1000"), (1000, None, "1000"), (None, 9, "9")])
def test_a_later_task_has_no_more_images_than_the_first(first, later, expected):
    images = Images(training=first, validation=300, test=None)
    result = scale(STUDY, changed(PUBLISHED, images=images, retention={"images": later, "seeds": 2}))
    assert value(result["scale/later/images"]) == float(expected) and value(result["scale/later/networks"]) == 2
    assert scale(STUDY, PUBLISHED)["scale/later/images"] == "all"


def test_a_study_with_one_pair_says_so(tables, config, results):
    pair = {name: tables[name].query("estimator_b != 'si'") for name in ("correlation", "correlation_null")}
    single = correlation(Findings({name: table[table["study"] == STUDY] for name, table in (tables | pair).items()}))
    assert single["correlation/pearson/pairs/single"] == "Fisher (empirical) with MAS (softmax)"
    assert "correlation/pearson/pairs/single" not in results


@pytest.mark.parametrize("seed", range(4))
def test_difference_is_welchs(seed):
    random = np.random.default_rng(seed)
    first, literature = random.normal(1, 0.5, 4), random.normal(1, 2.0, 20)
    result = difference(vars(interval(first)), vars(interval(literature)))
    expected = stats.ttest_ind(first, literature, equal_var=False).confidence_interval(0.95)
    assert result == pytest.approx((first.mean() - literature.mean(), expected.low, expected.high), rel=1e-10)


def test_difference_to_a_single_run_has_no_interval():
    change, low, high = difference(vars(interval([1.0])), vars(interval([0.5, 0.7])))
    assert change == pytest.approx(0.4)
    assert math.isnan(low)
    assert math.isnan(high)


def test_published_files_are_read_with_names_of_estimators():
    folder = "workflow/resources/published"
    last = published.last_task(published.retention(folder)).query("study == @STUDY")
    best = last.sort_values("mean").groupby("estimator").last()
    assert dict(best["lambda"]) == {"fisher_empirical": 41.0, "mas": 4.5}
    assert best.loc["mas", "mean"] == pytest.approx(0.955323)
    assert best.loc["mas", "high"] - best.loc["mas", "mean"] == pytest.approx(
        2.093 * 0.001663 / math.sqrt(20), rel=1e-3
    )
    criteria = {"magnitude", "fisher_empirical", "mas", "si", "total_signal"}
    assert set(published.pruning(folder)["criterion"]) == criteria


def test_rounding_of_printed_values():
    assert number(-0.001, 2) == r"\num{0.00}"
    assert number(math.nan, 2) == "--"
    assert with_interval({"mean": 0.9741, "low": 0.9719, "high": 0.9763}, 3) == r"\num{0.974(3)}"
    assert with_interval({"mean": -0.001, "low": -0.011, "high": 0.009}, 2) == r"\num{0.00(1)}"
    assert with_interval({"mean": 0.5, "low": math.nan, "high": math.nan}, 2) == r"\num{0.50}"
    assert listing([]) == "none"
    assert listing(["a", "b", "c"]) == "a, b and c"


LATEX = shutil.which("pdflatex")


def typeset(folder, results: dict[str, str], text: str) -> subprocess.CompletedProcess:
    (folder / "numbers.tex").write_text(render(results))
    preamble = r"\documentclass{article}\usepackage{siunitx}\input{numbers}"
    (folder / "text.tex").write_text(rf"{preamble}\begin{{document}}{text}\end{{document}}")
    command = [LATEX, "-interaction=nonstopmode", "-halt-on-error", "text.tex"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_latex_knows_every_key_and_stops_at_an_unknown_one(tmp_path, results):
    quoted = " ".join(rf"\result{{{key}}}" for key in results)
    assert typeset(tmp_path, results, quoted).returncode == 0
    run = typeset(tmp_path, results, r"\result{retention/mass/best}")
    assert run.returncode == 1
    assert "Unknown result 'retention/mass/best'" in run.stdout


def test_ablations_are_listed_by_estimator_and_change_no_other_number(tables, config, literature, results):
    """One ablation equals the estimator for every seed, the other no penalty."""
    retention = tables["retention"]
    alike = {"rank_one(mas)": "mas", "values_of(si)_in_ranks_of(mas)": "none"}
    copies = [retention[retention["estimator"] == name].assign(estimator=ablation) for ablation, name in alike.items()]
    copies[1] = copies[1].assign(**{"lambda": 3.0})
    more = pd.concat([retention, *copies])
    of_study = more[more["study"] == STUDY]
    result = ablations(Findings({"retention": of_study, "selected_lambda": select_lambda(of_study)}))
    assert result["ablations/mas/rank_one(mas)/recovery/mean"] == r"\num{1.00}"
    assert result["ablations/mas/rank_one(mas)/outcome"] == "equivalent"
    assert result["ablations/mas/equivalent/list"] == r"\emph{rank one}"
    assert result["ablations/mas/equivalent/count"] == r"\num{1}"
    assert result["ablations/mas/worse/list"] == r"\emph{values of SI in ranks of MAS (softmax)}"
    for estimator in ("mas", "si"):
        key = f"ablations/{estimator}/values_of(si)_in_ranks_of(mas)"
        assert result[f"{key}/recovery/mean"] == r"\num{0.00}" and result[f"{key}/outcome"] == "worse"
        row = recovery(of_study, select_lambda(of_study)).set_index(["estimator", "ablation"]).loc[estimator].iloc[-1]
        assert result[f"{key}/difference/mean"] == number(row["mean_difference"] * 100, 2)
    everything = tables | {"retention": more, "selected_lambda": select_lambda(more)}
    nothing = pd.DataFrame(columns=["study", "scope", "criterion", "fraction"])
    whole = collect(config, everything, (literature, nothing))
    assert {f"{STUDY}/{key}": value for key, value in result.items()}.items() <= whole.items()
    of_estimators = {f"{STUDY}/{key}": value for key, value in results.items() if key.startswith("retention/")}
    assert len(of_estimators) > 50 and of_estimators.items() <= whole.items()


def test_every_number_has_sources_and_a_maker(everything, tables):
    """Sources are existing rows, a setting, a constant or a version; the maker is a function."""
    for key, value in everything.items():
        assert value.sources and value.maker.startswith("weight_importance."), key
        for source in value.sources:
            if isinstance(source, Rows) and source.table in tables:
                assert len(source.of(tables[source.table])), f"{key}: {source.table} has no rows with {source}"


@pytest.mark.parametrize("name", ["baseline", "correlation", "correlation_null", "pruning", "retention"])
def test_rows_that_a_number_does_not_name_do_not_matter_to_it(
    everything, config, tables, literature, literature_pruning, name
):
    """After changes of random rows, only numbers with sources among these rows may change."""
    random, table, changed = np.random.default_rng(8), tables[name], 0
    keys = [key for key in table.columns[:-1] if table[key].nunique() > 1]
    for key in random.permutation(keys)[:2]:
        part = table[key] == random.choice(table[key].unique())
        # by a different factor in every row
        values = table[table.columns[-1]].mask(part, table[table.columns[-1]] * random.uniform(0.3, 0.7, len(table)))
        after = collect(
            config, tables | {name: table.assign(**{values.name: values})}, (literature, literature_pruning)
        )
        for quoted, value in everything.items():
            sources = [source for source in value.sources if isinstance(source, Rows) and source.table == name]
            touched = any(part[source.of(table).index].any() for source in sources)
            # the order of two estimators in a key depends on all rows
            assert touched or after.get(quoted, value) == value, f"{quoted} follows from {name} by {key}"
            changed += after.get(quoted) != value
    assert changed > 10


def test_a_value_keeps_its_narrowest_source():
    narrow = derived({"a": "1"}, rows("t", seed=1))
    result = completed(derived(narrow | {"b": "2"}, rows("t")), "module.function", study="s")
    assert result["a"].sources == (rows("t", seed=1, study="s"),)
    assert result["b"].sources == (rows("t", study="s"),)
    assert result["a"] == "1" and result["a"].maker == "module.function"
    with pytest.raises(TypeError, match="make gives no sources of 'c'"):
        completed({"c": "3"}, "make")


def test_rows_satisfy_every_condition():
    table = pd.DataFrame({"estimator": ["mas", "mas", "si"], "lambda": [1.0, 2.0, 1.0], "value": [1, 2, 3]})
    assert rows("t", estimator="mas", lambda_=1).of(table)["value"].tolist() == [1]
    assert rows("t", estimator=["mas", "si"], other="x").of(table)["value"].tolist() == [1, 2, 3]
    assert str(rows("t", estimator=["mas", "si"], lambda_=1.0)) == "estimator mas or si, lambda 1"
    assert str(rows("t")) == "all rows"
