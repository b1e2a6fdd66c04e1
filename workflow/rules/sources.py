"""Fingerprints of the code that a rule depends on: its program and each module of the package that it imports.

A rule has the fingerprints as a parameter, so Snakemake reruns it when the code behind its result changes. Imports are
found by parsing, without importing. A fingerprint is a hash of the syntax tree without parts that change no result:
comments, docstrings, error messages, printed lines, help texts, and an estimator's label, formula and source (which
matter to programs that show them). Infrastructure is excluded: its own tests and the provenance record of every result
cover it.

``.snakemake/code`` caches the facts of each file by the hash of its content, because parsing takes a second.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeGuard

import places

PACKAGE = "weight_importance"
INFRASTRUCTURE = ("runtime", "files", "settings")
"""Sub-packages that no result depends on; settings reach a program as values in a parameter of the rule."""

REGISTRY = "estimators/registry.py"
"""The module that imports estimators by name."""

SHOWN = ("label", "formula", "source")
"""Arguments of an estimator that figures, tables and the paper show but no importance depends on."""

BLOCKS = ("body", "orelse", "finalbody")
"""The lists of statements that a syntax node may have."""

HELP = ("help", "description", "metavar", "epilog")
"""Arguments of argparse that only ``--help`` prints."""

KEPT = Path(".snakemake/code")

READER = Path(__file__).read_bytes() + sys.version.encode()
"""Part of the cache key of a file's facts, with its content."""


class Facts(NamedTuple):
    """Facts of a file: hashes of the code that results depend on and of texts that estimators show, and its imports."""

    fingerprint: str
    shown: str
    names: list[str]


def fingerprints(
    program: str | Path,
    modules: Iterable[str | Path] = (),
    labels: Iterable[str | Path] = (),
    sources: str | Path = places.source("src"),  # noqa: B008 (the folder stays the same)
) -> list[str]:
    """The path and a hash of each file that a program's results depend on.

    Args:
        program: a ``.py`` file, or an ``.ipynb`` notebook whose code cells are read.
        modules: the files of modules that the program imports by name.
        labels: files of estimators of which the program only shows label, formula and source; if there are any, it
            computes no importance and depends on nothing else in the registry.
        sources: the folder that holds the package.
    """
    return [*_fingerprints(str(program), tuple(map(str, modules)), tuple(map(str, labels)), str(sources))]


@cache
def _fingerprints(program: str, modules: tuple[str, ...], labels: tuple[str, ...], sources: str) -> tuple[str, ...]:
    registry = str(Path(sources, PACKAGE, REGISTRY))
    leaves = (registry,) if labels else ()
    files = [*closure(program, sources, leaves), *(file for module in modules for file in closure(module, sources))]
    files = [file for file in dict.fromkeys(files) if file not in leaves and not _is_infrastructure(file)]
    of_files = (f"{places.name(file)} {_facts(file).fingerprint}" for file in files)
    return (*of_files, *(f"{places.name(file)} {_facts(file).shown}" for file in labels))


