"""Puts the pages of the documentation site together in ``results/.docs`` and has MkDocs write ``results/docs``.

Pages keep their places in the repository, so that links among them, and to files, are the same as on a code host. What
a run has made (explorer, paper, notebooks) is shown if it is there.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from matplotlib.mathtext import math_to_image

import weight_importance
from weight_importance.estimators.loading import ESTIMATORS

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "results/.docs"
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")

SIMPLER = {
    r"\\(bi|Bi)g+[lr]?": "", r"\\textstyle|\\,": " ", r"\\[lr]vert": "|", r"\\[lr]Vert": r"\\|",
    r"\\t?frac(\w)(\w)": r"\\frac{\1}{\2}", r"\\tfrac": r"\\frac",
}  # fmt: skip
"""LaTeX that matplotlib does not know → the same without fine adjustments."""


def main() -> None:
    shutil.rmtree(PAGES, ignore_errors=True)
    for page in pages():
        copy(page)
    write("api/library.md", api())
    write("api/estimators.md", estimators())
    write("gallery.md", gallery())
    put(ROOT / "docs/site/site.css", "site.css")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(ROOT / "docs/site/mkdocs.yml")]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    status = subprocess.run(command, check=False, env=quiet).returncode
    shutil.rmtree(PAGES)
    if status:
        sys.exit(status)
    print("documentation  results/docs/index.html")


def pages() -> Iterable[Path]:
    """The Markdown files of the repository that are pages of the site."""
    folders = (
        ".", "docs", "config", "benchmarks", "benchmarks/results", "benchmarks/results/*", "reference/*",
        "workflow/resources/*",
    )  # fmt: skip
    files = {path for folder in folders for path in ROOT.glob(f"{folder}/*.md")}
    return sorted([*files, ROOT / "results/README.md"])


def copy(page: Path) -> None:
    """Copy a page and the files that it links to; links to folders of the repository become plain text."""

    def linked(match: re.Match[str]) -> str:
        target = page.parent / match[1]
        if target.is_dir():
            return "]"
        if target.is_file() and target.suffix != ".md":
            put(target, target.resolve().relative_to(ROOT))
        return match[0]

    text = LINK.sub(linked, page.read_text(encoding="utf-8"))
    write(str(page.relative_to(ROOT)), text)


def put(file: Path, name: str | Path) -> None:
    """Copy a file to a place below the pages."""
    (PAGES / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, PAGES / name)


def write(name: str, text: str) -> None:
    (PAGES / name).parent.mkdir(parents=True, exist_ok=True)
    (PAGES / name).write_text(text, encoding="utf-8")


def api() -> str:
    """The page on the public names."""
    parts = ["# The public interface", "Everything here is imported from `weight_importance`."]
    for name in sorted(set(weight_importance.__all__) - {"ESTIMATORS"}):
        parts.append(f"::: weight_importance.{getattr(weight_importance, name).__module__[18:]}.{name}")
    return "\n\n".join(parts) + "\n"


def estimators() -> str:
    """The page on the catalogue: each estimator's formula, source and docstring."""
    parts = ["# Estimators", "Names as they are used in `estimate` and in `config.yaml`."]
    for name, estimator in sorted(ESTIMATORS.items()):
        module = sys.modules.get(f"weight_importance.estimators.catalogue.{name}")
        text = (module.__doc__ or "").strip() if module else ""
        kind = (
            f"{estimator.label}: a {estimator.kind} estimator; source: `{estimator.source}` in `paper/references.bib`."
        )
        picture = f"formulas/{name}.svg"
        formula(estimator.formula, PAGES / "api" / picture)
        parts += [f"## {name}", kind, f"![{estimator.formula}]({picture}){{.formula}}", text]
    return "\n\n".join(parts) + "\n"


def formula(latex: str, file: Path) -> None:
    """A formula as a picture, by matplotlib, which knows a part of LaTeX."""
    for pattern, replacement in SIMPLER.items():
        latex = re.sub(pattern, replacement, latex)
    file.parent.mkdir(parents=True, exist_ok=True)
    math_to_image(f"${latex}$", str(file), format="svg")


def gallery() -> str:
    """The page on results: the paper, the explorer, and the figures of the executed notebooks."""
    parts = ["# Results of the last run"]
    for file, title in (
        ("paper/main.pdf", "The paper"),
        ("explorer.html", "The explorer"),
        ("report.html", "The report"),
    ):
        if (ROOT / "results" / file).is_file():
            put(ROOT / "results" / file, f"run/{file}")
            parts.append(f"- [{title}](run/{file})")
    notebooks = sorted((ROOT / "results/notebooks").glob("*.ipynb"))
    if len(parts) == 1 and not notebooks:
        parts.append("There is no finished run: `make paper` makes the paper, the explorer and the figures.")
    for notebook in notebooks:
        put(notebook.with_suffix(".html"), f"run/{notebook.stem}.html")
        parts.append(f"## {notebook.stem}\n\n[The executed notebook](run/{notebook.stem}.html)")
        for number, image in enumerate(images(notebook)):
            name = f"run/{notebook.stem}-{number}.png"
            (PAGES / name).write_bytes(image)
            parts.append(f"![Figure {number + 1} of {notebook.stem}]({name}){{loading=lazy}}")
    return "\n\n".join(parts) + "\n"


def images(notebook: Path) -> list[bytes]:
    """The pictures among a notebook's outputs."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return [base64.b64decode(data["image/png"]) for data in outputs if "image/png" in data]


if __name__ == "__main__":
    main()
