"""The formulas of the audit in cases in which they equal the float64 reference, and its table against its CSV."""

import pytest
import torch

from audit import formulas, table
from audit.entries import ENTRIES
from audit.setting import NETWORKS, Case, case
from reference import BATCHES, assert_close, naive


def scaled(importance: dict, factor: float) -> dict:
    return {name: factor * value for name, value in importance.items()}


@pytest.mark.parametrize("network", NETWORKS)
def test_batch_formulas_equal_the_reference_at_its_batch_size_and_for_single_samples(network):
    large, single = case(network, BATCHES["fisher_batched"], samples=130), case(network, 1)
    assert_close(formulas.squared_batch_gradients(large), formulas.of_reference("fisher_batched")(large), 1e-10)
    assert_close(formulas.squared_batch_gradients(single), formulas.of_reference("fisher_empirical")(single), 1e-10)
    large, classes = case(network, BATCHES["mas_batched"], samples=130), 4
    expected = scaled(formulas.of_reference("mas_batched")(large), classes)
    assert_close(formulas.absolute_batch_gradients(large), expected, 1e-10)
    assert_close(formulas.absolute_batch_gradients(single), formulas.of_reference("mas_logits")(single), 1e-10)


@pytest.mark.parametrize("network", NETWORKS)
def test_formulas_of_a_single_sample_equal_the_weighted_reference(network):
    made = case(network, samples=1)
    fisher = naive("fisher_empirical", made.network, made.inputs, made.labels)
    p = made.network(made.inputs).softmax(1)[0, made.labels[0]].item()
    assert_close(formulas.weighted_by_probability(made), scaled(fisher, p / made.batch), 1e-10)
    assert_close(formulas.divided_by_samples(made), fisher, 1e-10)
    several = case(network)
    last = Case(several.network, several.inputs[-1:], several.labels[-1:])
    fisher = naive("fisher_empirical", last.network, last.inputs, last.labels)
    for name, value in formulas.last_brain_damage_by_channel(several).items():
        weight = several.network.get_parameter(name).detach()
        torch.testing.assert_close(value, (weight.square() * fisher[name]).flatten(1).sum(1), rtol=1e-10, atol=0)
    assert_close(formulas.taylor_by_channel(several), formulas.snip_by_channel(several), 1e-10)


def test_squares_by_position_and_kronecker_factors_are_exact_for_one_position_or_sample():
    made = case("fully connected", samples=1)
    exact = formulas.of_reference("fisher_exact")(made)
    assert_close(formulas.squared_by_position("fisher_exact")(made), exact, 1e-10)
    assert_close(formulas.kronecker_factors(made), exact, 1e-10)
    one_position = case("convolutional", samples=5)
    network = torch.nn.Sequential(*list(one_position.network)[2:])  # from the second convolution on
    made = Case(network, torch.randn(5, 6, 3, 3, dtype=torch.float64), one_position.labels)
    network[3] = torch.nn.Linear(8, 4).double()
    for estimator in ("fisher_empirical", "fisher_exact"):
        expected = formulas.of_reference(estimator)(made)
        assert_close(formulas.squared_by_position(estimator)(made), expected, 1e-10)


def test_the_page_shows_the_csv_and_formulas_reproduce_the_libraries():
    rows = table.read()
    assert {(row["library"], row["call"]) for row in rows} == {(entry.library, entry.call) for entry in ENTRIES}
    assert table.table_of_page() == table.as_markdown(rows)
    assert max(float(row["formula_error"]) for row in rows if row["formula_error"]) < table.ROUNDING


def test_errors_in_the_csv_equal_those_of_the_formulas():
    entries = {(entry.library, entry.call): entry for entry in ENTRIES}
    for row in table.read():
        entry = entries[row["library"], row["call"]]
        if entry.computes is entry.exact:
            assert float(row["error"]) < table.ROUNDING, row
            continue
        made = case(row["network"], entry.batch)
        error = table.relative_error(entry.computes(made), entry.exact(made))
        assert float(row["error"]) == pytest.approx(error, abs=table.ROUNDING, rel=1e-3), row