@cache
def closure(program: str, sources: str, leaves: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The program and all modules of the package that it imports, directly or indirectly.

    Args:
        program: a ``.py`` file, or an ``.ipynb`` notebook whose code cells are read.
        sources: the folder that holds the package.
        leaves: modules whose own imports are not followed.

    Returns:
        sorted paths, the program first.
    """
    seen: set[str] = set()
    waiting = [program]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += () if file in leaves else _imported(file, sources)
    return (program, *sorted(seen - {program}))


def code(file: Path) -> str:
    """Python code of a source file, or of all cells of a notebook without lines that only IPython understands."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".ipynb":
        return text
    cells = (cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
    lines = (line for cell in cells for line in "".join(cell["source"]).splitlines())
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def _is_infrastructure(file: str) -> bool:
    _, _, module_path = file.rpartition(f"{PACKAGE}/")
    return module_path.partition("/")[0] in INFRASTRUCTURE


@cache
def _facts(file: str) -> Facts:
    """The facts of a file, from the cache if its content is unchanged."""
    if not Path(file).is_file():
        return Facts("missing", "missing", [])  # Snakemake reports missing input
    content = Path(file).read_bytes()
    kept = KEPT / hashlib.sha256(READER + content).hexdigest()
    if kept.is_file():
        return Facts(*json.loads(kept.read_text(encoding="utf-8")))
    facts = _read(Path(file))
    KEPT.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(facts), encoding="utf-8")
    partial.replace(kept)
    return facts


def _read(file: Path) -> Facts:
    tree = _tree(file)
    calls = (node for node in ast.walk(tree) if _is_estimator(node))
    shown = [ast.dump(keyword) for call in calls for keyword in call.keywords if keyword.arg in SHOWN]
    names = [*_names(tree)]
    if file.suffix == ".ipynb":
        return Facts(_hash(file.read_text(encoding="utf-8")), _hash(*shown), names)
    tree = _Essence().visit(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            _drop_messages(node)
    return Facts(_hash(ast.dump(tree)), _hash(*shown), names)


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


class _Essence(ast.NodeTransformer):
    """Removes everything from a syntax tree that no result depends on."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for block in BLOCKS:
            statements = getattr(node, block, None)
            if isinstance(statements, list) and statements:
                kept = [statement for statement in statements if not _is_silent(statement)]
                setattr(node, block, kept or [ast.Pass()])
        return super().generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        """An error without its message."""
        if isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [], []
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A call without texts for people: help, labels of estimators, names of counted parts in progress lines."""
        if _name(node) == "counted":
            return self.visit(node.args[0])
        left_out = SHOWN if _is_estimator(node) else HELP if _name(node) in ("add_argument", "ArgumentParser") else ()
        node.keywords = [keyword for keyword in node.keywords if keyword.arg not in left_out]
        return self.generic_visit(node)


def _is_silent(node: ast.AST) -> bool:
    """Whether a statement is a docstring or prints a text for people."""
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    if _is_text(value):
        return True
    return isinstance(value, ast.Call) and (_name(value) == "print" or _is_method(value, "parser", "error"))


def _drop_messages(function: ast.FunctionDef) -> None:
    """Remove texts assigned to variables that only a removed message read."""
    nodes = [*ast.walk(function)]
    if not any(isinstance(node, ast.Assign) and _is_text(node.value) for node in nodes):
        return
    read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    read |= {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    for node in nodes:
        for block in BLOCKS:
            statements = getattr(node, block, None)
            if isinstance(statements, list) and statements:
                kept = [statement for statement in statements if not _is_unread_text(statement, read)]
                setattr(node, block, kept or [ast.Pass()])


def _is_unread_text(node: ast.AST, read: Collection[str]) -> bool:
    if not (isinstance(node, ast.Assign) and _is_text(node.value)):
        return False
    return all(isinstance(target, ast.Name) and target.id not in read for target in node.targets)


def _is_text(node: ast.AST) -> bool:
    """Whether an expression consists of texts."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) and _is_text(node.right)
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    if isinstance(node, ast.Call):
        return _name(node) == "join" and isinstance(node.func, ast.Attribute) and _is_text(node.func.value)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_method(call: ast.Call, owner: str, name: str) -> bool:
    function = call.func
    return isinstance(function, ast.Attribute) and function.attr == name and getattr(function.value, "id", "") == owner


def _is_estimator(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and _name(node).endswith("Estimator")


def _name(call: ast.Call) -> str:
    """Name of the called function, without its object."""
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def _tree(file: Path) -> ast.Module:
    try:
        return ast.parse(code(file))
    except SyntaxError as error:
        raise SystemExit(f"error: {file} is not valid Python (line {error.lineno}): {error.msg}") from error


@cache
def _imported(file: str, sources: str) -> tuple[str, ...]:
    """Files of the modules that a file imports; for a package, of the modules that define the imported names."""
    return tuple(str(_module(name, Path(sources))) for name in _facts(file).names)


def _module(name: str, sources: Path) -> Path:
    """The file that defines a dotted name of the package: a module, or an object of a module or of a package."""
    place = sources.joinpath(*name.split("."))
    for module in (place, place.parent):
        if module.with_suffix(".py").is_file():
            return module.with_suffix(".py")
    package = (place if place.is_dir() else place.parent) / "__init__.py"
    return package if place.is_dir() else _re_exported(package, sources).get(place.name, package)


@cache
def _re_exported(package: Path, sources: Path) -> dict[str, Path]:
    """Public names that a package re-exports, by import statements or on first use, and their files."""
    tree = _tree(package)
    lazy: dict[str, Path] = {}
    named: dict[str, Path] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            modules = {alias: f"{node.module}.{alias.name}" for alias in node.names}
            named |= {alias.asname or alias.name: _module(name, sources) for alias, name in modules.items()}
        elif isinstance(node, ast.Call) and _name(node) == "import_module" and isinstance(node.args[0], ast.Constant):
            lazy |= dict.fromkeys(_exports(tree), _module(str(node.args[0].value), sources))
    return lazy | named


def _exports(tree: ast.Module) -> list[str]:
    """The names in ``__all__``."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", None) == "__all__" for target in node.targets):
            return ast.literal_eval(node.value)
    return []


def _names(tree: ast.AST) -> Iterator[str]:
    """Dotted names of the package in import statements, except imports for type checkers."""
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
