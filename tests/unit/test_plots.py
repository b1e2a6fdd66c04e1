"""The figures: they hold the values they should, cope with what tables contain, and are the same bytes every time."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from weight_importance import ESTIMATORS
from weight_importance.plots import style
from weight_importance.plots.correlation import correlation_matrix, correlation_null
from weight_importance.plots.estimators import estimator_factors, estimator_scatter
from weight_importance.plots.pruning import pruning
from weight_importance.plots.retention import retention_lambda, retention_tasks
from weight_importance.tables import COLUMNS

STUDY = "mlp_permuted_mnist"
NAMES = ["fisher_empirical", "mas", "si", "magnitude"]
TENSORS = ["all", "fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"]


def correlations(names: list[str] = NAMES) -> pd.DataFrame:
    """Every coefficient is the same for a pair in all tensors; one of them does not exist."""
    rows = [
        (
            STUDY,
            tensor,
            a,
            b,
            coefficient,
            seed,
            math.nan if tensor == "fc2.bias" and place == 0 else 0.9 - 0.25 * place,
        )
        for tensor in TENSORS
        for place, (a, b) in enumerate(itertools.combinations(names, 2))
        for coefficient in ("pearson", "overlap_top10")
        for seed in range(2)
    ]
    return pd.DataFrame(rows, columns=COLUMNS["correlation"])


def null() -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = [(*row[:6], p, 0.1 * random.normal()) for row in correlations().itertuples(index=False) for p in range(3)]
    return pd.DataFrame(rows, columns=COLUMNS["correlation_null"])


def retention(strengths: tuple[float, ...] = (1.0, 4.5, 20.0), seeds: int = 2) -> pd.DataFrame:
    rows = [
        (STUDY, name, strength, seed, learnt, task, split, accuracy)
        for name in ["none", *NAMES]
        for strength in ([0.0] if name == "none" else strengths)
        for seed in range(seeds)
        for learnt in (1, 2, 3)
        for task in range(1, learnt + 1)
        for split in ("validation", "test")
        for accuracy in [
            math.nan if name == "si" and strength == 20.0 and learnt > 1 else 0.9 + 0.01 * seed - 0.02 * learnt
        ]
    ]
    return pd.DataFrame(rows, columns=COLUMNS["retention"])


def selected(strength: float = 4.5) -> pd.DataFrame:
    rows = [(STUDY, name, strength, "validation") for name in NAMES]
    return pd.DataFrame([*rows, (STUDY, "none", 0.0, "validation")], columns=COLUMNS["selected_lambda"])


PUBLISHED = pd.DataFrame(
    [(STUDY, "mas", 4.5, 10, 0.95, 0.94, 0.96, 20), (STUDY, "mas", 5.0, 10, 0.9, 0.89, 0.91, 20)],
    columns=["study", "estimator", "lambda", "tasks_learnt", "mean", "low", "high", "n"],
)


def pruned() -> pd.DataFrame:
    rows = [
        (STUDY, scope, criterion, seed, fraction, 0.97 - 0.5 * fraction + 0.01 * seed)
        for scope in ("tensor", "network")
        for criterion in [*NAMES, "random"]
        for seed in range(2)
        for fraction in (0.0, 0.5, 0.9)
    ]
    return pd.DataFrame(rows, columns=COLUMNS["pruning"])


def scatter() -> Figure:
    random = torch.Generator().manual_seed(0)
    weights = {name: {"fc1.weight": torch.randn(30, 40, generator=random) + 1} for name in NAMES}
    return estimator_scatter(weights, [("fisher_empirical", "mas", 0.5), ("mas", "si", None)])


def factors() -> Figure:
    rows = [(name, "fc1.weight", seed, 0.9 - 0.3 * seed) for name in NAMES for seed in range(2)]
    return estimator_factors(pd.DataFrame(rows, columns=["estimator", "tensor", "seed", "value"]))


FIGURES = {
    "correlation_matrix": lambda: correlation_matrix(correlations(), "pearson"),
    "correlation_overlap": lambda: correlation_matrix(correlations(), "overlap_top10"),
    "correlation_matrix_two": lambda: correlation_matrix(correlations(NAMES[:2]), "pearson"),
    "correlation_null": lambda: correlation_null(correlations(), null()),
    "retention_lambda": lambda: retention_lambda(retention(), selected(), PUBLISHED),
    "retention_lambda_one": lambda: retention_lambda(retention((1.0,), seeds=1), selected(1.0), PUBLISHED),
    "retention_tasks": lambda: retention_tasks(retention(), selected()),
    "pruning": lambda: pruning(pruned()),
    "estimator_scatter": scatter,
    "estimator_factors": factors,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_without_complaint_and_the_same_bytes_twice(name, tmp_path):
    for copy in ("one", "two"):
        style.save(FIGURES[name](), tmp_path / f"{copy}.pdf")
    first = (tmp_path / "one.pdf").read_bytes()
    assert first == (tmp_path / "two.pdf").read_bytes()
    assert b"CreationDate" not in first
    assert b"/Type3" not in first


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_printed_smaller_than_seven_points(name):
    figure = FIGURES[name]()
    assert figure.get_figwidth() == style.WIDTH
    texts = figure.findobj(lambda artist: hasattr(artist, "get_fontsize") and artist.get_text().strip())
    assert min(text.get_fontsize() for text in texts) >= 7


def cells(figure: Figure, tensor: str) -> list[str]:
    (axes,) = [axes for axes in figure.axes if axes.get_label() == tensor]
    return [text.get_text() for text in axes.texts if text.get_text() != tensor]


def test_the_matrix_writes_each_pair_once_in_every_tensor():
    figure = correlation_matrix(correlations(), "pearson")
    # pairs in the order of the estimator list: rows are the later estimator
    assert sorted(cells(figure, "all")) == sorted([".90", ".65", ".40", ".15", "-.10", "-.35"])
    assert "?" in cells(figure, "fc2.bias")


def test_axes_stand_in_the_order_of_the_layers():
    figure = correlation_matrix(correlations(), "pearson")
    labels = [axes.get_label() for axes in figure.axes if axes.get_label() in TENSORS]
    assert labels == ["fc1.weight", "fc2.weight", "all", "fc1.bias", "fc2.bias"]


def test_a_diverged_strength_is_marked_and_not_drawn_as_a_mean():
    figure = retention_lambda(retention(), selected(), PUBLISHED)
    (axes,) = [axes for axes in figure.axes if axes.get_title() == "SI"]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[20.0]]
    means = next(line for line in axes.lines if line.get_label() == "SI")
    assert list(means.get_xdata()) == [1.0, 4.5]


def test_published_values_appear_at_the_same_strength_only():
    figure = retention_lambda(retention(), selected(), PUBLISHED)
    diamonds = {
        axes.get_title(): line for axes in figure.axes for line in axes.lines if line.get_markerfacecolor() == "white"
    }
    assert list(diamonds["MAS (softmax)"].get_xdata()) == [4.5]
    assert list(diamonds["SI"].get_xdata()) == []


def test_every_estimator_looks_different_and_so_would_thirty(monkeypatch):
    monkeypatch.setattr(style, "ESTIMATORS", {f"estimator_{number:02}": None for number in range(30)})
    looks = [tuple(map(str, style.look(name).values())) for name in style.ESTIMATORS]
    assert len(set(looks)) == 30


def test_all_known_estimators_have_labels_in_figures():
    assert [style.label(name) for name in ("none", "random")] == ["no penalty", "random"]
    assert all(style.label(name) == ESTIMATORS[name].label for name in ESTIMATORS)
