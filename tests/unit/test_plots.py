"""The figures: they show the values of the tables, support all cases, and are the same bytes every time."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from studies import PUBLISHED, changed, retention_table
from weight_importance import ESTIMATORS
from weight_importance.figures import style
from weight_importance.figures.ablations import ablations_frontier, ablations_recovery
from weight_importance.figures.correlation import correlation_matrix, correlation_null
from weight_importance.figures.estimators import estimator_factors, estimator_scatter
from weight_importance.figures.explanation import (
    explanation_confidence,
    explanation_noise,
    explanation_trajectories,
)
from weight_importance.figures.explanation_factors import explanation_factors, explanation_signal
from weight_importance.figures.labels import ablation_label
from weight_importance.figures.pruning import pruning
from weight_importance.figures.reproduction import reproduction_lambda, reproduction_pruning, reproduction_tasks
from weight_importance.figures.retention import retention_lambda, retention_tasks
from weight_importance.figures.variants import variants
from weight_importance.files.tables import COLUMNS
from weight_importance.findings.ablations import recovery
from weight_importance.findings.explanation import along_confidence
from weight_importance.findings.explanation_factors import signal_signs
from weight_importance.findings.pruning import pruning_means
from weight_importance.findings.reproduction import retention_means
from weight_importance.findings.statistics import select_lambda
from weight_importance.settings import Study

STUDY = "mlp_permuted_mnist"
NAMES = ["fisher_empirical", "mas", "si", "magnitude"]
TENSORS = ["all", "fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"]


def correlations(names: list[str] = NAMES) -> pd.DataFrame:
    """A pair has the same coefficient in all tensors, one of which is undefined."""
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
    def accuracy(name, strength, seed, learnt, task, split):
        diverged = name == "si" and strength == 20.0 and learnt > 1
        return math.nan if diverged else 0.9 + 0.01 * seed - 0.02 * learnt

    return retention_table(runs(["none", *NAMES], strengths), range(seeds), accuracy)


def runs(names: list[str], strengths: tuple[float, ...]) -> list[tuple[str, str, float]]:
    """All estimators of the study at all strengths; without a penalty the strength is zero."""
    return [(STUDY, name, strength) for name in names for strength in ([0.0] if name == "none" else strengths)]


def selected(strength: float = 4.5) -> pd.DataFrame:
    rows = [(STUDY, name, strength, "validation") for name in NAMES]
    return pd.DataFrame([*rows, (STUDY, "none", 0.0, "validation")], columns=COLUMNS["selected_lambda"])


ABLATIONS = [
    "reversed(mas)",
    "uniform(mas)",
    "values_of(mas)_in_ranks_of(fisher_empirical)",
    "power_2(mas)",
    "power_0.5(mas)",
    *(f"{name}(fisher_empirical)" for name in ("input_factor", "output_factor", "rank_one", "shuffled", "tensor_mean")),
    "shuffled_within_neuron(fisher_empirical)",
]


def controlled(seeds: int = 3, strengths: tuple[float, ...] = (1.0, 10.0, 100.0)) -> pd.DataFrame:
    """Two estimators and their ablations, of which one diverges at every λ."""
    names = ["none", "mas", "fisher_empirical", *ABLATIONS]

    def accuracy(name, strength, seed, learnt, task, split):
        if name == "reversed(mas)" and learnt > 1:
            return math.nan
        worse = 0.02 * names.index(name) * (seed + 1) / 3 + 0.4 * (name == "none")
        return 0.9 - worse + (task - 2) * 0.01 * strength**0.5

    return retention_table(runs(names, strengths), range(seeds), accuracy)


def published_retention(zero: bool = False) -> pd.DataFrame:
    """Two published estimators; with ``zero`` also the first of them without a penalty."""
    rows = [
        (STUDY, name, strength, learnt, mean, mean - 0.01, mean + 0.01, 20)
        for name, best in (("fisher_empirical", 4.5), ("mas", 5.0))
        for strength in ([0.0] if zero and name != "mas" else []) + [1.0, 4.5, 5.0, 200.0]
        for learnt in range(1, 5)
        for mean in [0.95 - 0.01 * learnt + 0.02 * (strength == best)]
    ]
    return pd.DataFrame(rows, columns=["study", "estimator", "lambda", "tasks_learnt", "mean", "low", "high", "n"])


def published_pruning() -> pd.DataFrame:
    rows = [
        (STUDY, "tensor", name, fraction / 10, mean, mean - 0.02, mean + 0.02, 10)
        for name in ("mas", "si", "magnitude")
        for fraction in range(10)
        for mean in [0.97 - 0.08 * fraction]
    ]
    return pd.DataFrame(rows, columns=["study", "scope", "criterion", "fraction", "mean", "low", "high", "n"])


def settings(*variants: str) -> dict[str, Study]:
    """The study and its variants, named after their changes."""
    result = {STUDY: PUBLISHED}
    for name in variants:
        penalty = {"penalty": "stabilised" if name == "stabilised" else "plain", "clamp_negative": True}
        result[f"{STUDY}_{name}"] = changed(PUBLISHED, companion_of=STUDY, networks_of=STUDY, retention=penalty)
    return result


def varied(*variants: str, **options) -> pd.DataFrame:
    """The retention of a study and of variants, which have one estimator less."""
    parts = [retention(**options)]
    for name in variants:
        part = retention(**options).query("estimator != 'mas'").assign(study=f"{STUDY}_{name}")
        parts.append(part.assign(**{"lambda": part["lambda"] * (2 if name == "stabilised" else 1)}))
    return pd.concat(parts)


def pruned() -> pd.DataFrame:
    rows = [
        (STUDY, scope, criterion, seed, fraction, 0.97 - 0.5 * fraction + 0.01 * seed)
        for scope in ("tensor", "network")
        for criterion in [*NAMES, "random"]
        for seed in range(2)
        for fraction in (0.0, 0.5, 0.9)
    ]
    return pd.DataFrame(rows, columns=COLUMNS["pruning"])


def scatter(tensors: int = 1) -> Figure:
    random = torch.Generator().manual_seed(0)
    shapes = {"fc1.weight": (30, 40)} | {f"conv{number}.weight": (8, 4, 3, 3) for number in range(1, tensors)}
    weights = {
        name: {tensor: torch.randn(shape, generator=random) + 1 for tensor, shape in shapes.items()} for name in NAMES
    }
    return estimator_scatter(weights, [("fisher_empirical", "mas", 0.5), ("mas", "si", None)])


def factors(tensors: int = 1) -> Figure:
    names = [f"fc{number + 1}.weight" for number in range(tensors)]
    rows = [(name, tensor, seed, 0.9 - 0.3 * seed) for name in NAMES for tensor in names for seed in range(2)]
    return estimator_factors(pd.DataFrame(rows, columns=["estimator", "tensor", "seed", "value"]))


EXPLAINED = ["absolute_fisher", "fisher_exact", "mas", "si"]
WEIGHTS = ["fc1.weight", "fc2.weight"]


def confident(names: list[str] = EXPLAINED, seeds: int = 3) -> pd.DataFrame:
    """Agreement along temperatures and epochs; without label smoothing."""
    levels = [("temperature", 1.0), ("temperature", 5.0), ("epochs", 1.0), ("epochs", 4.0)]
    rows = [
        (STUDY, tensor, a, b, coefficient, condition, level, seed, 0.9 - 0.05 * level + 0.01 * seed)
        for tensor in WEIGHTS
        for a, b in itertools.combinations(names, 2)
        for coefficient in ("pearson", "spearman", "log_slope", "ratio")
        for condition, level in levels
        for seed in range(seeds)
    ]
    sure = [
        (STUDY, condition, level, quantity, seed, value / level)
        for condition, level in levels
        for quantity, value in (("max_probability", 0.98), ("runner_up", 0.01))
        for seed in range(seeds)
    ]
    return along_confidence(
        pd.DataFrame(rows, columns=COLUMNS["explanation_agreement"]),
        pd.DataFrame(sure, columns=COLUMNS["explanation_confidence"]),
        WEIGHTS,
    )


def contributions(tensors: int = 2) -> pd.DataFrame:
    """Contributions including a negative and an undefined one."""
    parts = {
        "by_input": 0.5,
        "by_output": -0.2,
        "by_product": 0.1,
        "by_rest": 0.3,
        "observed": 0.7,
        "residuals": math.nan,
    }
    rows = [
        (STUDY, f"fc{number}.weight", a, b, quantity, seed, value)
        for number in range(1, tensors + 1)
        for a, b in itertools.combinations(EXPLAINED, 2)
        for quantity, value in parts.items()
        for seed in range(2)
    ]
    return pd.DataFrame(rows, columns=COLUMNS["explanation_factors"])


def shared(tensors: int = 3, names: tuple[str, ...] = ("mas", "si")) -> Figure:
    """A figure with a negative contribution and an estimator without any."""
    parts = {"by_signal": 0.3, "by_input_weights": 0.02, "by_output_weights": 0.05, "by_single_weights": -0.4}
    rows = [
        (STUDY, f"fc{number}.weight", name, quantity, seed, math.nan if name == "si" else value)
        for number in range(1, tensors + 1)
        for name in (*names, "magnitude")
        for quantity, value in (parts | {"observed": -0.03}).items()
        for seed in range(2)
    ]
    return explanation_signal(signal_signs(pd.DataFrame(rows, columns=COLUMNS["explanation_signal"])))


def noisy(beyond: float = 1.2) -> Figure:
    """A figure in which a value without noise exceeds 1 and an estimator has no halves."""
    rows = [
        (STUDY, tensor, a, b, "pearson", quantity, seed, value)
        for tensor in ("all", *WEIGHTS)
        for a, b in itertools.combinations(EXPLAINED, 2)
        for quantity, value in (
            ("observed", -0.004),
            ("independent", math.nan if "si" in (a, b) else beyond if a == "fisher_exact" else 0.95),
        )
        for seed in range(2)
    ]
    own = [
        (STUDY, tensor, name, "pearson", "full", seed, math.nan if name == "si" else 0.87)
        for tensor in ("all", *WEIGHTS)
        for name in EXPLAINED
        for seed in range(2)
    ]
    return explanation_noise(
        pd.DataFrame(rows, columns=COLUMNS["explanation_noise"]),
        pd.DataFrame(own, columns=COLUMNS["explanation_reliability"]),
    )


def parted() -> Figure:
    rows = [
        (STUDY, tensor, a, b, "pearson", quantity, tasks, seed, value)
        for tensor in ("all", *WEIGHTS)
        for a, b in itertools.combinations(EXPLAINED, 2)
        for quantity, value in (("same", 0.9), ("own", 0.5), ("across", math.nan if tensor == "all" else 0.6))
        for tasks in (1, 2)
        for seed in range(2)
    ]
    return explanation_trajectories(pd.DataFrame(rows, columns=COLUMNS["explanation_trajectories"]))


FIGURES = {
    "correlation_matrix": lambda: correlation_matrix(correlations(), "pearson"),
    "correlation_overlap": lambda: correlation_matrix(correlations(), "overlap_top10"),
    "correlation_matrix_two": lambda: correlation_matrix(correlations(NAMES[:2]), "pearson"),
    "correlation_null": lambda: correlation_null(correlations(), null()),
    "retention_lambda": lambda: retention_lambda(retention(), selected()),
    "retention_lambda_one": lambda: retention_lambda(retention((1.0,), seeds=1), selected(1.0)),
    "retention_tasks": lambda: retention_tasks(retention(), selected()),
    "pruning": lambda: pruning(pruned()),
    "estimator_scatter": scatter,
    "estimator_scatter_four": lambda: scatter(4),
    "estimator_scatter_six": lambda: scatter(6),
    "estimator_factors": factors,
    "estimator_factors_six": lambda: factors(6),
    "explanation_confidence": lambda: explanation_confidence(confident()),
    "explanation_confidence_one": lambda: explanation_confidence(confident(["si", "magnitude"], seeds=1)),
    "explanation_factors": lambda: explanation_factors(contributions()),
    "explanation_factors_six": lambda: explanation_factors(contributions(6)),
    "explanation_signal": shared,
    "explanation_signal_six": lambda: shared(6),
    "explanation_signal_none": lambda: shared(names=()),
    "explanation_noise": noisy,
    "explanation_trajectories": parted,
    "reproduction_lambda": lambda: reproduction_lambda(retention_means(retention()), published_retention(zero=True)),
    "reproduction_lambda_one": lambda: reproduction_lambda(
        retention_means(retention((4.5,), seeds=1)), published_retention()
    ),
    "reproduction_lambda_without": lambda: reproduction_lambda(
        retention_means(retention().head(0)), published_retention()
    ),
    "reproduction_lambda_unpublished": lambda: reproduction_lambda(
        retention_means(retention()), published_retention().head(0)
    ),
    "reproduction_lambda_diverged": lambda: reproduction_lambda(
        retention_means(retention().assign(accuracy=math.nan)), published_retention()
    ),
    "reproduction_tasks": lambda: reproduction_tasks(retention_means(retention()), published_retention()),
    "reproduction_tasks_one": lambda: reproduction_tasks(
        retention_means(retention((4.5,), seeds=1)), published_retention()
    ),
    "reproduction_tasks_unpublished": lambda: reproduction_tasks(
        retention_means(retention()), published_retention().head(0)
    ),
    "reproduction_pruning": lambda: reproduction_pruning(pruning_means(pruned()), published_pruning()),
    "reproduction_pruning_one": lambda: reproduction_pruning(
        pruning_means(pruned().query("seed == 0")), published_pruning()
    ),
    "reproduction_pruning_unpublished": lambda: reproduction_pruning(
        pruning_means(pruned()), published_pruning().head(0)
    ),
    "ablations_recovery": lambda: ablations_recovery(recovery(controlled(), select_lambda(controlled()))),
    "ablations_recovery_one": lambda: ablations_recovery(recovery(controlled(1), select_lambda(controlled(1)))),
    "ablations_frontier": lambda: ablations_frontier(controlled(), select_lambda(controlled())),
    "ablations_frontier_one": lambda: ablations_frontier(controlled(1, (1.0,)), select_lambda(controlled(1, (1.0,)))),
    "variants": lambda: variants(STUDY, settings("stabilised", "frozen"), varied("stabilised", "frozen")),
    "variants_one": lambda: variants(STUDY, settings("stabilised"), varied("stabilised", strengths=(4.5,), seeds=1)),
    "variants_none": lambda: variants(STUDY, settings(), retention()),
    "variants_diverged": lambda: variants(STUDY, settings("frozen"), varied("frozen").assign(accuracy=math.nan)),
}


KINDS = [name for name in FIGURES if not name.startswith(tuple(f"{other}_" for other in FIGURES))]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_without_warnings_and_with_at_least_seven_points(name, tmp_path):
    """One case of every kind of figure is drawn twice with the same bytes."""
    figure = FIGURES[name]()
    assert figure.get_figwidth() == style.WIDTH
    texts = figure.findobj(lambda artist: hasattr(artist, "get_fontsize") and artist.get_text().strip())
    assert min(text.get_fontsize() for text in texts) >= 7
    style.save(figure, tmp_path / "figure.pdf")
    written = (tmp_path / "figure.pdf").read_bytes()
    assert b"CreationDate" not in written
    assert b"/Type3" not in written
    if name in KINDS:
        style.save(FIGURES[name](), tmp_path / "again.pdf")
        assert (tmp_path / "again.pdf").read_bytes() == written


def cells(figure: Figure, tensor: str) -> list[str]:
    (axes,) = [axes for axes in figure.axes if axes.get_label() == tensor]
    return [text.get_text() for text in axes.texts if text.get_text() != tensor]


def test_the_matrix_shows_each_pair_once_in_every_tensor():
    figure = correlation_matrix(correlations(), "pearson")
    # rows are the later estimator in the estimator list
    assert sorted(cells(figure, "all")) == sorted([".90", ".65", ".40", ".15", "-.10", "-.35"])
    assert "?" in cells(figure, "fc2.bias")


def test_axes_are_in_the_order_of_the_layers():
    figure = correlation_matrix(correlations(), "pearson")
    labels = [axes.get_label() for axes in figure.axes if axes.get_label() in TENSORS]
    assert labels == ["fc1.weight", "fc2.weight", "all", "fc1.bias", "fc2.bias"]


def test_a_diverged_strength_is_marked_and_not_drawn_as_a_mean():
    figure = retention_lambda(retention(), selected())
    (axes,) = [axes for axes in figure.axes if axes.get_title() == "SI"]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[20.0]]
    means = next(line for line in axes.lines if line.get_label() == "SI")
    assert list(means.get_xdata()) == [1.0, 4.5]


def panel(figure: Figure, title: str) -> Axes:
    (axes,) = [axes for axes in figure.axes if axes.get_title() == title]
    return axes


def is_filled(axes: Axes) -> bool:
    """Whether a band is drawn."""
    return any(len(band.get_paths()) and len(band.get_paths()[0].vertices) > 2 for band in axes.collections)


def bars(axes: Axes) -> list[tuple[float, float]]:
    """The positions of the points with error bars."""
    (container,) = axes.containers
    return [tuple(point) for point in container.lines[0].get_xydata() if not np.isnan(point).any()]


def test_curves_have_all_published_strengths_and_all_that_were_run():
    figure = reproduction_lambda(retention_means(retention()), published_retention(zero=True))
    axes = panel(figure, "MAS (softmax)")
    curve, best, *_ = axes.lines
    assert list(curve.get_xdata()) == [1.0, 4.5, 5.0, 200.0]
    assert list(best.get_xdata()) == [5.0]
    assert [x for x, _ in bars(axes)] == [1.0, 4.5, 20.0]
    # after three of four tasks, as in the run; λ = 0 is a line, not a point of the logarithmic axis
    assert curve.get_ydata()[0] == pytest.approx(92)
    assert not any(0.0 in np.atleast_1d(line.get_xdata()) for line in panel(figure, "Fisher (empirical)").lines[:1])


def test_tasks_are_shown_at_the_published_best_strength_if_it_was_run():
    figure = reproduction_tasks(retention_means(retention()), published_retention())
    run, other = panel(figure, "Fisher (empirical), λ = 4.5"), panel(figure, "MAS (softmax), λ = 5")
    assert [x for x, _ in bars(run)] == [1, 2, 3]
    assert bars(other) == []
    assert [text.get_text() for text in other.texts] == ["λ not run here"]


@pytest.mark.parametrize("draw", [reproduction_lambda, reproduction_tasks])
def test_only_estimators_of_the_run_have_a_panel_if_it_has_any(draw):
    means, both = retention_means(retention()), {"Fisher (empirical)", "MAS (softmax)"}

    def drawn(run: pd.DataFrame) -> set[str]:
        titles = {axes.get_title().partition(",")[0] for axes in draw(run, published_retention()).axes}
        return titles & both

    assert drawn(means) == both
    assert drawn(means[means["estimator"] != "mas"]) == {"Fisher (empirical)"}
    assert drawn(means[means["estimator"] == "none"]) == both


def test_pruning_panels_show_the_published_curve_and_the_fractions_of_the_run():
    axes = panel(reproduction_pruning(pruning_means(pruned()), published_pruning()), "SI")
    assert len(axes.lines[0].get_xdata()) == 10
    assert [x for x, _ in bars(axes)] == pytest.approx([0, 50, 90])


@pytest.mark.parametrize("name", [name for name in FIGURES if name.endswith(("unpublished", "variants_none"))])
def test_an_empty_figure_states_the_reason(name):
    (axes,) = FIGURES[name]().axes
    (text,) = axes.texts
    assert text.get_text().endswith(("are published for this study.", "has no variants in this configuration."))


def test_every_ablation_has_a_row_with_its_recovery_for_each_of_its_estimators():
    result = recovery(controlled(), select_lambda(controlled()))
    fisher, mas = ablations_recovery(result).axes
    named = [text.get_text() for text in mas.get_yticklabels()]
    assert named == ["uniform", "reversed", "power 0.5", "power 2", f"in ranks of {style.label('fisher_empirical')}"]
    assert [text.get_text() for text in fisher.get_yticklabels()][-1] == f"values of {style.label('mas')}"
    means = result.set_index(["estimator", "ablation"])["mean_recovery"]
    drawn = [line.get_xdata()[0] for line in mas.lines if line.get_marker() == "o"]
    expected = [means["mas", name] for name in ("uniform(mas)", "power_0.5(mas)", "power_2(mas)", ABLATIONS[2])]
    assert drawn == pytest.approx(expected)
    assert [line.get_marker() for line in mas.lines].count("x") == 1


def test_every_ablation_has_a_unique_style_in_the_frontier():
    figure = ablations_frontier(controlled(), select_lambda(controlled()))
    legend = {
        text.get_text(): (line.get_color(), line.get_linestyle(), line.get_marker())
        for text, line in zip(figure.legends[0].get_texts(), figure.legends[0].legend_handles, strict=True)
    }
    assert len(legend) == len(ABLATIONS) + 3
    assert len(set(legend.values())) == len(legend)
    assert f"values of {style.label('mas')} in ranks of {style.label('fisher_empirical')}" in legend


@pytest.mark.parametrize("name", ["mas", "uniform(mas)", "values_of(mas)_in_ranks_of(fisher_empirical)"])
def test_labels_of_ablations_contain_no_code(name):
    assert not set("(_)") & set(
        ablation_label(name, "mas").replace(style.label("fisher_empirical"), "").replace("(softmax)", "")
    )


def test_variants_are_drawn_against_strengths_of_the_plain_penalty():
    figure = variants(STUDY, settings("stabilised"), varied("stabilised"))
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["stabilised: Fisher (empirical)", "stabilised: magnitude", "stabilised: SI"]
    itself, variant = (line for line in panel(figure, titles[0]).lines if len(line.get_xdata()) == 3)
    assert list(itself.get_xdata()) == list(variant.get_xdata()) == [1.0, 4.5, 20.0]


def test_weight_tensors_are_drawn_in_rows_of_four_with_their_names():
    figure = scatter(6)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert sorted(titles) == sorted(2 * ["fc1.weight", *(f"conv{number}.weight" for number in range(1, 6))])
    assert len([axes for axes in scatter(4).axes if axes.get_title()]) == 4


def test_all_known_estimators_have_different_styles():
    looks = {tuple(map(str, style.look(name).values())) for name in [*style.ESTIMATORS, "my_estimator"]}
    assert len(looks) == len(style.ESTIMATORS) + 1


def test_all_known_estimators_have_labels_in_figures():
    assert [style.label(name) for name in ("none", "random")] == ["no penalty", "random"]
    assert all(style.label(name) == ESTIMATORS[name].label for name in ESTIMATORS)


def test_agreement_is_drawn_against_confidence_with_a_band():
    titles = [axes.get_title() for axes in explanation_confidence(confident()).axes if axes.get_title()]
    assert titles == ["absolute Fisher\nand MAS (softmax)", "Fisher (exact)\nand MAS (softmax)"]
    axes = explanation_confidence(confident()).axes[0]
    temperature = next(line for line in axes.lines if line.get_label() == "temperature")
    assert list(temperature.get_xdata()) == pytest.approx([1 - 0.98, 1 - 0.98 / 5])
    assert list(temperature.get_ydata()) == pytest.approx([0.86, 0.66])
    assert is_filled(axes)


def legend(figure: Figure) -> str:
    """The texts of all legends of a figure, one per line."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    return "\n".join(text.get_text() for each in legends for text in each.get_texts())


