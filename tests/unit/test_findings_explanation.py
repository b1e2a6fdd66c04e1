"""Numbers of the explanation, from small tables with known answers."""

import pandas as pd
import pytest

from weight_importance.files.tables import COLUMNS
from weight_importance.findings.explanation import AGAINST, AWAY, HELD, OPEN, TOWARDS, predictions
from weight_importance.findings.explanation_factors import signal_signs, turning
from weight_importance.findings.study import Findings
from weight_importance.paper.explanation import explanation

SEEDS = (0, 1)
PAIRS = [("absolute_fisher", "mas"), ("fisher_empirical", "mas")]


def table(name: str, rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame([("s", *row) for row in rows], columns=COLUMNS[name])


def signals(tensor: str, seed: int) -> list[tuple]:
    """The sign of the empirical Fisher information changes, that of its input factor does not; MAS fades."""
    observed = (
        {"mas": 0.5, "fisher_empirical": 0.4} if tensor == "fc1.weight" else {"mas": 0.3, "fisher_empirical": -0.2}
    )
    by_signal = {"mas": 0.4, "fisher_empirical": 0.1}
    parts = {"input_factors": 0.9, "output_factors": 0.1, "divided": 0.0, "by_input_weights": 0.0}
    rows = []
    for name, value in observed.items():
        values = parts | {"observed": value, "by_signal": by_signal[name], "by_output_weights": 0.0}
        values["by_single_weights"] = value - by_signal[name]
        rows += [(tensor, name, quantity, seed, part + 0.001 * seed) for quantity, part in values.items()]
    return [*rows, *((tensor, "magnitude", quantity, seed, -0.9) for quantity in (*parts, "observed", "by_signal"))]


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    tensors = ("fc1.weight", "fc2.weight")
    confidence, agreement, factors, signal, reliability, noise, trajectories, shared = ([] for _ in range(8))
    for seed in SEEDS:
        for level, sure in ((1, 0.6), (8, 0.9)):
            confidence += [("epochs", level, "max_probability", seed, sure), ("epochs", level, "runner_up", seed, 0.05)]
            for tensor in tensors:
                for a, b in PAIRS:
                    agreement.append((tensor, a, b, "pearson", "epochs", level, seed, sure if a != "mas" else 0))
                    agreement.append((tensor, a, b, "ratio", "epochs", level, seed, level / 10))
        for tensor, parts in (("fc1.weight", (0.5, 0.1, 0.0, 0.2)), ("fc2.weight", (0.1, 0.1, 0.0, 0.6))):
            for a, b in PAIRS:
                scale = 1.0 if a == "absolute_fisher" else 0.1  # the other pair is below the threshold
                names = ("by_input", "by_output", "by_product", "by_rest")
                factors += [(tensor, a, b, name, seed, part * scale) for name, part in zip(names, parts, strict=True)]
                factors.append((tensor, a, b, "observed", seed, sum(parts) * scale))
        for tensor, raised in (("fc1.weight", 0.05), ("fc2.weight", 0.3)):
            for a, b in PAIRS:
                noise += [(tensor, a, b, "pearson", "observed", seed, 0.5)]
                noise += [(tensor, a, b, "pearson", "independent", seed, 0.5 + raised)]
                for name, after in (("same", (0.9, 0.8)), ("own", (0.9, 0.6))):
                    for tasks, value in enumerate(after, start=1):
                        trajectories.append((tensor, a, b, "pearson", name, tasks, seed, value))
                shared += [(tensor, a, b, "pearson", tasks, seed, value) for tasks, value in ((1, 0.7), (2, 0.4))]
            signal += signals(tensor, seed)
            for name, value in (("mas", 0.9), ("fisher_empirical", 0.7)):
                value -= 0.1 * (tensor == "fc2.weight")
                reliability.append((tensor, name, "pearson", "full", seed, value))
    result = locals()
    names = ("confidence", "agreement", "factors", "signal", "reliability", "noise", "trajectories", "shared")
    return {f"explanation_{name}": table(f"explanation_{name}", result[name]) for name in names}


def test_the_numbers_of_the_explanation(tables):
    result = explanation(Findings(tables))
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
        "signal/all/count": 4,  # magnitude uses no gradients
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
        "predictions/limited/all/count": 4,
        "predictions/unlimited/all/count": 0,
        "predictions/limited/held/count": 2,  # MAS correlates with absolute Fisher at 0.9 at last
        "predictions/limited/against/count": 2,  # and is 0.8 times as large
        "predictions/limited/towards/count": 4,
        "predictions/limited/away/count": 0,
        "reliability/lowest/mean": "0.60",
        "noise/raised/count": 2,
        "noise/lowered/count": 0,
        "noise/pairs/count": 4,
        "trajectories/same/mean": "0.80",
        "trajectories/own/mean": "0.60",
        "trajectories/other/mean": "0.40",
    }
    for key, value in expected.items():
        assert result[f"explanation/{key}"] == rf"\num{{{value}}}", key
    assert result["explanation/trajectories/own/list"] == r"\num{0.90} and \num{0.60}"
    assert result["explanation/trajectories/path/list"] == "--", "no estimator of the path is explained"
    assert result["explanation/reliability/lowest/label"] == "Fisher (empirical)"
    assert result["explanation/reliability/lowest/tensor"] == r"fc2.weight"


