"""The names that a configuration may use: estimators, networks and data sets of the package.

Read from the source files without importing them, because planning must not load PyTorch.
"""

import ast
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]
PACKAGE = Path(__file__).parents[1]


def estimators() -> list[str]:
    """The estimators of the catalogue: its modules."""
    return sorted(file.stem for file in (PACKAGE / "estimators/catalogue").glob("*.py") if file.stem != "__init__")


def networks() -> list[str]:
    """The known networks: the keys of ``NETWORKS`` in networks.py."""
    return _keys(PACKAGE / "learning/networks.py", "NETWORKS")


def datasets() -> list[str]:
    """The known data sets: the keys of ``DATASETS`` in data/catalogue.py."""
    return _keys(PACKAGE / "data/catalogue.py", "DATASETS")


def kinds() -> dict[str, dict[str, bool]]:
    """The kinds of estimators, the classes of kinds.py: their arguments, and whether each is required."""
    tree = ast.parse((PACKAGE / "estimators/kinds.py").read_text(encoding="utf-8"))
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("Estimator"))
    return {
        node.name: {
            entry.target.id: entry.value is None
            for entry in node.body
            if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name) and entry.target.id != "kind"
        }
        for node in classes
    }


def recordable() -> list[str]:
    """The quantities that training can record: keys of ``RECORDS`` in estimators/path.py, and the displacement."""
    return [*_keys(PACKAGE / "estimators/path.py", "RECORDS"), "displacement"]


def estimator_file(name: str, own: Mapping[str, str]) -> str:
    """The file that defines an estimator: the user's own, or its module in the catalogue, relative to the checkout."""
    return own.get(name, f"src/weight_importance/estimators/catalogue/{name}.py")


def label(name: str, own: Mapping[str, str]) -> str | None:
    """The label in the ``ESTIMATOR`` of an estimator's file; ``None`` if there is none."""
    return definition(_readable(name, own)).literals.get("label")


def records(name: str, own: Mapping[str, str]) -> list[str]:
    """Quantities that training must record for an estimator; empty unless it is a path estimator."""
    return list(definition(_readable(name, own)).literals.get("records", ()))


def _readable(name: str, own: Mapping[str, str]) -> Path:
    """A path that can be opened; the user's own files are relative to the working directory."""
    return Path(own[name]) if name in own else PACKAGE / f"estimators/catalogue/{name}.py"


@dataclass(frozen=True)
class Definition:
    """The ``ESTIMATOR`` of a file.

    Attributes:
        line: its line, 1 if there is none.
        kind: the name of its class; ``None`` if it is not a call.
        lines: the line of each named argument.
        literals: the values of arguments that are literals.
        unnamed: whether there are arguments without a name, or from ``**``.
    """

    line: int = 1
    kind: str | None = None
    lines: Mapping[str, int] = field(default_factory=dict)
    literals: Mapping[str, Any] = field(default_factory=dict)
    unnamed: bool = False


def definition(file: str | Path) -> Definition:
    """The last ``ESTIMATOR`` at the top level of a file."""
    found = Definition()
    for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not any(isinstance(target, ast.Name) and target.id == "ESTIMATOR" for target in targets):
            continue
        found = Definition(node.lineno)
        if isinstance(call := getattr(node, "value", None), ast.Call):
            kind = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
            named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
            literals = {}
            for name, value in named.items():
                with suppress(ValueError, TypeError, SyntaxError):  # an expression
                    literals[name] = ast.literal_eval(value)
            lines = {name: value.lineno for name, value in named.items()}
            found = Definition(node.lineno, kind, lines, literals, bool(call.args) or len(named) < len(call.keywords))
    return found


def _keys(file: Path, name: str) -> list[str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return sorted(ast.literal_eval(key) for key in node.value.keys if key)
    raise ValueError(f"{file} does not define {name} as a dict literal")
