"""The closure of imports found by reading agrees with the modules that are really loaded."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import programs
import sources
from programs import REPOSITORY, SCRIPTS

PROGRAMS = sorted(SCRIPTS.glob("*.py"))
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))

# prints the files of our modules that running a piece of Python has loaded
LOADED = """
import json, sys
from pathlib import Path
sys.path.insert(0, {scripts!r})
try:
    {piece}
except SystemExit:
    pass
files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
print("\\n" + json.dumps([file for file in files if file and Path(file).is_relative_to({scripts!r})]))
"""


def loaded(piece: str, folder: Path) -> set[str]:
    program = folder / "program.py"
    program.write_text(LOADED.format(piece=piece, scripts=str(SCRIPTS)))
    run = programs.run(program)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_programs_load_only_what_is_declared(program, tmp_path):
    piece = f"import runpy; sys.argv = [{program.name!r}, '--help']; runpy.run_path({str(program)!r}, None, '__main__')"
    assert loaded(piece, tmp_path) <= set(sources.closure(program, SCRIPTS))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_notebooks_load_only_what_is_declared(notebook, tmp_path):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ast.parse("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    imports = [ast.unparse(node) for node in ast.walk(code) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert loaded("; ".join(imports), tmp_path) <= set(sources.closure(notebook, SCRIPTS))


def test_programs_that_need_no_pytorch_do_not_wait_for_it():
    names = "summary, selected_lambda, notebook, paper"
    command = [sys.executable, "-c", f"import sys, {names}; sys.exit('torch' in sys.modules)"]
    assert subprocess.run(command, cwd=SCRIPTS, check=False).returncode == 0


def test_training_does_not_depend_on_formulas():
    files = sources.closure(SCRIPTS / "baseline.py", SCRIPTS)
    assert not [file for file in files if "catalogue" in file or file.endswith("moments.py")]


def test_imports_are_found_wherever_they_stand(tmp_path):
    package = tmp_path / "weight_importance"
    (package / "rooms").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from importlib import import_module\n"
        "def __getattr__(name):\n    return getattr(import_module('weight_importance.public'), name)\n"
    )
    (package / "rooms/__init__.py").write_text("")
    (package / "rooms/inner.py").write_text("import weight_importance.outer\n")
    (package / "outer.py").write_text("import os\n")
    (package / "public.py").write_text("NAME = 1\n")
    (package / "unused.py").write_text("")
    program = tmp_path / "program.py"

    def found(text):
        program.write_text(text)
        sources._imported.cache_clear()
        return {str(Path(file).relative_to(tmp_path)) for file in sources.closure(program, tmp_path)} - {"program.py"}

    inner = {f"weight_importance/{name}.py" for name in ("__init__", "rooms/__init__", "rooms/inner", "outer")}
    assert found("import numpy\n") == set()
    assert found("from weight_importance.rooms import inner\n") == inner
    assert found("def later():\n    from weight_importance.rooms.inner import outer\n") == inner
    assert found("from weight_importance import NAME\n") == {
        "src/weight_importance/__init__.py", "src/weight_importance/public.py",
    }  # fmt: skip


def test_a_syntax_error_names_file_and_line(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("x = 1\nimport (\n")
    with pytest.raises(SystemExit, match=r"program\.py is not valid Python \(line 2\)"):
        sources.closure(program, tmp_path)