def test_a_missing_pair_has_no_key(tables):
    assert not any("fisher_exact" in key for key in explanation(Findings(tables)))


def signals_of(correlations: dict[str, dict[str, tuple[float, float]]], spread: float = 0.001) -> pd.DataFrame:
    """The table of estimator → tensor → correlation and the contribution of the shared input factor."""
    return table(
        "explanation_signal",
        [
            (tensor, name, quantity, seed, value + spread * seed)
            for name, by_tensor in correlations.items()
            for tensor, values in by_tensor.items()
            for quantity, value in zip(("observed", "by_signal"), values, strict=True)
            for seed in SEEDS
        ],
    )


TURNS = {"fc1.weight": (0.3, 0.2), "fc3.weight": (-0.3, -0.25)}
SAME_SIDE = {"fc1.weight": (0.3, -0.2), "fc3.weight": (-0.3, -0.25)}
STAYS = {"fc1.weight": (0.3, 0.2), "fc3.weight": (0.2, 0.15)}
FADES = {"fc1.weight": (0.3, 0.2), "fc3.weight": (0.0, 0.0)}  # intervals of values at zero include it


@pytest.mark.parametrize(
    ("correlations", "turned", "counts"),
    [
        ({"mas": TURNS}, "MAS (softmax)", (2, 2, 0)),
        ({"mas": SAME_SIDE}, "MAS (softmax)", (2, 1, 1)),  # a factor that is always negative explains one side
        (
            {"mas": TURNS, "fisher_empirical": STAYS},
            "MAS (softmax)",
            (2, 2, 0),
        ),  # correlations without a change of sign do not count
        ({"mas": STAYS}, "none", (0, 0, 0)),
        ({"mas": STAYS, "fisher_empirical": FADES}, "none", (0, 0, 0)),
        ({"mas": {"fc1.weight": (0.3, 0.2)}, "si": SAME_SIDE}, "none", (0, 0, 0)),  # SI is a path estimator
    ],
)
def test_changes_of_sign_are_counted_with_those_explained_by_the_input_factor(tables, correlations, turned, counts):
    tables["explanation_signal"] = signals_of(correlations)
    result = explanation(Findings(tables))
    assert result["explanation/signal/turning/list"] == turned
    names = ("correlations", "explained", "opposed")
    assert [result[f"explanation/signal/turning/{name}/count"] for name in names] == [rf"\num{{{n}}}" for n in counts]


def test_one_network_decides_no_change_of_sign():
    signal = signals_of({"mas": TURNS})
    assert turning(signal_signs(signal[signal["seed"] == 0])) == []


def test_path_estimators_are_counted_separately_and_those_with_the_weight_as_a_factor_not(tables):
    names = ["mas", "si", "snip", "obd", "root_fisher", "magnitude", "wanda", "fisher_exact"]
    tables["explanation_signal"] = signals_of(dict.fromkeys(names, TURNS))
    signs = signal_signs(tables["explanation_signal"])
    assert [*zip(signs["kind"], signs["estimator"], strict=True)] == 2 * [
        ("moment", "fisher_exact"),
        ("moment", "mas"),
        ("path", "si"),
    ]
    result = explanation(Findings(tables))
    assert result["explanation/signal/all/count"] == r"\num{4}"
    assert result["explanation/signal/path/all/count"] == r"\num{2}"
    assert result["explanation/signal/path/explained/count"] == r"\num{2}"


def test_without_gradient_estimators_there_are_no_numbers_of_the_total_signal(tables):
    signal = tables["explanation_signal"]
    tables["explanation_signal"] = signal[signal["estimator"] == "magnitude"]
    assert not any("/signal/" in key for key in explanation(Findings(tables)))


