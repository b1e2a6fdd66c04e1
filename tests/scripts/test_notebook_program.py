"""The notebook program: executed copy and page, a failing cell, and what keeps runs apart and repeatable."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

PROGRAM = Path(__file__).parents[2] / "workflow/scripts/notebook.py"
PICTURE = "from IPython.display import Image\nimport base64\nImage(base64.b64decode('iVBORw0KGgo='), format='png')"
CONNECTION = "import json\nfrom ipykernel.connect import get_connection_info\nprint(json.loads(get_connection_info()))"


def execute(folder: Path, *cells: str, **parameters: object) -> subprocess.CompletedProcess:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_markdown_cell("# Heading\n\nText with $x^2$."),
        nbformat.v4.new_code_cell("study = 'by default'", metadata={"tags": ["parameters"]}),
        *map(nbformat.v4.new_code_cell, cells),
    ]
    nbformat.write(notebook, folder / "example.ipynb")
    command = [sys.executable, PROGRAM, "--notebook", "example.ipynb", "--parameters", json.dumps(parameters)]
    command += ["--executed", "out/executed.ipynb", "--html", "out/page.html"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A folder in which one notebook ran to its end."""
    folder = tmp_path_factory.mktemp("notebook")
    run = execute(
        folder,
        "import os\nfrom weight_importance.tables import COLUMNS\n(study, os.getcwd(), COLUMNS['baseline'][0])",
        CONNECTION,
        PICTURE,
        study="as given",
    )
    assert run.returncode == 0, run.stderr
    return folder


def text_of(folder: Path) -> str:
    cells = nbformat.read(folder / "out/executed.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_parameters_folder_and_package_are_as_promised(executed):
    assert str(("as given", str(executed), "study")) in text_of(executed)


def test_the_kernel_talks_through_files_not_ports(executed):
    assert "'transport': 'ipc'" in text_of(executed)


def test_the_page_shows_title_code_and_results_and_fetches_nothing(executed):
    page = (executed / "out/page.html").read_text(encoding="utf-8")
    assert "<title>page</title>" in page
    assert "COLUMNS" in page and "as given" in page
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//|@import|from ["']https?:""", page)


def test_the_same_notebook_gives_the_same_page(executed, tmp_path):
    pages = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        assert execute(folder, "study + '!'", PICTURE, study="same").returncode == 0
        pages.append((folder / "out/page.html").read_bytes())
    assert pages[0] == pages[1]


def test_a_failing_cell_is_told_last_and_kept_in_the_executed_notebook(tmp_path):
    run = execute(tmp_path, PICTURE, "def inner():\n    raise ValueError('no such thing')\ninner()", "'never reached'")
    assert run.returncode == 1
    assert "example.ipynb, cell [3] failed" in run.stderr
    assert "ValueError: no such thing\nThe executed notebook, out/executed.ipynb, shows the error" in run.stderr
    assert "papermill" not in run.stderr
    assert not (tmp_path / "out/page.html").exists()
    executed = (tmp_path / "out/executed.ipynb").read_text(encoding="utf-8")
    assert "no such thing" in executed
    assert "image/png" not in executed, "Snakemake prints this file: a picture would bury the error"


def test_a_missing_notebook_is_named(tmp_path):
    command = [sys.executable, PROGRAM, "--notebook", "none.ipynb", "--parameters", "{}"]
    command += ["--executed", "executed.ipynb", "--html", "page.html"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("error: there is no notebook none.ipynb; ours are in notebooks/")
