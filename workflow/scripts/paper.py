"""Typeset the paper: copy text, figures, tables and numbers into one folder and run LaTeX there.

In that folder, main.tex finds figures as figures/NAME.pdf, tables as tables/NAME.tex, numbers as numbers.tex and the
state of the code as version.tex (macro \\version). The PDF contains no dates or paths, so the same text and results
give the same bytes.
"""

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from weight_importance.files.provenance import note_input
from weight_importance.files.storage import atomic_path
from weight_importance.runtime.errors import FULL, UserError, full_disk, run_program

PACKAGES = "latexmk lmodern texlive-binaries texlive-latex-base texlive-latex-recommended texlive-science"
INSTALL = f"sudo apt-get install --no-install-recommends {PACKAGES}"
LEAST_FREE = 2**20
"""Bytes of free disk space below which a failure of LaTeX is attributed to a full disk."""

ROOT = Path(__file__).absolute().parents[2]

APART = [f":!workflow/{folder}" for folder in ("explorer", "report", "audit")]
"""Folders without influence on the paper."""

PRETEX = r"\pdfinfoomitdate=1\pdftrailerid{}\pdfsuppressptexinfo=-1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="main.tex, then the files that it includes")
    parser.add_argument("--figures", type=Path, nargs="*", default=[], help="figures (.pdf)")
    parser.add_argument("--tables", type=Path, nargs="*", default=[], help="tables (.tex)")
    parser.add_argument("--numbers", type=Path, required=True, help="macros of all quoted numbers (numbers.tex)")
    parser.add_argument("--version", help="version of the code to print; by default the git commit")
    parser.add_argument("--build", type=Path, required=True, help="folder to typeset in; emptied first")
    parser.add_argument("--output", type=Path, required=True, help="output: the paper (.pdf)")
    arguments = parser.parse_args()
    if shutil.which("latexmk") is None or shutil.which("pdflatex") is None:
        raise UserError(
            "LaTeX is missing: the paper needs the programs latexmk and pdflatex. Install them with\n"
            f"  {INSTALL}\nthen run the same command again; only the paper remains to be made."
        )
    with alone_in(arguments.build) as lock:
        gather(arguments)
        typeset(arguments.build, lock)
        with atomic_path(arguments.output) as temporary:
            shutil.copyfile(arguments.build / "main.pdf", temporary)


@contextmanager
def alone_in(build: Path) -> Iterator[int]:
    """Hold a lock that LaTeX inherits: if LaTeX outlives a killed program, the next program waits."""
    build.parent.mkdir(parents=True, exist_ok=True)
    with open(build.parent / f".{build.name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def gather(arguments: argparse.Namespace) -> None:
    """Copy all files that LaTeX reads into a new build folder."""
    build = arguments.build
    shutil.rmtree(build, ignore_errors=True)
    try:
        root = arguments.text[0].parent
        copies = {file: build / file.relative_to(root) for file in arguments.text}
        copies |= {file: build / "figures" / file.name for file in arguments.figures}
        copies |= {file: build / "tables" / file.name for file in arguments.tables}
        copies[arguments.numbers] = build / "numbers.tex"
        for file, copy in copies.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            note_input(file)
        version = re.sub(r"([#$%&_{}])", r"\\\1", arguments.version or commit())
        (build / "version.tex").write_text(f"\\newcommand{{\\version}}{{{version}}}\n", encoding="utf-8")
    except OSError as error:
        if error.errno in FULL:
            raise full_disk(build) from error
        raise UserError(f"cannot copy {error.filename} to {build}: {error.strerror}") from error


def commit() -> str:
    """The git commit, marked if files that the paper depends on differ from it; ``unknown`` outside a git checkout."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        if not ROOT.samefile(git("rev-parse", "--show-toplevel")):
            return "unknown"
        changed = git("status", "--porcelain", "--", "Snakefile", "src", "workflow", "notebooks", "paper", *APART)
        return git("rev-parse", "--short=10", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def typeset(build: Path, lock: int) -> None:
    """Run latexmk in the build folder; latexmk inherits the descriptor ``lock``.

    Raises:
        UserError: LaTeX failed; the text contains the lines of its log with the reason.
    """
    command = ["latexmk", "-norc", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-file-line-error"]
    command += ["-no-shell-escape", f"-usepretex={PRETEX}", "main.tex"]
    fixed = {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1", "max_print_line": "1000"}
    run = subprocess.run(
        command, cwd=build, env=os.environ | fixed, stdout=sys.stderr, stderr=sys.stderr, pass_fds=[lock], check=False
    )
    errors, undefined = matching_lines(build / "main.log", ERROR, 3), matching_lines(build / "main.log", UNDEFINED)
    if run.returncode:
        if shutil.disk_usage(build).free < LEAST_FREE:
            raise full_disk(build / "main.pdf")
        lines = errors + matching_lines(build / "main.blg", BIBTEX_ERROR, 1) or undefined
        lines = lines or [f"(no reason found; the log of LaTeX is {build / 'main.log'})"]
        raise UserError("\n".join(["LaTeX could not typeset the paper:", *lines, hint(lines)]))
    if undefined:
        raise UserError("\n".join(["the paper has undefined or duplicate references:", *undefined, hint(undefined)]))


ERROR = re.compile(r"! |\S+\.(tex|sty|cls|bib|bbl):\d+: (?! ==>)")
UNDEFINED = re.compile(r".*Warning: ((Citation|Reference) .* undefined|Label .* multiply defined)")
BIBTEX_ERROR = re.compile(r".*---line \d+ of file|I (couldn't|found no|was expecting)")


def matching_lines(log: Path, pattern: re.Pattern, following: int = 0) -> list[str]:
    """Matching lines of a LaTeX or BibTeX log, each with the next ``following`` lines."""
    if not log.is_file():
        return []
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    matches = []
    for index, line in enumerate(lines):
        if pattern.match(line):
            matches += [line, *(f"  {later}" for later in lines[index + 1 : index + 1 + following] if later.strip())]
    return matches[:20]


def hint(lines: Sequence[str]) -> str:
    """Advice for these errors."""
    if any("Package claims Error" in line for line in lines):
        return (
            "The sentence at this line claims more than the results show. Change the sentence, or its condition in "
            "src/weight_importance/paper/claims.py; or set 'claims: marked' in the configuration, so that the paper "
            "marks such sentences."
        )
    if missing := [name for line in lines for name in re.findall(r"File `([^']*\.(?:sty|cls))' not found", line)]:
        return (
            f"LaTeX does not find {missing[0]}. Put the file into paper/, or install the package that contains it (on "
            f"Debian, apt-file search {missing[0]} names it). The unchanged paper needs\n  {INSTALL}"
        )
    return "Correct it in the folder paper/ (with the same line numbers), then run the same command again."


if __name__ == "__main__":
    run_program(main)
