"""The notebook program: executed copy and page, failing cells, isolation and reproducibility of runs."""

import json
import re
from pathlib import Path

import nbformat
import pytest

import programs
from weight_importance.files.integrity import checksum

PICTURE = "from IPython.display import Image\nimport base64\nImage(base64.b64decode('iVBORw0KGgo='), format='png')"
CONNECTION = (
    "import json\nfrom ipykernel.connect import get_connection_info\njson.loads(get_connection_info())['transport']"
)


def execute(folder: Path, *cells: str, **parameters: object) -> programs.Done:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_markdown_cell("# Heading\n\nText with $x^2$."),
        nbformat.v4.new_code_cell("study = 'by default'", metadata={"tags": ["parameters"]}),
        *map(nbformat.v4.new_code_cell, cells),
    ]
    nbformat.write(notebook, folder / "example.ipynb")
    given = ["--notebook", "example.ipynb", "--parameters", json.dumps(parameters)]
    outputs = ["--executed", "out/executed.ipynb", "--html", "out/page.html"]
    return programs.run("notebook", *given, *outputs, cwd=folder)


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """Two folders in which the same notebook was executed."""
    folders = [tmp_path_factory.mktemp(name) / "here" for name in ("first", "second")]
    names = "import os\nfrom weight_importance.files.tables import COLUMNS"
    for folder in folders:
        folder.mkdir()
        run = execute(
            folder,
            f"{names}\n(study, os.path.basename(os.getcwd()), COLUMNS['baseline'][0])",
            CONNECTION,
            PICTURE,
            study="as given",
        )
        assert run.returncode == 0, run.stderr
    return folders


@pytest.fixture(scope="module")
def executed(twice):
    return twice[0]


def text_of(folder: Path) -> str:
    cells = nbformat.read(folder / "out/executed.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_a_notebook_has_its_parameters_folder_and_package(executed):
    assert str(("as given", "here", "study")) in text_of(executed)


def test_the_kernel_communicates_through_files_not_ports(executed):
    assert "'ipc'" in text_of(executed).splitlines()


def test_the_page_contains_title_code_and_results_and_needs_no_network(executed):
    page = (executed / "out/page.html").read_text(encoding="utf-8")
    assert "<title>Heading (page)</title>" in page
    assert "COLUMNS" in page and "as given" in page and "&#39;by default&#39;" not in page
    assert page.count('<details class="code">') == 4, "code is folded, the parameters too"
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//|@import|from ["']https?:""", page)


def test_the_same_notebook_gives_the_same_page(twice):
    first, second = ((folder / "out/page.html").read_bytes() for folder in twice)
    assert first == second


def test_a_long_path_of_temporary_files_is_accepted(tmp_path, monkeypatch):
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    run = execute(tmp_path, CONNECTION)
    assert run.returncode == 0, run.stderr


def test_a_failing_cell_is_reported_last_and_kept_in_the_executed_notebook(tmp_path):
    run = execute(tmp_path, PICTURE, "def inner():\n    raise ValueError('no such thing')\ninner()", "'never reached'")
    assert run.returncode == 1
    assert "example.ipynb, cell [3] failed" in run.stderr
    assert "ValueError: no such thing\nThe executed notebook, out/executed.ipynb, shows the error" in run.stderr
    assert "papermill" not in run.stderr
    assert not (tmp_path / "out/page.html").exists()
    executed = (tmp_path / "out/executed.ipynb").read_text(encoding="utf-8")
    assert "no such thing" in executed
    assert "image/png" in executed, "earlier output helps to find the error"


def test_the_record_names_the_notebook_as_it_was_executed(tmp_path):
    """A cell edits the notebook, as a user may during a long run."""
    edit = "with open('example.ipynb', 'a') as file:\n    file.write('\\n')"
    run = execute(
        tmp_path, f"import hashlib\nprint(hashlib.sha256(open('example.ipynb', 'rb').read()).hexdigest())\n{edit}"
    )
    assert run.returncode == 0, run.stderr
    about = json.loads((tmp_path / "out/.page.html.provenance.json").read_text())
    now = checksum(tmp_path / "example.ipynb")
    assert about["inputs"]["example.ipynb"] != now
    assert about["inputs"]["example.ipynb"] in (tmp_path / "out/executed.ipynb").read_text()
