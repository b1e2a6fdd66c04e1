"""Search of the paper for what a reader types: numbers as printed or rounded, words, figures and tables."""

from pathlib import Path

import pytest

from quotations import cells, floats, is_printed_as, numbers, printed, quotations

TEXT = r"""
\newcommand{\mlp}[1]{\result{mlp_permuted_mnist/#1}}
It keeps \mlp{retention/best/mean}\,\% (\result{config/seeds}),
again \mlp{retention/best/mean}.
\begin{figure}
  \figureof{pruning}{mlp_permuted_mnist}
  \caption{As pruned.}\label{fig:pruning}
\end{figure}
\begin{table}
  \caption{Both.}\label{tab:both}
  \tableof{retention}{mlp_permuted_mnist}\quad\tableof{retention}{cnn_mnist_fashion}
\end{table}
"""


@pytest.fixture
def paper(tmp_path) -> Path:
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "main.tex").write_text(TEXT)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "main.aux").write_text(
        r"\newlabel{fig:pruning}{{5}{7}{}}" + "\n" + r"\newlabel{tab:both}{{2}{8}{}}"
    )
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "retention-a.tex").write_text(r"MAS & \num{95.48(12)} & \num{95.48} \\")
    return tmp_path / "paper"


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        (r"\num{97.31}", "97.31", True),
        (r"\num{97.31}", "97.3", True),
        (r"\num{97.31}", "97 %", True),
        (r"\num{97.31}", "97.4", False),
        (r"\num{97.31}", "97.310", True),
        (r"\numrange{0.85}{0.93}", "0.85 to 0.93", True),
        (r"\numrange{0.85}{0.93}", "0.93", True),
        (r"\num{95.48(12)}", "95.48(12)", True),
        ("each of the 3", "each of the 3", True),
        ("each of the 3", "3", False),
        ("--", "97", False),
    ],
)
def test_a_number_matches_what_a_reader_would_type(value, wanted, expected):
    assert is_printed_as(value, wanted) == expected


def test_values_as_printed():
    assert printed(r"Fisher at $\lambda$ = \num{4.5}") == "Fisher at λ = 4.5"
    assert printed(r"\numrange{0.85}{0.93}") == "0.85 to 0.93"


def test_keys_are_recognised_in_every_macro(paper):
    places_of = quotations(paper)
    assert {key: [place.line for place in places] for key, places in places_of.items()} == {
        "mlp_permuted_mnist/retention/best/mean": [3, 4],
        "config/seeds": [3],
    }
    (paper / "more.tex").write_text(
        r"\newcommand{\recovery}[2]{\mlp{#1/#2(#1)/mean} [\mlp{#1/#2(#1)/interval}]}"
        + "\n\n"
        + r"It is \recovery{mas}{rank_one}."
    )
    more = {key: place for key, (place, *_) in quotations(paper).items() if "rank_one" in key}
    assert {key.removeprefix("mlp_permuted_mnist/mas/rank_one(mas)/"): place.line for key, place in more.items()} == {
        "mean": 3,
        "interval": 3,
    }
    assert str(places_of["config/seeds"][0]) == "paper/main.tex, line 3"


def test_figures_and_tables_have_their_printed_numbers(paper):
    assert floats(paper, paper.parent / "build") == {
        "Figure 5": ["results/figures/pruning-mlp_permuted_mnist.pdf"],
        "Table 2": [
            "results/tables/retention-mlp_permuted_mnist.tex",
            "results/tables/retention-cnn_mnist_fashion.tex",
        ],
    }
    assert cells(paper.parent / "tables", "95.5") == {"results/tables/retention-a.tex": 2}


def test_keys_may_contain_brackets(tmp_path):
    (tmp_path / "numbers.tex").write_text("% x\n" + r"\defineresult{a/uniform(mas)/p}{\num{0.01}}" + "\n")
    assert numbers(tmp_path / "numbers.tex") == {"a/uniform(mas)/p": r"\num{0.01}"}
