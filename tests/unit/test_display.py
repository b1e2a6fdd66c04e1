"""Display of the paper's tables in notebooks."""

import re

import pandas as pd
import pytest

from weight_importance.paper.display import answer, counted, folded, readable, show_table
from weight_importance.paper.latex import number, p_value, plain, with_bounds, with_interval

CELLS = {
    number(-0.974, 2): "−0.97",
    number(float("nan"), 2): "\u2013",
    plain(1000): "1000",
    p_value(0.0002): "&lt;0.001",
    plain(1e-15): "1 · 10<sup>−15</sup>",
    with_interval({"mean": -0.5, "low": -0.6, "high": -0.4}, 2): "−0.50(10)",
    with_bounds({"mean": 0.5, "low": -0.1, "high": 1.1}, 2): "0.50 [−0.10, 1.10]",
    r"$\lambda$ = \num{300} (\num{1000})": "λ = 300 (1000)",
    plain(100) + "$^*$": "100<sup>*</sup>",
    r"\texttt{fc1.weight}": "<code>fc1.weight</code>",
    r"\shortstack[r]{conv\_1\\factors}": "conv_1<br>factors",
    r"\quad by label smoothing": "\u2003by label smoothing",
    r"\num{0.90} $\to$ \num{0.95}$^+$ $\checkmark$": "0.90 → 0.95<sup>+</sup> ✓",
    "E|g| < 1 & fully-connected": "E|g| &lt; 1 &amp; fully-connected",
    r"97.5\,\%": "97.5\u202f%",
}


@pytest.mark.parametrize("latex", CELLS)
def test_a_cell_of_latex_is_readable(latex):
    assert readable(latex) == CELLS[latex]


def test_a_table_is_written_as_latex_and_displayed_with_column_names_in_every_cell(tmp_path):
    wide = pd.DataFrame([[f"{row}{column}" for column in "abcde"] for row in (1, 2)], columns=[*"ABCD", r"\num{5}"])
    shown = show_table(tmp_path / "two.tex", (wide, "lrrrp{3cm}"), (wide[["A", "B"]], "lr")).data
    written = (tmp_path / "two.tex").read_text(encoding="utf-8")
    assert written.count(r"\begin{tabular}") == 2 and r"1a & 1b & 1c & 1d & 1e \\" in written
    assert re.findall(r'<td class="(.)" data-label="(.)"><span>(\w+)</span></td>', shown)[:4] == [
        ("r", "B", "1b"), ("r", "C", "1c"), ("r", "D", "1d"), ("l", "5", "1e"),
    ]  # fmt: skip
    assert [kind for kind in re.findall('table class="paper (.*?)"', shown)] == ["cards", "plain"]
    assert (
        "<p>Nothing to compare.</p>"
        in show_table(tmp_path / "a.tex", (wide[:0], "lrrrr"), empty="nothing to compare").data
    )


def test_outcomes_are_counted():
    assert counted(["differs", "held", "held"]) == "2 held, 1 different"
    assert counted([]) == "no comparison"


def test_long_tables_have_words_for_identifiers():
    pairs = pd.DataFrame({"estimator_a": ["mas"], "by_input": [0.12345]})
    for frame in (pairs, pairs.set_index("estimator_a")):
        shown = folded(frame, "Terms").data
        assert "Terms (one row)" in shown and not re.search("estimator_a|by_input|>mas<|>0<", shown)
        assert all(text in shown for text in ("estimator a", "by input", "MAS (softmax)", "0.123"))


def test_long_tables_show_undefined_values_as_hyphens():
    shown = folded(pd.DataFrame({"value": [0.5, float("nan")]}), "Terms").data
    assert re.findall("<td>(.*?)</td>", shown) == ["0.5", "-"]


def test_an_answer_has_minus_signs():
    assert answer("The lowest is -0.06.", "See well-known.").data.endswith("lowest is −0.06. See well-known.")
