"""A rerun compared with a reference: agreement, differences, verdicts of claims, and the power of the reference."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from compare import accuracies_compared, claims_compared, computed, networks, reference_run
from studies import TRANSFORMS, ablations
from weight_importance.files.provenance import record_of
from weight_importance.files.tables import COLUMNS
from weight_importance.findings import scale
from weight_importance.findings.ablations import MARGIN
from weight_importance.findings.power import necessary, of_all, of_some, power_above
from weight_importance.findings.power import power_of_difference as of_difference
from weight_importance.findings.power import power_of_equivalence as of_equivalence
from weight_importance.findings.rerun import Quantity, compared, pruned
from weight_importance.findings.study import Findings
from weight_importance.paper.claims import ABLATIONS, CLAIMS
from weight_importance.runtime.errors import UserError

KEYS = [key for key, claim in CLAIMS.items() if claim.study == ABLATIONS]
RANK_ONE = "rank_one(fisher_empirical) less fisher_empirical"


def both(reference, rerun):
    claims, quantities = claims_compared({ABLATIONS: reference}, {ABLATIONS: rerun})
    return claims.set_index("claim").loc[KEYS], quantities


def test_a_run_agrees_with_itself():
    claims, quantities = both(ablations(), ablations())
    assert set(claims["same"]) == {"yes"} and set(claims["quantities"]) == {"agrees"}
    assert (quantities["mean_difference"] == 0).all() and set(quantities["outcome"]) == {"agrees"}


def test_a_shifted_table_differs_where_it_is_shifted():
    claims, quantities = both(ablations(), ablations({"rank_one(fisher_empirical)": 0.88}))
    claim = claims.loc["rank_one_equivalent"]
    assert [*claim[["reference", "rerun", "same", "quantities"]]] == ["supported", "not supported", "no", "differs"]
    assert set(quantities.loc[quantities["outcome"] != "agrees", "quantity"]) == {RANK_ONE}
    assert set(claims.drop(index="rank_one_equivalent")["quantities"]) == {"agrees"}


def test_a_smaller_run_is_compared_with_the_same_seeds_of_the_reference():
    _, quantities = both(ablations(seeds=range(12)), ablations())
    assert (quantities["mean_difference"] == 0).all() and not np.allclose(
        *(quantities[f"mean_{run}"].astype(float) for run in ("reference", "rerun")), rtol=1e-6
    )


def test_runs_with_other_seeds_are_compared_as_independent_samples():
    rerun = ablations(seeds=range(5, 12))
    _, quantities = both(ablations(), rerun)
    row = quantities[quantities["quantity"] == RANK_ONE].iloc[0]
    first, second = (
        run.curves["rank_one(fisher_empirical)"].by_seed - run.curves["fisher_empirical"].by_seed
        for run in (rerun, ablations())
    )
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    np.testing.assert_allclose(row[["low_difference", "high_difference"]].astype(float), interval, rtol=1e-9)
    assert (row["n_reference"], row["n_rerun"]) == (5, 7)


def test_few_networks_with_large_scatter_are_undecided():
    first, second = (
        Quantity("q", pd.Series(values, index=seeds), 0.01, margin=0.005)
        for values, seeds in (([0.0, 0.02], [0, 1]), ([0.02, 0.001], [2, 3]))
    )
    assert [*compared([first], [second])["outcome"]] == ["undecided"]


def test_a_condition_of_one_run_is_missing():
    partly = ablations()
    partly.tables["retention"] = partly.tables["retention"].query("estimator != 'reversed(fisher_empirical)'")
    claims, _ = both(ablations(), partly)
    assert [*claims.loc["misplaced_worse", ["rerun", "quantities"]]] == ["not computed", "missing"]
    claims, _ = claims_compared({ABLATIONS: ablations()}, {})
    assert set(claims["rerun"]) == {"not computed"} and set(claims["same"]) == {"-"}


@pytest.mark.parametrize(
    ("mean", "sd", "n", "level"), [(0.0, 0.4, 5, 0.05), (-0.3, 0.3, 8, 0.05), (0.1, 0.3, 20, 0.004)]
)
def test_power_is_the_share_of_simulated_runs_with_a_significant_test(mean, sd, n, level):
    sample = np.random.default_rng(1).normal(mean, sd, (40_000, n))
    inside = [stats.ttest_1samp(sample, bound, axis=1, alternative=side).pvalue < level for bound, side in TOST]
    above = (stats.ttest_1samp(sample, 0, axis=1).pvalue < level) & (sample.mean(1) > 0)
    assert of_equivalence(mean, sd, n, 0.5, level) == pytest.approx(np.mean(inside[0] & inside[1]), abs=0.01)
    assert of_difference(mean, sd, n, level) == pytest.approx(above.mean(), abs=0.01)
    assert power_above(mean, sd, n, 0.1) == pytest.approx((sample.mean(1) > 0.1).mean(), abs=0.01)


TOST = ((-0.5, "greater"), (0.5, "less"))


def test_claims_have_the_level_of_holm_s_first_step_except_the_primary_one():
    for key, tests in (("rank_one_equivalent", 1), ("order_of_factors_equivalent", 2 * len(TRANSFORMS) - 1)):
        (_, quantity) = CLAIMS[key].quantities(ablations())
        assert quantity.power(0.0, 0.004, 5) == of_equivalence(0.0, 0.004, 5, MARGIN, 0.05 / tests)


def test_power_of_several_statements_and_the_necessary_networks():
    assert of_all([0.99, 0.95]) == pytest.approx(0.94) and of_all([0.4, 0.3]) == 0
    assert of_some([0.1, 0.9, 0.5]) == pytest.approx(0.8)
    assert (
        necessary(lambda n: of_difference(1.0, 1.0, n)) == 13
    )  # tables of the paired t test: effect size 1, power 0.9
    assert necessary(lambda n: of_equivalence(1.0, 1.0, n, 0.5)) is None


def pruning(shift=0.0, fractions=(0.0, 0.5, 0.9)):
    """A study with pruning only: accuracy 0.9 until half of the weights are removed, then 0.4 + ``shift`` by MAS."""
    rows = [
        (
            "s",
            scope,
            criterion,
            seed,
            fraction,
            (0.9 if fraction <= 0.5 else 0.4 + shift * (criterion == "mas")) + seed / 1e4,
        )
        for scope in ("tensor", "network")
        for criterion in ("mas", "random")
        for seed in range(3)
        for fraction in fractions
    ]
    return Findings({"pruning": pd.DataFrame(rows, columns=COLUMNS["pruning"]), "retention": pd.DataFrame()})


def test_accuracies_after_pruning_are_compared_by_criterion_and_scope():
    tally, table = accuracies_compared({"s": pruning()}, {"s": pruning(-0.2)}, "accuracy after pruning", pruned)
    assert tally.to_dict("records") == [{"study": "s", "agrees": 2, "differs": 2, "undecided": 0, "missing": 0}]
    assert {*table["part"]} == {"accuracy after pruning, s"}
    changes = table.set_index("quantity")["mean_difference"]
    # a triangle of width 0.4 and height 0.2 over a width of 0.9
    assert changes.to_dict() == pytest.approx(
        {"mas, network": -0.04 / 0.9, "random, network": 0, "mas, tensor": -0.04 / 0.9, "random, tensor": 0}
    )
    assert networks(pruning()) == 3


def test_other_fractions_of_pruning_are_among_the_settings_that_differ(tmp_path):
    for run, fractions in (("reference", [0.0, 0.5, 0.9]), ("rerun", [0.0, 0.9])):
        folder = tmp_path / run / "runs/s/pruning/mas"
        folder.mkdir(parents=True)
        settings = {"study": "s", "seeds": [0], "images": 100, "fractions": fractions}
        record_of(folder / "seeds-0-0.csv").write_text(json.dumps({"settings": settings}))
        (folder / "seeds-0-0.csv").touch()
    runs = [scale.of_run(tmp_path / run) for run in ("reference", "rerun")]
    assert runs[0]["s"]["images.test"] == 100
    assert scale.differences(*runs) == ["pruning.fractions: 0.0, 0.9 (reference: 0.0, 0.5, 0.9) in every study"]


def test_a_missing_reference_or_run_is_reported_with_a_remedy(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"no reference in .*default.*\n.*reference/store.py default --run"):
        reference_run([tmp_path / "default"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no run to compare.*make paper"):
        computed()


def test_settings_that_differ_are_named_as_in_the_configuration_with_their_studies():
    training = {"study": "a", "images": 100, "duration": {"epochs": 2, "iterations": None}}
    retention = {"images": {"training": 100, "test": None}, "learning": {"epochs": 1}, "network": "mlp"}
    reference = {name: scale.of_jobs(training, retention) for name in ("a", "b", "only_here")}
    hidden = {"kind": "mlp", "hidden": [30, 15], "activation": "relu"}
    rerun = {
        "a": scale.of_jobs(training | {"duration": {"epochs": 1, "iterations": None}}, retention),
        "b": scale.of_jobs(retention | {"images": {"training": 100, "test": 9}, "network": hidden}),
    }
    assert scale.differences(reference, reference) == []
    assert scale.differences(reference, rerun) == [
        "training.epochs: 1 (reference: 2) in a",
        "images.test: 9 (reference: all) in b",
        "network: mlp 30-15 relu (reference: mlp) in b",
    ]
