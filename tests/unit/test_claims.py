"""Claims of the paper: each sentence has a condition; an unsupported one stops the paper or is marked."""

import math
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from studies import TRANSFORMS, ablations
from weight_importance.files.tables import COLUMNS
from weight_importance.findings.study import Findings
from weight_importance.paper.claims import ABLATIONS, CLAIMS, MLP, render, unsupported

PAPER = Path(__file__).parents[2] / "paper"


def failed(findings: Findings, study: str = ABLATIONS) -> set[str]:
    keys = {key for key, claim in CLAIMS.items() if claim.study == study}
    return keys & set(unsupported({study: findings}, {}))


def test_every_sentence_has_a_condition_and_every_condition_a_sentence():
    texts = [file.read_text(encoding="utf-8") for file in PAPER.rglob("*.tex")]
    sentences = {key for text in texts for key in re.findall(r"\\claim\{(\w+)\}", text)}
    assert sentences == set(CLAIMS)


def test_claims_on_ablations_hold_if_the_numbers_support_them():
    assert failed(ablations()) == set()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"rank_one(fisher_empirical)": 0.88}, {"rank_one_equivalent"}),
        ({"in_order_of_factors(fisher_empirical)": 0.89}, {"order_of_factors_equivalent"}),
        ({"output_factor(fisher_empirical)": 0.9}, {"one_factor_worse"}),
        ({"shuffled(fisher_empirical)": 0.95}, {"misplaced_worse"}),
        ({"rank_one(mas)": 0.8}, {"mas_rank_one_equivalent"}),
        ({"input_factor(mas)": 0.9}, {"mas_input_factor_worse"}),
        ({"rank_one(fisher_empirical)": math.nan}, {"rank_one_equivalent"}),
    ],
)
def test_each_number_decides_its_claims(changed, expected):
    assert failed(ablations(changed)) == expected


def test_an_estimator_without_a_gain_supports_no_claim_on_its_ablations():
    nothing = {f"{name}(mas)": 0.5 for name in TRANSFORMS} | {"mas": 0.5}
    assert failed(ablations(nothing)) == {"mas_rank_one_equivalent", "mas_input_factor_worse"}


def test_a_strength_at_the_edge_of_its_grid_supports_no_claim():
    on_ablations = {key for key, claim in CLAIMS.items() if claim.study == ABLATIONS}
    assert failed(ablations(strengths=(1.0, 10.0))) == on_ablations


def test_without_the_study_or_its_rows_no_claim_is_supported():
    empty = Findings({name: pd.DataFrame(columns=COLUMNS[name]) for name in ("retention", "correlation")})
    assert set(unsupported({}, {})) == set(unsupported({MLP: empty, ABLATIONS: empty}, {})) == set(CLAIMS)


def test_the_message_names_the_claim_and_the_numbers():
    key = f"{ABLATIONS}/ablations/fisher_empirical/rank_one(fisher_empirical)/recovery/mean"
    message = unsupported({}, {key: r"\num{0.80}"})["rank_one_equivalent"]
    assert "'rank_one_equivalent'" in message and f"{key} = 0.80" in message


@pytest.mark.parametrize("mode", ["required", "marked"])
def test_a_claim_without_support_stops_the_paper_or_is_marked(tmp_path, mode):
    preamble = r"\documentclass{article}\input{claims}\begin{document}"
    good, bad, *_ = CLAIMS
    text = preamble + f"\n\\claim{{{good}}}{{This holds}}.\n\n\\claim{{{bad}}}{{This does\nnot}}.\n\\end{{document}}\n"
    (tmp_path / "text.tex").write_text(text)
    (tmp_path / "claims.tex").write_text(render({bad: "No support for 'bad': a_b(c) = 0.80"}, mode))
    command = [shutil.which("pdflatex"), "-interaction=nonstopmode", "-halt-on-error", "-file-line-error", "text.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == (mode == "required"), run.stdout
    assert ("text.tex:5: Package claims Error: No support for 'bad': a_b(c) = 0.80" in run.stdout) == (
        mode == "required"
    )