@pytest.mark.parametrize(
    ("observed", "by_signal", "outcome"),
    [
        ([0.50, 0.52], [0.40, 0.41], "explained"),
        ([-0.50, -0.52], [-0.40, -0.41], "explained"),
        ([0.50, 0.52], [0.10, 0.11], "less than half"),
        ([0.50, 0.52], [-0.01, 0.01], "less than half"),
        ([0.50, 0.52], [-0.10, -0.11], "opposed"),
        ([-0.50, -0.52], [0.10, 0.11], "opposed"),
        ([0.01, -0.01], [0.30, 0.29], "cancelled"),
        ([0.01, -0.01], [-0.30, -0.31], "cancelled"),
        ([0.01, -0.01], [0.00, 0.01], "no sign"),
        ([0.0004, 0.0], [0.003, 0.003], "no sign"),  # negligible, though outside the interval of the correlation
        ([0.30, -0.01], [0.12, 0.13], "no sign"),  # the decrease of the correlation is not significant
        ([0.10, -0.14], [0.30, 0.06], "no sign"),  # nor is the contribution
        ([0.50], [0.40], "no sign"),  # one network has no interval
    ],
)
def test_origins_of_a_sign(observed, by_signal, outcome):
    rows = [
        ("fc1.weight", "mas", quantity, seed, value)
        for quantity, values in (("observed", observed), ("by_signal", by_signal))
        for seed, value in enumerate(values)
    ]
    assert signal_signs(table("explanation_signal", rows))["outcome"].tolist() == [outcome]


# predictions


def foreseen(first: list[float], last: list[float], pair: tuple[str, str], coefficient: str) -> pd.DataFrame:
    """Predictions for a condition whose second level has more confident networks; one value per network and level."""
    rows = [
        ("fc1.weight", *pair, coefficient, "temperature", level, seed, value)
        for level, values in ((2.0, first), (0.5, last))
        for seed, value in enumerate(values)
    ]
    sure = [("temperature", level, "max_probability", 0, value) for level, value in ((2.0, 0.5), (0.5, 0.99))]
    return predictions(table("explanation_agreement", rows), table("explanation_confidence", sure), ["fc1.weight"])


@pytest.mark.parametrize(
    ("pair", "coefficient", "first", "last", "outcome", "moved"),
    [
        (("absolute_fisher", "mas"), "pearson", [0.80, 0.81], [0.970, 0.971], HELD, TOWARDS),
        (("mas", "absolute_fisher"), "pearson", [0.80, 0.81], [0.970, 0.971], HELD, TOWARDS),
        (("absolute_fisher", "mas"), "pearson", [0.970, 0.971], [0.940, 0.941], HELD, AWAY),
        (("absolute_fisher", "mas"), "pearson", [0.5, 0.9], [0.6, 0.7], OPEN, OPEN),
        (("absolute_fisher", "mas"), "pearson", [0.80, 0.81], [0.90, 0.95], OPEN, OPEN),  # near, but not significant
        (("absolute_fisher", "mas"), "ratio", [0.40, 0.41], [0.70, 0.71], AGAINST, TOWARDS),
        (("mas", "absolute_fisher"), "ratio", [2.50, 2.51], [1.020, 1.021], HELD, TOWARDS),
        (("fisher_empirical", "fisher_exact"), "pearson", [0.9, 0.91], [0.7, 0.71], HELD, TOWARDS),
        (("fisher_empirical", "fisher_exact"), "pearson", [0.5, 0.9], [0.7, 0.71], OPEN, OPEN),
        (("fisher_empirical", "fisher_exact"), "ratio", [2.0, 2.1], [1.0, 1.1], AGAINST, AWAY),
        (("fisher_exact", "mas"), "log_slope", [0.490, 0.491], [0.470, 0.471], HELD, AWAY),  # always near
        (("fisher_exact", "mas"), "log_slope", [0.300, 0.301], [0.350, 0.351], AGAINST, TOWARDS),
        (("fisher_exact", "mas"), "log_slope", [0.510, 0.511], [0.700, 0.701], AGAINST, AWAY),
    ],
)  # fmt: skip
def test_outcomes_of_predictions(pair, coefficient, first, last, outcome, moved):
    """With a limit, the outcome depends on the distance from it; without one, on the direction."""
    (row,) = foreseen(first, last, pair, coefficient).to_dict("records")
    assert (row["outcome"], row["moved"]) == (outcome, moved)


def test_a_single_network_leaves_a_prediction_open_and_other_pairs_have_none():
    (row,) = foreseen([0.1], [0.9], ("absolute_fisher", "mas"), "pearson").to_dict("records")
    assert (row["outcome"], row["moved"]) == (OPEN, OPEN)
    assert foreseen([0.1], [0.9], ("si", "mas"), "pearson").empty
