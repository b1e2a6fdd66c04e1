"""The paper program: the same bytes every time, and short reports of LaTeX's errors."""

import os
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import programs
from paper import PACKAGES

MAIN = r"""\documentclass{article}
\usepackage{graphicx,hyperref}
\input{version}
\input{numbers}
\begin{document}
\title{A title}\author{Somebody}\maketitle
\accuracy\ at \version\ \cite{known}.
\includegraphics[width=3cm]{figures/drawn.pdf}
\input{sections/one}\input{tables/made}
\bibliographystyle{plain}
\bibliography{references}
\end{document}
"""
BOOK = "@book{known, author={A. Author}, title={Title}, year=2001, publisher={Publisher}}\n"


def typeset(folder: Path, main: str = MAIN, book: str = BOOK, path: str | None = None) -> programs.Done:
    files = {
        "paper/main.tex": main,
        "paper/sections/one.tex": "A section.\n",
        "paper/references.bib": book,
        "tables/made.tex": "A table.\n",
        "numbers.tex": "\\newcommand{\\accuracy}{98\\,\\%}\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    figure = plt.figure(figsize=(2, 1))
    figure.savefig(folder / "drawn.pdf", metadata={"CreationDate": None})
    plt.close(figure)
    given = ["--text", "paper/main.tex", "paper/sections/one.tex", "paper/references.bib", "--figures", "drawn.pdf"]
    given += ["--tables", "tables/made.tex", "--numbers", "numbers.tex"]
    given += ["--version", "abc_1+changes", "--build", "build", "--output", "out/main.pdf"]
    environment = os.environ | ({"PATH": path} if path else {})
    return programs.run("paper", *given, cwd=folder, env=environment)


def error(run: programs.Done) -> str:
    """The program's message, which comes last."""
    assert run.returncode == 1
    return run.stderr[run.stderr.rindex("error: ") :]


def test_runs_in_different_folders_write_the_same_bytes(tmp_path):
    papers = []
    for folder in (tmp_path / "first", tmp_path / "deeper/down/second", tmp_path / "first"):
        folder.mkdir(parents=True, exist_ok=True)
        run = typeset(folder)
        assert run.returncode == 0, run.stderr[-3000:]
        papers.append((folder / "out/main.pdf").read_bytes())
    assert papers[0].startswith(b"%PDF") and papers[0] == papers[1] == papers[2]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\accuracy", "\\acuracy", r"main\.tex:7: Undefined control sequence"),
        ("figures/drawn", "figures/drown", r"File `figures/drown.pdf' not found"),
        ("{known}", "{unknown}", r"has undefined or duplicate references:\n.*Citation `unknown'"),
        ("\\maketitle", "\\maketitle\\ref{nowhere}", r"Reference `nowhere'"),
        ("hyperref", "hyperref,nosuchpackage", r"LaTeX does not find nosuchpackage\.sty\.[\s\S]*apt-get install"),
    ],
)
def test_a_mistake_in_the_text_is_named(old, new, message, tmp_path):
    shown = error(typeset(tmp_path, main=MAIN.replace(old, new, 1)))
    assert re.search(message, shown)
    assert len(shown.splitlines()) < 15
    assert not (tmp_path / "out/main.pdf").exists()


def test_a_mistake_in_the_bibliography_is_named(tmp_path):
    assert "references.bib" in error(typeset(tmp_path, book="@book{known, author="))


def test_missing_latex_is_one_message_with_the_command_that_installs_it(tmp_path):
    run = typeset(tmp_path, path=str(tmp_path))
    assert run.stderr.startswith("error: LaTeX is missing")
    assert f"sudo apt-get install --no-install-recommends {PACKAGES}\n" in run.stderr


def test_the_named_packages_are_those_that_make_installs():
    script = (programs.REPOSITORY / "envs/install-latex.sh").read_text(encoding="utf-8")
    table = script[script.index('needed="') : script.index('"\n\n')]
    assert set(PACKAGES.split()) == {line.split()[1] for line in table.splitlines()[1:] if line.strip()}
