"""Which code a rule depends on: a fingerprint of each module of the package that its program imports.

A rule has these fingerprints as a parameter, so that Snakemake runs it again when code changes that its result depends
on. Imports are found by reading, without importing. A fingerprint is taken of the syntax tree, without what changes no
result: comments, docstrings, error messages, and an estimator's label, formula and source (rules that print these ask for
them). Infrastructure (the packages ``runtime``, ``files`` and ``settings``) is left out: its own tests and the provenance of every
result cover it, and the values of settings are parameters of rules.
"""

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "weight_importance"
INFRASTRUCTURE = ("runtime", "files", "settings")
SHOWN_ONLY = ("label", "formula", "source")
"""Arguments of an estimator that figures, tables and the paper show, and no importance depends on."""
ERRORS = ("UserError", "unknown_name", "ValueError", "TypeError")
"""Exceptions and functions that make some; their arguments are messages."""


def fingerprints(files: list[str], shown: bool = False) -> list[str]:
    """Per file its path and a hash of what results depend on; infrastructure is left out.

    Args:
        files: as :func:`closure` returns them.
        shown: include the arguments of estimators that are only shown.
    """
    return [f"{file} {_fingerprint(Path(file), shown)}" for file in files if not _is_infrastructure(Path(file))]


def closure(program: str | Path, sources: str | Path) -> list[str]:
    """The program and all modules of the package that it imports, directly or through each other.

    Args:
        program: a ``.py`` file, or an ``.ipynb`` notebook whose code cells are read.
        sources: the folder that holds the package.

    Returns:
        paths, sorted, the program's own first.
    """
    sources, program = Path(sources), Path(program)
    seen: set[Path] = set()
    waiting = [program]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += _imported(file, sources)
    return [str(program), *sorted(str(file) for file in seen - {program})]


def code(file: Path) -> str:
    """The Python of a source file; of a notebook, that of all its cells, without lines that only IPython knows."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".ipynb":
        return text
    cells = (cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
    lines = (line for cell in cells for line in "".join(cell["source"]).splitlines())
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def _is_infrastructure(file: Path) -> bool:
    _, _, inside = str(file).partition(f"{PACKAGE}/")
    return inside.partition("/")[0] in INFRASTRUCTURE


@cache
def _fingerprint(file: Path, shown: bool) -> str:
    if not file.is_file():
        return "missing"
    if file.suffix == ".ipynb":
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    tree = _Essence(shown).visit(_tree(file))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


class _Essence(ast.NodeTransformer):
    """Removes from a syntax tree what no result depends on."""

    def __init__(self, shown: bool) -> None:
        self.shown = shown

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(getattr(node, "body", None), list):
            node.body = [each for each in node.body if not _is_text(each)] or [ast.Pass()]
        return super().generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        if isinstance(node.exc, ast.Call) and getattr(node.exc.func, "id", None) in ERRORS:
            node.exc.args, node.exc.keywords = [], []
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not self.shown and str(getattr(node.func, "id", "")).endswith("Estimator"):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in SHOWN_ONLY]
        return self.generic_visit(node)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _tree(file: Path) -> ast.Module:
    try:
        return ast.parse(code(file))
    except SyntaxError as error:
        raise SystemExit(f"error: {file} is not valid Python (line {error.lineno}): {error.msg}") from error


@cache
def _imported(file: Path, sources: Path) -> tuple[Path, ...]:
    """Files of the modules that one file imports, and of the packages that hold them."""
    if not file.is_file():
        return ()  # Snakemake names missing input better than could be done here
    found: dict[Path, None] = {}
    for name in _names(_tree(file)):
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            module = sources.joinpath(*parts[:length])
            if module.is_dir():
                found[module / "__init__.py"] = None
            elif module.with_suffix(".py").is_file():
                found[module.with_suffix(".py")] = None
            elif length == 2:  # a public name of the package, which it imports on first use
                found |= dict.fromkeys(_on_first_use(sources / PACKAGE / "__init__.py", sources))
    return tuple(found)


def _names(tree: ast.AST) -> Iterator[str]:
    """Dotted names that import statements ask for, of the package only; not those for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            yield from _names(node)
            continue
        yield from (name for name in names if name.split(".")[0] == PACKAGE)


def _on_first_use(package: Path, sources: Path) -> Iterator[Path]:
    """Modules that a package's ``__getattr__`` imports by a literal name."""
    for node in ast.walk(ast.parse(package.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "import_module":
            names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            for name in names:
                yield sources.joinpath(*name.split(".")).with_suffix(".py")
