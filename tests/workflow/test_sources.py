"""The code that a rule depends on: contents of fingerprints, and imports found by reading against real imports."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import programs
import sources
from programs import REPOSITORY, SCRIPTS

SOURCES = str(REPOSITORY / "src")
PROGRAMS = sorted(SCRIPTS.glob("*.py"))
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))

LOADED = """
import importlib, json, sys, types
# the package without its __init__.py, which imports the whole library: programs depend only on named modules
package = types.ModuleType("weight_importance")
package.__path__ = [{package!r}]
public = {public!r}

def public_name(name):
    if name not in public:
        raise AttributeError(name)
    return getattr(importlib.import_module(public[name]), name)

package.__getattr__ = public_name
sys.modules["weight_importance"] = package
try:
    {piece}
except SystemExit:
    pass
files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
print("\\n" + json.dumps([file for file in files if file and file.startswith({package!r})]))
"""
"""Prints the files of the package that a piece of Python loads."""


def loaded(piece: str, folder: Path) -> set[str]:
    """The modules that a piece of Python loads, without infrastructure and the ``__init__.py`` of packages."""
    package = f"{SOURCES}/weight_importance"
    re_exported = sources._re_exported(Path(package, "__init__.py"), Path(SOURCES))
    public = {name: ".".join(file.relative_to(SOURCES).with_suffix("").parts) for name, file in re_exported.items()}
    program = folder / "program.py"
    program.write_text(LOADED.format(piece=piece, package=package, public=public))
    run = programs.run(program)
    assert run.returncode == 0, run.stderr
    files = json.loads(run.stdout.splitlines()[-1])
    return {file for file in files if not file.endswith("__init__.py") and not sources._is_infrastructure(file)}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_programs_load_only_modules_of_their_closure(program, tmp_path):
    piece = f"import runpy; sys.argv = [{program.name!r}, '--help']; runpy.run_path({str(program)!r}, None, '__main__')"
    assert loaded(piece, tmp_path) <= set(sources.closure(str(program), SOURCES))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_notebooks_load_only_modules_of_their_closure(notebook, tmp_path):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ast.parse("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    imports = [ast.unparse(node) for node in ast.walk(code) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert loaded("; ".join(imports), tmp_path) <= set(sources.closure(str(notebook), SOURCES))


def test_programs_without_pytorch_do_not_load_it():
    names = "summary, selected_lambda, notebook, paper"
    command = [sys.executable, "-c", f"import sys, {names}; sys.exit('torch' in sys.modules)"]
    assert subprocess.run(command, cwd=SCRIPTS, check=False).returncode == 0


def modules_of(program: str, *packages: str) -> list[str]:
    """The modules of some sub-packages in the closure of a program."""
    files = sources.closure(str(SCRIPTS / f"{program}.py"), SOURCES)
    named = [file for file in files if any(f"weight_importance/{package}" in file for package in packages)]
    return [file for file in named if not file.endswith("__init__.py")]


@pytest.mark.parametrize(
    ("program", "packages"),
    [
        ("baseline", ["estimators/catalogue", "estimators/engine/moments", "learning/retention", "learning/penalty"]),
        ("importance", ["learning/retention", "learning/penalty", "learning/ablations", "estimators/catalogue"]),
        ("evaluation", ["estimators/catalogue", "learning/retention", "learning/penalty", "learning/first_task"]),
        ("retention", ["learning/ablations", "learning/first_task", "estimators/catalogue"]),
        ("correlation", ["learning", "data"]),
        ("pruning", ["estimators/catalogue", "learning/retention", "learning/penalty", "learning/first_task"]),
    ],
)
def test_a_stage_does_not_depend_on_the_code_of_others(program, packages):
    assert modules_of(program, *packages) == []


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package to analyse; new for every test, because results are cached."""
    for folder in ("weight_importance/rooms", "weight_importance/runtime", "weight_importance/estimators"):
        (tmp_path / folder).mkdir(parents=True)
    files = {
        "__init__.py": "from weight_importance.public import NAME\nfrom weight_importance.unused import OTHER\n",
        "rooms/__init__.py": "",
        "rooms/inner.py": "import weight_importance.outer\n",
        "outer.py": "import os\n",
        "public.py": "from weight_importance.runtime import errors\nNAME = 1\n",
        "unused.py": "OTHER = 1\n",
        "runtime/errors.py": "class UserError(Exception):\n    pass\n",
        "estimators/registry.py": "import weight_importance.outer\n",
    }
    for name, text in files.items():
        (tmp_path / "weight_importance" / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("import numpy\n", []),
        ("from weight_importance.rooms import inner\n", ["outer", "rooms/inner"]),
        ("def later():\n    from weight_importance.rooms.inner import outer\n", ["outer", "rooms/inner"]),
        ("from weight_importance import NAME\n", ["public", "runtime/errors"]),
        ("if TYPE_CHECKING:\n    from weight_importance import NAME\n", []),
    ],
)
def test_imports_are_found_anywhere_in_a_module(package, text, modules):
    program = package / "program.py"
    program.write_text(text)
    closure = sources.closure(str(program), str(package))
    assert closure == (str(program), *(f"{package}/weight_importance/{module}.py" for module in modules))


