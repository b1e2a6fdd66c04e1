"""The numerics of the explanations: sums, known answers, and the theory in its limit."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from weight_importance import ESTIMATORS, estimate_all
from weight_importance.analysis.confidence import AGREEMENT, agreement
from weight_importance.analysis.correlation import correlation, entries
from weight_importance.analysis.factors import FACTORS, factor_contributions
from weight_importance.analysis.noise import (
    PAIRED,
    RELIABILITIES,
    disattenuated,
    noise,
    residual_reliability,
    spearman_brown,
)
from weight_importance.analysis.rows import estimator_rows, pair_rows
from weight_importance.analysis.signal import SIGNAL, SIGNAL_TERMS, signal_contributions
from weight_importance.analysis.trajectories import on_all_trajectories, on_trajectories
from weight_importance.estimators.kinds import is_mean_of_samples
from weight_importance.files.tables import COLUMNS
from weight_importance.findings.explanation import PREDICTED, along_confidence, predicted_pairs

THEORY = ["mas", "absolute_fisher", "fisher_empirical", "fisher_exact"]


def positive(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).pow(3) + 0.01


def products(count: int, out: int = 9, inputs: int = 13, seed: int = 0) -> torch.Tensor:
    return positive(count, out, 1, seed=seed) * positive(count, 1, inputs, seed=seed + 1)


# agreement


def test_correlations_equal_those_of_pandas_and_numpy():
    values = torch.stack([positive(50, seed=seed) for seed in range(4)], 1)
    np.testing.assert_allclose(correlation(values, "pearson"), np.corrcoef(values.T.numpy()))
    expected = pd.DataFrame(values.numpy()).corr("spearman")
    np.testing.assert_allclose(correlation(values, "spearman"), expected)


def test_a_constant_importance_has_no_correlation_and_affects_no_other():
    values = torch.stack([positive(50), torch.ones(50, dtype=torch.float64), positive(50, seed=1)], 1)
    result = correlation(values, "pearson")
    assert result[1].isnan().all() and result[:, 1].isnan().all()
    torch.testing.assert_close(result[0, 2], torch.corrcoef(values.T[[0, 2]])[0, 1])


def test_powers_of_one_importance_agree_in_rank_and_differ_in_slope_and_ratio():
    x = positive(200)
    result = agreement(torch.stack([x, 3 * x, x.square()], 1))
    assert set(result) == set(AGREEMENT)
    torch.testing.assert_close(result["spearman"], torch.ones(3, 3, dtype=torch.float64))
    assert result["pearson"][0, 1] == pytest.approx(1) and result["pearson"][0, 2] < 0.999
    assert result["log_slope"][0, 1] == pytest.approx(1) and result["log_slope"][0, 2] == pytest.approx(2)
    assert result["ratio"][0, 1] == pytest.approx(3)


def test_tensors_are_followed_by_all_parameters():
    importances = {name: {"w": positive(2, 3, 4, seed=seed), "b": positive(2, 3)} for seed, name in enumerate("xy")}
    result = {(seed, tensor): values for seed, tensor, values in entries(importances, [7, 9])}
    shapes = {(seed, name): (n, 2) for seed in (7, 9) for name, n in (("w", 12), ("b", 3), ("all", 15))}
    assert {key: tuple(values.shape) for key, values in result.items()} == shapes
    assert torch.equal(result[9, "all"], torch.cat([result[9, "w"], result[9, "b"]]))
    assert torch.equal(result[9, "w"][:, 1], importances["y"]["w"][1].flatten())


def test_rows_of_pairs_and_of_estimators():
    matrix = torch.arange(9.0).view(3, 3)
    rows = pair_rows({"study": "s"}, ["x", "y", "z"], "quantity", {"k": matrix, "l": -matrix})
    assert rows.values.tolist() == [
        ["s", "x", "y", "k", 1.0], ["s", "x", "y", "l", -1.0], ["s", "x", "z", "k", 2.0], ["s", "x", "z", "l", -2.0],
        ["s", "y", "z", "k", 5.0], ["s", "y", "z", "l", -5.0],
    ]  # fmt: skip
    rows = estimator_rows({"study": "s"}, ["x", "y"], {"k": matrix[0, :2], "l": -matrix[0, :2]})
    assert rows.values.tolist() == [["s", "x", "k", 0], ["s", "x", "l", 0], ["s", "y", "k", 1], ["s", "y", "l", -1]]


# the theory


def sharp_network(sharpness: float) -> nn.Module:
    """A network that predicts one class, with one runner-up and negligible others."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5))
    with torch.no_grad():
        network[2].weight *= 0.1
        network[2].bias.copy_(torch.tensor([2.0, 1.0, -3.0, -3.0, -3.0]) * sharpness)
    return network.double()


