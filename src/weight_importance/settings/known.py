"""The names that a configuration may use: estimators, networks and data sets of the package.

Read from the source files without importing them, because planning must not load PyTorch.
"""

import ast
from collections.abc import Mapping
from contextlib import suppress
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


def kinds() -> list[str]:
    """The kinds of estimators: the classes of kinds.py."""
    tree = ast.parse((PACKAGE / "estimators/kinds.py").read_text(encoding="utf-8"))
    classes = (node.name for node in tree.body if isinstance(node, ast.ClassDef))
    return [name for name in classes if name.endswith("Estimator")]


def recordable() -> list[str]:
    """The quantities that training can record: keys of ``RECORDS`` in estimators/path.py, and the displacement."""
    return [*_keys(PACKAGE / "estimators/path.py", "RECORDS"), "displacement"]


def estimator_file(name: str, own: Mapping[str, str]) -> str:
    """The file that defines an estimator: the user's own, or its module in the catalogue, relative to the checkout."""
    return own.get(name, f"src/weight_importance/estimators/catalogue/{name}.py")


def label(name: str, own: Mapping[str, str]) -> str | None:
    """The label in the ``ESTIMATOR`` of an estimator's file; ``None`` if there is none."""
    return definition(_readable(name, own)).get("label")


def records(name: str, own: Mapping[str, str]) -> list[str]:
    """Quantities that training must record for an estimator; empty unless it is a path estimator."""
    return list(definition(_readable(name, own)).get("records", ()))


def _readable(name: str, own: Mapping[str, str]) -> Path:
    """A path that can be opened; the user's own files are relative to the working directory."""
    return Path(own[name]) if name in own else PACKAGE / f"estimators/catalogue/{name}.py"


def definition(file: str | Path) -> dict[str, Any]:
    """The ``ESTIMATOR`` of a file: its class under ``class``, and its literal arguments."""
    arguments: dict[str, Any] = {}
    for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        if any(isinstance(target, ast.Name) and target.id == "ESTIMATOR" for target in node.targets):
            called = node.value.func
            arguments["class"] = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
            for keyword in node.value.keywords:
                with suppress(ValueError, TypeError, SyntaxError):  # an expression
                    arguments[keyword.arg or "**"] = ast.literal_eval(keyword.value)
    return arguments


def _keys(file: Path, name: str) -> list[str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return sorted(ast.literal_eval(key) for key in node.value.keys if key)
    raise ValueError(f"{file} does not define {name} as a dict literal")
