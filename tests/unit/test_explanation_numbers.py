"""What the text quotes of the explanation, from small tables whose answers are known."""

import pandas as pd
import pytest

from weight_importance.explanation_numbers import explanation
from weight_importance.tables import COLUMNS

SEEDS = (0, 1)
PAIRS = [("absolute_fisher", "mas"), ("fisher_empirical", "mas")]


def table(name: str, rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame([("s", *row) for row in rows], columns=COLUMNS[name])


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    tensors = ("fc1.weight", "fc2.weight")
    confidence, agreement, factors, reliability, noise, trajectories = [], [], [], [], [], []
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
            for name, value in (("mas", 0.9), ("fisher_empirical", 0.7)):
                value -= 0.1 * (tensor == "fc2.weight")
                reliability.append((tensor, name, "pearson", "full", seed, value))
    found = locals()
    names = ("confidence", "agreement", "factors", "reliability", "noise", "trajectories")
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
        "reliability/lowest/mean": "0.60",
        "noise/raised/count": 2,
        "noise/pairs/count": 4,
        "trajectories/same/mean": "0.80",
        "trajectories/own/mean": "0.60",
    }
    for key, value in expected.items():
        assert found[f"explanation/{key}"] == rf"\num{{{value}}}", key
    assert found["explanation/reliability/lowest/label"] == "Fisher (empirical)"
    assert found["explanation/reliability/lowest/tensor"] == r"fc2.weight"


def test_a_pair_that_is_not_there_has_no_key(tables):
    assert not any("fisher_exact" in key for key in explanation(tables))
