"""Which of our own source files a program or notebook runs: found by reading import statements, without importing.

A rule declares these files as input, so that an edit to a module runs again exactly what uses it. Only absolute imports
of ``weight_importance`` are followed, anywhere in a file; modules imported by a computed name are added by the rules.
"""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "weight_importance"


def closure(program: str | Path, scripts: str | Path) -> list[str]:
    """The program and all modules of ours that it imports, directly or through each other.

    Args:
        program: a ``.py`` file, or an ``.ipynb`` notebook whose code cells are read.
        scripts: the folder that holds the package.

    Returns:
        paths, sorted, the program's own first.
    """
    scripts, program = Path(scripts), Path(program)
    seen: set[Path] = set()
    waiting = [program]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += _imported(file, scripts)
    return [str(program), *sorted(str(file) for file in seen - {program})]


@cache
def _imported(file: Path, scripts: Path) -> tuple[Path, ...]:
    """Files of the modules that one file imports, and of the packages that hold them."""
    if not file.is_file():
        return ()  # Snakemake names missing input better than could be done here
    try:
        tree = ast.parse(code(file))
    except SyntaxError as error:
        raise SystemExit(f"error: {file} is not valid Python (line {error.lineno}): {error.msg}") from error
    found: dict[Path, None] = {}
    for name in _names(tree):
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            module = scripts.joinpath(*parts[:length])
            if module.is_dir():
                found[module / "__init__.py"] = None
            elif module.with_suffix(".py").is_file():
                found[module.with_suffix(".py")] = None
            elif length == 2:  # a public name of the package, which it imports on first use
                found |= dict.fromkeys(_on_first_use(scripts / PACKAGE / "__init__.py", scripts))
    return tuple(found)


def code(file: Path) -> str:
    """The Python of a source file; of a notebook, that of all its cells, without lines that only IPython knows."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".ipynb":
        return text
    cells = (cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
    lines = (line for cell in cells for line in "".join(cell["source"]).splitlines())
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def _names(tree: ast.AST) -> Iterator[str]:
    """Dotted names that import statements ask for, of our package only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == PACKAGE)


def _on_first_use(package: Path, scripts: Path) -> Iterator[Path]:
    """Modules that a package's ``__getattr__`` imports by a literal name."""
    for node in ast.walk(ast.parse(package.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "import_module":
            names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            for name in names:
                yield scripts.joinpath(*name.split(".")).with_suffix(".py")
