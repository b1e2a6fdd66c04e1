"""What the text quotes of the explanation, from small tables whose answers are known."""

import pandas as pd
import pytest

from weight_importance.explanation_findings import AGAINST, HELD, OPEN, predictions, signal_signs, verdicts
from weight_importance.explanation_numbers import explanation
from weight_importance.tables import COLUMNS

SEEDS = (0, 1)
PAIRS = [("absolute_fisher", "mas"), ("fisher_empirical", "mas")]


def table(name: str, rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame([("s", *row) for row in rows], columns=COLUMNS[name])


def signals(tensor: str, seed: int) -> list[tuple]:
    """The empirical Fisher information turns, and its input factor does not; the correlation of MAS fades."""
    observed = (
        {"mas": 0.5, "fisher_empirical": 0.4} if tensor == "fc1.weight" else {"mas": 0.3, "fisher_empirical": -0.2}
    )
    by_signal = {"mas": 0.4, "fisher_empirical": 0.1}
    parts = {"input_factors": 0.9, "output_factors": 0.1, "divided": 0.0, "by_input_weights": 0.0}
    rows = []
    for name, value in observed.items():
        of = parts | {"observed": value, "by_signal": by_signal[name], "by_output_weights": 0.0}
        of["by_single_weights"] = value - by_signal[name]
        rows += [(tensor, name, quantity, seed, part + 0.001 * seed) for quantity, part in of.items()]
    return [*rows, *((tensor, "magnitude", quantity, seed, -0.9) for quantity in (*parts, "observed", "by_signal"))]


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    tensors = ("fc1.weight", "fc2.weight")
    confidence, agreement, factors, signal, reliability, noise, trajectories = [], [], [], [], [], [], []
    for seed in SEEDS:
        for level, sure in ((1, 0.6), (8, 0.9)):
            confidence += [("epochs", level, "max_probability", seed, sure), ("epochs", level, "runner_up", seed, 0.05)]
            for tensor in tensors:
                for a, b in PAIRS:
                    agreement.append((tensor, a, b, "pearson", "epochs", level, seed, sure if a != "mas" else 0))
                    agreement.append((tensor, a, b, "ratio", "epochs", level, seed, level / 10))
        for tensor, parts in (("fc1.weight", (0.5, 0.1, 0.0, 0.2)), ("fc2.weight", (0.1, 0.1, 0.0, 0.6))):
            for a, b in PAIRS:
                scale = 1.0 if a == "absolute_fisher" else 0.1  # the other pair is below what is asked about
                names = ("by_input", "by_output", "by_product", "by_rest")
                factors += [(tensor, a, b, name, seed, part * scale) for name, part in zip(names, parts, strict=True)]
                factors.append((tensor, a, b, "observed", seed, sum(parts) * scale))
        for tensor, raised in (("fc1.weight", 0.05), ("fc2.weight", 0.3)):
            for a, b in PAIRS:
                noise += [(tensor, a, b, "pearson", "observed", seed, 0.5)]
                noise += [(tensor, a, b, "pearson", "independent", seed, 0.5 + raised)]
                trajectories += [(tensor, a, b, "pearson", name, seed, v) for name, v in (("same", 0.8), ("own", 0.6))]
            signal += signals(tensor, seed)
            for name, value in (("mas", 0.9), ("fisher_empirical", 0.7)):
                value -= 0.1 * (tensor == "fc2.weight")
                reliability.append((tensor, name, "pearson", "full", seed, value))
    found = locals()
    names = ("confidence", "agreement", "factors", "signal", "reliability", "noise", "trajectories")
    return {f"explanation_{name}": table(f"explanation_{name}", found[name]) for name in names}


def test_the_numbers_of_the_explanation(tables):
    found = explanation(tables)
    expected = {
        "epochs/first": 1,
        "epochs/last": 8,
        "confidence/first": "0.600",
        "confidence/last": "0.900",
        "absolute_fisher/mas/pearson/first": "0.60",
        "absolute_fisher/mas/pearson/last": "0.90",
        "absolute_fisher/mas/ratio/last": "0.80",
        "factors/notable/count": 2,  # of absolute Fisher with MAS
        "factors/mostly/count": 1,  # three quarters in fc1, a quarter in fc2
        "factors/input/count": 1,
        "signal/all/count": 4,  # magnitude is not made of gradients
        "signal/positive/count": 3,
        "signal/negative/count": 1,
        "signal/explained/count": 2,  # of MAS
        "signal/opposed/count": 1,
        "signal/inputs/low": "0.90",
        "signal/first/observed": "0.45",
        "signal/last/observed": "0.05",
        "signal/last/by_signal": "0.25",
        "signal/last/by_weights": "-0.20",
        "predictions/all/count": 4,  # two predictions in two tensors
        "predictions/held/count": 4,
        "predictions/against/count": 0,
        "predictions/limited/count": 4,
        "predictions/near/count": 2,
        "reliability/lowest/mean": "0.60",
        "noise/raised/count": 2,
        "noise/pairs/count": 4,
        "trajectories/same/mean": "0.80",
        "trajectories/own/mean": "0.60",
    }
    for key, value in expected.items():
        assert found[f"explanation/{key}"] == rf"\num{{{value}}}", key
    assert found["explanation/predictions/held/list"].startswith("MAS becomes proportional to absolute Fisher and MAS")
    assert found["explanation/predictions/against/list"] == "none"
    assert found["explanation/reliability/lowest/label"] == "Fisher (empirical)"
    assert found["explanation/reliability/lowest/tensor"] == r"fc2.weight"


def test_a_pair_that_is_not_there_has_no_key(tables):
    assert not any("fisher_exact" in key for key in explanation(tables))


def test_whether_the_shared_input_factor_explains_the_change_of_sign_is_said_as_the_numbers_have_it(tables):
    found = explanation(tables)["explanation/signal/answer"]
    assert found.startswith(
        "The shared input factor does not explain the change of sign (of Fisher (empirical); negative"
    )
    assert r"\texttt{fc2.weight}" in found and r"positive if it were alone: \num{1}" in found
    signal = tables["explanation_signal"]
    turns = (signal["tensor"] == "fc2.weight") & (signal["estimator"] == "fisher_empirical")
    tables["explanation_signal"] = signal.assign(
        value=signal["value"].where(~(turns & (signal["quantity"] == "by_signal")), -0.15)
    )
    assert explanation(tables)["explanation/signal/answer"].startswith("The shared input factor explains the change")
    tables["explanation_signal"] = signal[signal["estimator"] == "mas"]
    found = explanation(tables)["explanation/signal/answer"]
    assert found.endswith("changes its sign between the tensors: all that are clear of zero lie above it")


def test_without_an_estimator_made_of_gradients_nothing_is_said_of_the_total_signal(tables):
    signal = tables["explanation_signal"]
    tables["explanation_signal"] = signal[signal["estimator"] == "magnitude"]
    assert not any("/signal/" in key for key in explanation(tables))


@pytest.mark.parametrize(
    ("observed", "by_signal", "outcome"),
    [
        ([0.50, 0.52], [0.40, 0.41], "explained"),
        ([-0.50, -0.52], [-0.40, -0.41], "explained"),
        ([0.50, 0.52], [0.10, 0.11], "less than half"),
        ([0.50, 0.52], [-0.01, 0.01], "less than half"),
        ([0.50, 0.52], [-0.10, -0.11], "opposed"),
        ([-0.50, -0.52], [0.10, 0.11], "opposed"),
        ([0.01, -0.01], [0.30, 0.31], "cancelled"),
        ([0.01, -0.01], [0.00, 0.01], "no sign"),
        ([0.50], [0.40], "no sign"),  # one network has no interval
    ],
)
def test_where_a_sign_comes_from(observed, by_signal, outcome):
    rows = [
        ("fc1.weight", "mas", quantity, seed, value)
        for quantity, values in (("observed", observed), ("by_signal", by_signal))
        for seed, value in enumerate(values)
    ]
    assert signal_signs(table("explanation_signal", rows))["outcome"].tolist() == [outcome]


# predictions


def foreseen(first: list[float], last: list[float], pair: tuple[str, str], coefficient: str) -> pd.DataFrame:
    """One condition, whose second level has the more confident networks; one value a network at either."""
    rows = [
        ("fc1.weight", *pair, coefficient, "temperature", level, seed, value)
        for level, values in ((2.0, first), (0.5, last))
        for seed, value in enumerate(values)
    ]
    sure = [("temperature", level, "max_probability", 0, value) for level, value in ((2.0, 0.5), (0.5, 0.99))]
    return predictions(table("explanation_agreement", rows), table("explanation_confidence", sure), ["fc1.weight"])


@pytest.mark.parametrize(
    ("pair", "coefficient", "first", "last", "outcome", "near"),
    [
        (("absolute_fisher", "mas"), "pearson", [0.80, 0.81], [0.97, 0.98], HELD, True),
        (("mas", "absolute_fisher"), "pearson", [0.80, 0.81], [0.97, 0.98], HELD, True),
        (("absolute_fisher", "mas"), "pearson", [0.97, 0.98], [0.93, 0.94], AGAINST, True),
        (("absolute_fisher", "mas"), "pearson", [0.5, 0.9], [0.6, 0.7], OPEN, False),
        (("absolute_fisher", "mas"), "ratio", [0.40, 0.41], [0.70, 0.71], HELD, False),
        (("mas", "absolute_fisher"), "ratio", [2.50, 2.51], [1.02, 1.01], HELD, True),
        (("fisher_empirical", "fisher_exact"), "pearson", [0.9, 0.91], [0.7, 0.71], HELD, False),
        (("fisher_empirical", "fisher_exact"), "ratio", [2.0, 2.1], [1.0, 1.1], AGAINST, False),
        (("fisher_exact", "mas"), "log_slope", [0.30, 0.31], [0.46, 0.47], HELD, True),
        (("fisher_exact", "mas"), "log_slope", [0.51, 0.52], [0.7, 0.71], AGAINST, False),
    ],
)  # fmt: skip
def test_what_was_foreseen_held_or_not(pair, coefficient, first, last, outcome, near):
    (row,) = foreseen(first, last, pair, coefficient).to_dict("records")
    assert (row["outcome"], row["near"]) == (outcome, near)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([HELD, HELD, OPEN], HELD),
        ([HELD, HELD, AGAINST], OPEN),
        ([AGAINST, AGAINST, HELD], AGAINST),
        ([HELD, OPEN], OPEN),
    ],
)
def test_a_prediction_held_where_most_comparisons_do_and_none_goes_the_other_way(outcomes, verdict):
    found = verdicts(pd.DataFrame({"prediction": "parting", "outcome": outcomes}))
    assert [name for name, predictions in found.items() if predictions] == [verdict]


def test_a_single_network_leaves_a_prediction_open_and_other_pairs_have_none():
    (row,) = foreseen([0.1], [0.9], ("absolute_fisher", "mas"), "pearson").to_dict("records")
    assert row["outcome"] == OPEN
    assert foreseen([0.1], [0.9], ("si", "mas"), "pearson").empty