@pytest.mark.parametrize(("seeds", "drawn"), [(2, False), (3, True)])
def test_intervals_over_fewer_than_three_seeds_are_neither_drawn_nor_in_the_legend(seeds, drawn):
    table = retention(seeds=seeds)
    figure = retention_lambda(table, selected())
    axes = panel(figure, "MAS (softmax)")
    assert is_filled(axes) == drawn
    assert len(axes.patches) == drawn  # without a penalty
    assert ("95 %" in legend(figure)) == drawn
    figure = reproduction_lambda(retention_means(table), published_retention())
    (container,) = panel(figure, "MAS (softmax)").containers
    (bars_of_points,) = container.lines[2]
    assert all((np.ptp(segment[:, 1]) > 0) == drawn for segment in bars_of_points.get_segments())
    shown = f"mean and 95 % bar ({seeds} seeds)" if drawn else f"mean ({seeds} seeds)"
    assert f"this run, {shown}" in legend(figure)


def test_contributions_to_a_correlation_are_stacked_on_both_sides_of_zero():
    axes = panel(explanation_factors(contributions()), "fc1.weight")
    bars = [(patch.get_x(), patch.get_width()) for patch in axes.patches[:4]]
    assert bars == [pytest.approx(bar) for bar in ((0, 0.5), (0, -0.2), (0.5, 0.1), (0.6, 0.3))]


def test_values_above_one_have_a_frame_and_undefined_ones_a_question_mark():
    axes = panel(noisy(), "all")
    texts = [text.get_text() for text in axes.texts]
    assert texts.count("1.20") == 1 and texts.count(".87") == 3
    assert texts.count(".00") == 6, "observed values, zero without a sign"
    assert texts.count("?") == 4, "three pairs of SI without noise and its reliability"
    frames = [patch for patch in axes.patches if not patch.get_fill() and patch.get_linewidth() == 2]
    assert len(frames) == 1
    assert not [patch for patch in panel(noisy(1.004), "all").patches if patch.get_linewidth() == 2]