def test_public_names_imported_on_first_use_are_found(package):
    (package / "weight_importance/__init__.py").write_text(
        "from importlib import import_module\n__all__ = ['NAME']\n"
        "def __getattr__(name):\n    return getattr(import_module('weight_importance.public'), name)\n"
    )
    program = package / "program.py"
    program.write_text("from weight_importance import NAME\n")
    assert f"{package}/weight_importance/public.py" in sources.closure(str(program), str(package))


def test_infrastructure_has_no_fingerprint(package):
    program = package / "program.py"
    program.write_text("from weight_importance import NAME\n")
    files = [line.split()[0] for line in sources.fingerprints(program, sources=package)]
    assert files == [str(program), f"{package}/weight_importance/public.py"]


PROGRAM = '''
"""A program."""
import sys

LEAST = 2
"""Of the count."""


def count(parts, path):
    """Count."""
    total = 0  # nothing yet
    reason = f"{path} holds too few parts"
    for part in counted(parts, len(parts), "parts"):
        print(f"at {part}", file=sys.stderr, flush=True)
        total += part
    if total < LEAST:
        raise UserError(f"{reason}: {total}. Remedy: add more.")
    return total


parser = argparse.ArgumentParser(description="Count.")
parser.add_argument("--parts", type=int, default=1, help="to count")
parser.error("no parts")
'''

ESTIMATOR = '''
"""An estimator."""


def importance(parameter):
    """Its square."""
    return parameter**2


ESTIMATOR = StateEstimator(label="Square", formula="w^2", source="key", importance=importance)
'''


def fingerprint(folder: Path, text: str, name: str) -> str:
    """The fingerprint of a program with a given text, in a new folder."""
    (folder / name).mkdir()
    program = folder / name / "program.py"
    program.write_text(text)
    [line] = sources.fingerprints(program, sources=folder)
    return line.split()[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A program", "The program"),
        ("Of the count", "At least"),
        ("# nothing yet", "# empty"),
        ("total = 0", "total  =  0"),
        ("holds too few parts", "is too small"),
        ("Remedy: add more", "Add more"),
        ("at {part}", "part {part}"),
        ('len(parts), "parts"', 'len(parts), "pieces"'),
        ('description="Count."', 'description="Count parts."'),
        ('help="to count"', 'help="parts to count"'),
        ("no parts", "nothing to count"),
    ],
)
def test_messages_and_comments_do_not_change_a_fingerprint(tmp_path, old, new):
    assert old in PROGRAM
    assert fingerprint(tmp_path, PROGRAM, "old") == fingerprint(tmp_path, PROGRAM.replace(old, new), "new")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LEAST = 2", "LEAST = 3"),
        ("total += part", "total -= part"),
        ("total < LEAST", "total <= LEAST"),
        ("counted(parts,", "counted(parts[1:],"),
        ("default=1", "default=2"),
        ("import sys", "import os"),
        ("return total", "return path"),
    ],
)
def test_code_changes_a_fingerprint(tmp_path, old, new):
    assert old in PROGRAM
    assert fingerprint(tmp_path, PROGRAM, "old") != fingerprint(tmp_path, PROGRAM.replace(old, new), "new")


def shown(folder: Path, text: str, name: str) -> str:
    """The fingerprint of an estimator's label."""
    program, estimator = folder / "program.py", folder / f"{name}.py"
    program.write_text("import weight_importance.estimators.registry\n")
    estimator.write_text(text)
    [_, line] = sources.fingerprints(program, labels=[estimator], sources=folder)
    return line.split()[1]


@pytest.mark.parametrize(
    ("old", "new", "is_shown", "is_computed"),
    [
        ('"Square"', '"Squared"', True, False),
        ('"w^2"', '"\\\\theta^2"', True, False),
        ('"key"', '"other"', True, False),
        ("parameter**2", "parameter**4", False, True),
        ("An estimator", "The estimator", False, False),
    ],
)
def test_labels_affect_programs_that_show_them_and_formulas_those_that_compute(
    package, old, new, is_shown, is_computed
):
    changed = ESTIMATOR.replace(old, new)
    assert (shown(package, ESTIMATOR, "old") != shown(package, changed, "new")) == is_shown
    assert (fingerprint(package, ESTIMATOR, "a") != fingerprint(package, changed, "b")) == is_computed


def test_programs_that_show_labels_do_not_depend_on_the_registry(package):
    program, estimator = package / "program.py", package / "mine.py"
    program.write_text("import weight_importance.estimators.registry\n")
    estimator.write_text(ESTIMATOR)
    showing = [line.split()[0] for line in sources.fingerprints(program, labels=[estimator], sources=package)]
    assert showing == [str(program), str(estimator)]
    computing = [line.split()[0] for line in sources.fingerprints(program, [estimator], sources=package)]
    modules = [f"{package}/weight_importance/{name}.py" for name in ("estimators/registry", "outer")]
    assert computing == [str(program), *modules, str(estimator)]


def test_a_syntax_error_names_file_and_line(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("x = 1\nimport (\n")
    with pytest.raises(SystemExit, match=r"program\.py is not valid Python \(line 2\)"):
        sources.closure(str(program), str(tmp_path))