@pytest.mark.parametrize("seed", range(2))
def test_one_confident_image_has_the_importances_of_the_theory(seed):
    network = sharp_network(9.0)
    inputs = torch.randn(1, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    probabilities = network(inputs).softmax(1)[0].detach()
    predicted, runner_up = probabilities.argmax(), probabilities.topk(2).values[1]
    assert runner_up < 1e-3
    network.zero_grad()
    network(inputs).log_softmax(1)[0, predicted].backward()
    result = estimate_all(THEORY, network, inputs, predicted[None])
    for name, parameter in network.named_parameters():
        a = probabilities[predicted] * parameter.grad
        for estimator, expected in (
            ("mas", 2 * a.abs()),
            ("absolute_fisher", 2 * a.abs()),
            ("fisher_empirical", a.square()),
            ("fisher_exact", a.square() / runner_up),
        ):
            # to first order in the runner-up's probability, except for parameters of the other classes
            largest = expected.max()
            torch.testing.assert_close(result[estimator][name], expected, rtol=0.01, atol=0.002 * largest.item())


def test_mas_and_absolute_fisher_converge_with_confidence():
    inputs = torch.randn(40, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    distances = []
    for sharpness in (0.5, 2.0, 8.0):
        network = sharp_network(sharpness)
        result = estimate_all(THEORY, network, inputs, network(inputs).argmax(1))
        values = agreement(torch.stack([result[name]["0.weight"].flatten() for name in THEORY], 1))
        distances.append(abs(values["ratio"][0, 1].item() - 1))
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 0.01


# factors


def test_products_have_no_contribution_of_single_weights():
    result = factor_contributions(products(3))
    assert set(result) == set(FACTORS)
    torch.testing.assert_close(result["by_rest"], torch.zeros(3, 3, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(result["reconstructions"], result["observed"])
    assert result["residuals"].isnan().all()


@pytest.mark.parametrize("seed", range(3))
def test_the_terms_sum_to_the_correlation(seed):
    importance = torch.stack([positive(9, 13, seed=4 * seed + number) for number in range(4)]) + products(4, seed=seed)
    result = factor_contributions(importance)
    terms = sum(result[name] for name in ("by_input", "by_output", "by_product", "by_rest"))
    torch.testing.assert_close(terms, result["observed"])
    torch.testing.assert_close(result["observed"], torch.corrcoef(importance.flatten(1)))


def test_a_shared_input_factor_explains_the_whole_correlation():
    rows, columns = torch.randn(2, 400, 1, dtype=torch.float64).abs(), positive(1, 1, 50)
    rows[1] = rows[1][torch.randperm(400)]
    importance = rows * columns
    result = {name: values[0, 1].item() for name, values in factor_contributions(importance).items()}
    assert result["input_factors"] == pytest.approx(1)
    assert abs(result["output_factors"]) < 0.2
    assert result["by_input"] == pytest.approx(result["observed"], abs=0.1)
    assert result["by_input"] > 0.3


def test_shared_single_weights_explain_the_whole_correlation():
    shared = positive(60, 80)
    importance = torch.stack([shared, shared + 0.1 * positive(60, 80, seed=1)])
    result = {name: values[0, 1].item() for name, values in factor_contributions(importance).items()}
    assert result["by_rest"] > 0.9 * result["observed"] and result["residuals"] > 0.9


def test_convolutions_combine_inputs_and_positions_and_negative_entries_count_as_zero():
    importance = torch.stack([positive(6, 12, seed=seed) for seed in range(2)])
    expected = factor_contributions(importance)
    for name, values in factor_contributions(importance.view(2, 6, 3, 2, 2)).items():
        assert torch.equal(values, expected[name])
    negative, zero = importance.clone(), importance.clone()
    negative[0, 2], zero[0, 2] = -1, 0
    for name, values in factor_contributions(negative).items():
        assert torch.equal(values, factor_contributions(zero)[name])


# the total signal


@pytest.mark.parametrize("seed", range(2))
def test_the_terms_of_the_total_signal_sum_to_its_correlation(seed):
    """Also for negative importances, kernels, and an input that is always zero."""
    weight = positive(6, 3, 2, 2, seed=seed) - 0.3
    received = positive(1, 3, 2, 2, seed=seed + 1)
    received[0, 1, 0, 0] = 0
    signal = weight.abs() * received
    others = torch.stack([positive(6, 3, 2, 2, seed=seed + 2), positive(6, 3, 2, 2, seed=seed + 3) - 0.2])
    result = signal_contributions(weight, signal, others)
    assert set(result) == set(SIGNAL)
    torch.testing.assert_close(sum(result[name] for name in SIGNAL_TERMS), result["observed"])
    expected = [np.corrcoef(signal.flatten(), other.flatten())[0, 1] for other in others]
    np.testing.assert_allclose(result["observed"], expected)
    np.testing.assert_allclose(
        result["input_factors"][0], np.corrcoef(received.flatten(), others[0].mean(0).flatten())[0, 1]
    )


def test_a_shared_input_factor_explains_the_whole_correlation_with_the_total_signal():
    received = positive(1, 60)
    weight = positive(200, 60, seed=1)
    gradients = torch.stack(
        [positive(200, 60, seed=2) * received.square(), positive(200, 60, seed=3) * (1.2 - received)]
    )
    result = signal_contributions(weight, weight * received, gradients)
    torch.testing.assert_close(result["by_signal"], result["observed"], rtol=0, atol=0.03)
    assert result["observed"][0] > 0.2 and result["observed"][1] < -0.1
    assert result["input_factors"][0] > 0.8 and result["input_factors"][1] < -0.9
    assert (result["divided"].abs() < 0.05).all() and (result["output_factors"].abs() < 0.2).all()


def test_magnitudes_opposed_to_gradients_reverse_the_sign_of_the_input_factor():
    received = positive(1, 60) + 0.3
    weight = positive(200, 60, seed=1)
    result = signal_contributions(weight, weight * received, (1.1 - weight)[None] * received)
    assert result["by_signal"].item() > 0 and result["by_single_weights"].item() < 0
    assert result["observed"].item() < 0 and result["divided"].item() == pytest.approx(-1, abs=0.05)


def test_a_constant_importance_has_no_correlation_with_the_total_signal():
    weight = positive(5, 7)
    result = signal_contributions(weight, weight * positive(1, 7, seed=1), torch.ones(1, 5, 7))
    assert result["observed"].isnan().all() and result["by_signal"].isnan().all()


def test_the_total_signal_of_a_network_is_its_magnitudes_times_one_factor_per_input():
    """The assumption of the numerics, for the estimator itself."""
    network = sharp_network(1.0)
    inputs = torch.randn(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    signal = estimate_all(["total_signal"], network, inputs, torch.zeros(20, dtype=torch.long))["total_signal"]
    torch.testing.assert_close(signal["0.weight"], network[0].weight.abs().detach() * inputs.abs().mean(0))


# noise


def test_the_formula_of_spearman_and_brown():
    halves = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(spearman_brown(halves), torch.tensor([0.0, 2 / 3, 1.0]))


BOTH = torch.tensor([True, True])


def simulated(latent: float, strength: float, shared: bool, seed: int) -> list[torch.Tensor]:
    """Two estimators on all samples and on both halves; their noiseless values correlate by ``latent``.

    With ``shared``, both have the same noise, as estimators on the same samples.
    """
    random = np.random.default_rng(seed)
    n = 100_000
    true = random.normal(size=(2, n))
    true[1] = latent * true[0] + np.sqrt(1 - latent**2) * true[1]
    halves = []
    for _ in range(2):
        errors = random.normal(size=(2, n))
        errors[1] = errors[0] if shared else errors[1]
        halves.append(torch.from_numpy(true + strength * errors))
    return [part.T for part in ((halves[0] + halves[1]) / 2, *halves)]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("latent", [-0.6, 0.3, 0.9])
@pytest.mark.parametrize("shared", [False, True])
def test_the_latent_correlation_is_recovered_from_noisy_importances(latent, shared, seed):
    own, result = noise(*simulated(latent, 1.0, shared, seed), "pearson", BOTH)
    # reliability: share of the variance without noise, 1 / (1 + 1) for a half, 1 / (1 + ½) for all samples
    torch.testing.assert_close(own["half"], torch.full((2,), 1 / 2, dtype=torch.float64), rtol=0, atol=0.02)
    torch.testing.assert_close(own["full"], torch.full((2,), 2 / 3, dtype=torch.float64), rtol=0, atol=0.02)
    assert result["independent"][0, 1] == pytest.approx(latent, abs=0.03)
    if shared:  # shared noise counts as agreement, even above 1
        assert result["disattenuated"][0, 1] > latent + 0.2
    else:
        assert result["disattenuated"][0, 1] == pytest.approx(latent, abs=0.03)
    assert result["observed"][0, 1] == pytest.approx((latent + 0.5 * shared) * 2 / 3, abs=0.03)


def test_shared_noise_can_exceed_one_and_independent_halves_do_not():
    _, result = noise(*simulated(0.9, 1.0, True, 3), "pearson", BOTH)
    assert result["disattenuated"][0, 1] > 1.2
    assert result["independent"][0, 1] < 1


def test_without_a_positive_reliability_there_is_no_disattenuated_correlation():
    observed = torch.full((3, 3), 0.5)
    result = disattenuated(observed, torch.tensor([1.0, -0.1, torch.nan]))
    assert result[0, 0] == 0.5
    assert result[1].isnan().all() and result[2].isnan().all()


def test_a_path_estimator_has_no_reliability_and_affects_no_other():
    full = torch.stack([positive(50), positive(50, seed=1)], 1)
    halves = [torch.stack([positive(50, seed=2 + number), torch.full((50,), torch.nan)], 1) for number in range(2)]
    for coefficient in ("pearson", "spearman"):
        own, result = noise(full, *halves, coefficient, torch.tensor([True, False]))
        assert own["half"][0].isfinite() and own["half"][1].isnan()
        assert result["observed"][0, 1].isfinite() and result["across"][0, 1].isnan()
        assert (tuple(own), tuple(result)) == (RELIABILITIES[coefficient], PAIRED[coefficient])


def test_the_reliability_of_residuals_is_that_of_interactions_beyond_two_factors():
    """It depends on the signal-to-noise ratio of the interactions, not on that of the factors."""
    random = np.random.default_rng(0)
    factors = 5 * np.outer(3 + random.gamma(2, size=60), 3 + random.gamma(2, size=80))
    interactions = random.normal(size=(60, 80))
    for strength, expected in ((0.0, 0.0), (1.0, 1 / 2), (3.0, 9 / 10)):
        halves = [
            {"mas": {"w": torch.from_numpy(factors + strength * interactions + random.normal(size=(60, 80)))[None]}}
            for _ in range(2)
        ]
        plain = torch.corrcoef(torch.stack([half["mas"]["w"].flatten() for half in halves]))[0, 1]
        result = residual_reliability(halves, "w", 0, torch.tensor([True]))
        assert plain > 0.99
        assert result["residual_half"].item() == pytest.approx(expected, abs=0.06)
        assert result["residual_full"].item() == pytest.approx(2 * expected / (1 + expected), abs=0.08)


def test_only_the_formula_that_does_not_hold_is_omitted():
    """For example the root of a mean: independent halves still give the correlation of expectations."""
    full, *halves = simulated(0.6, 0.5, False, 4)
    own, result = noise(full, *halves, "pearson", torch.tensor([True, False]))
    assert own["full"][0].isfinite() and own["full"][1].isnan() and own["half"].isfinite().all()
    assert result["disattenuated"][0, 1].isnan() and result["independent"][0, 1] == pytest.approx(0.6, abs=0.03)


def test_the_formula_overstates_the_reliability_of_functions_of_the_mean():
    """Absolute values of means with expectation zero are pure noise, which the formula calls reliable."""
    random = np.random.default_rng(0)
    spread = random.exponential(size=100_000)  # of the noise of each weight
    half = [torch.from_numpy(np.abs(spread * random.normal(size=spread.size)))[:, None] for _ in range(2)]
    many = [torch.from_numpy(np.abs(spread * random.normal(size=spread.size)))[:, None] / 2**0.5 for _ in range(2)]
    measured = [noise(first, first, second, "pearson", torch.tensor([True])) for first, second in (half, many)]
    (of_half, _), (of_all, _) = measured
    assert of_all["half"].item() == pytest.approx(of_half["half"].item(), abs=0.02)  # more samples do not help
    assert of_half["full"].item() > of_all["half"].item() + 0.1


def test_means_over_samples():
    means = {name for name, estimator in ESTIMATORS.items() if is_mean_of_samples(estimator)}
    assert {"fisher_empirical", "fisher_exact", "fisher_sampled", "mas", "absolute_fisher", "ggn"} <= means
    assert {"total_signal", "magnitude"} <= means
    others = {"root_fisher", "snip", "fisher_batched", "hessian_diagonal", "obd", "wanda", "si", "rwalk", "sos"}
    assert not means & others


# trajectories


def test_correlations_within_and_across_trajectories():
    values = torch.stack([positive(80, seed=seed) for seed in range(4)], 1)
    every = torch.corrcoef(values.T)
    result = on_trajectories(every.view(2, 2, 2, 2))
    assert result["own"][0, 1] == pytest.approx(every[0, 3].item())
    assert result["same"][0, 1] == pytest.approx((every[0, 1] + every[2, 3]).item() / 2)
    assert result["across"][0, 1] == pytest.approx((every[0, 2] + every[1, 3]).item() / 2)


def test_estimators_without_a_trajectory_are_compared_on_the_other_trajectories():
    values = torch.stack([positive(80, seed=seed) for seed in range(6)], 1)
    result = on_all_trajectories(torch.corrcoef(values.T).view(2, 3, 2, 3))
    expected = [torch.corrcoef(network.T)[1, 2].item() for network in values.split(3, 1)]
    assert result[1, 2] == pytest.approx(sum(expected) / 2)


def test_on_identical_trajectories_all_quantities_are_the_estimators_correlation():
    one = torch.stack([positive(80, seed=seed) for seed in range(3)], 1)
    result = on_trajectories(torch.corrcoef(one.repeat(1, 3).T).view(3, 3, 3, 3))
    torch.testing.assert_close(result["own"], correlation(one, "pearson"))
    torch.testing.assert_close(result["same"], correlation(one, "pearson"))
    torch.testing.assert_close(result["across"], torch.ones(3, 3, dtype=torch.float64))


# from tables to figures


def tables(names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    conditions = [("temperature", 1.0), ("temperature", 5.0), ("epochs", 1.0)]
    agreements = [
        ("s", tensor, a, b, coefficient, condition, level, seed, level + 10 * seed + (tensor == "w2"))
        for tensor in ("w1", "w2", "bias")
        for a, b in combinations(names, 2)
        for coefficient in AGREEMENT
        for condition, level in conditions
        for seed in range(2)
    ]
    sure = [
        ("s", condition, level, quantity, seed, 0.5 + 0.1 * seed)
        for condition, level in conditions
        for quantity in ("max_probability", "runner_up")
        for seed in range(2)
    ]
    return (
        pd.DataFrame(agreements, columns=COLUMNS["explanation_agreement"]),
        pd.DataFrame(sure, columns=COLUMNS["explanation_confidence"]),
    )


def test_agreement_and_confidence_are_means_over_given_tensors():
    along = along_confidence(*tables(["fisher_empirical", "mas"]), ["w1", "w2"])
    row = along[(along["condition"] == "temperature") & (along["level"] == 5) & (along["coefficient"] == "ratio")]
    assert row[["mean", "n", "max_probability"]].to_numpy().tolist() == [[5 + 5 + 0.5, 2, 0.55]]


def test_predicted_pairs_in_either_order_or_else_the_first_pairs():
    both = ["mas", "fisher_exact", "absolute_fisher"]
    result, _ = tables(both)
    assert set(predicted_pairs(result)) == {("mas", "absolute_fisher", 1.0), ("mas", "fisher_exact", 2.0)}
    assert set(predicted_pairs(tables(THEORY[::-1])[0])) <= {
        *PREDICTED, *((b, a, 1 / slope) for a, b, slope in PREDICTED),
    }  # fmt: skip
    assert predicted_pairs(tables(["si", "magnitude"])[0]) == [("si", "magnitude", None)]


def test_a_slope_uses_entries_that_are_positive_in_both():
    values = torch.stack([positive(30), positive(30).square()], 1)
    values[3, 0], values[5, 1] = -1, 0
    assert agreement(values)["log_slope"][0, 1] == pytest.approx(2)
