"""Estimators by name, their module's name in ``catalogue``: to add an estimator, add a module there.

Catalogue modules are imported on first use, so that one estimator neither loads nor depends on the others, except those
it builds on. The user's own estimators follow the catalogue.
"""

import pkgutil
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from weight_importance.estimators import catalogue, kinds
from weight_importance.estimators.kinds import Estimator, PathEstimator
from weight_importance.files.provenance import note_code
from weight_importance.runtime.errors import UserError, unknown_name
from weight_importance.runtime.own_estimators import VARIABLE, own_files


def names() -> list[str]:
    """List the known estimators: the catalogue, then the user's own, both sorted."""
    return [*_catalogued(), *own_files()]


@cache
def _catalogued() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(catalogue.__path__))


def load(name: str) -> Estimator:
    """Load the estimator ``name``.

    Raises:
        UserError: unknown name (the nearest known one is suggested), or the user's file defines no estimator.
    """
    if not isinstance(name, str):
        raise UserError(f"an estimator is named by a string, such as 'mas'; found {type(name).__name__}")
    if name.endswith(".py"):
        raise UserError(
            f"'{name}' is a file: list its path in the environment variable {VARIABLE}, and name the estimator "
            f"'{Path(name).stem}'"
        )
    if name not in names():
        raise unknown_name("estimator", name, names())
    if name not in _catalogued():
        return _from_file(name, own_files()[name])
    return import_module(f"{catalogue.__name__}.{name}").ESTIMATOR


def load_all(names: Sequence[str]) -> dict[str, Estimator]:
    """Load several estimators, by name.

    Raises:
        UserError: see :func:`load`; a string in place of a list.
    """
    if isinstance(names, str):
        raise UserError(f"names must be a list of estimators, such as ['{names}']; found the string '{names}'")
    return {name: load(name) for name in names}


def load_path(names: Sequence[str]) -> dict[str, PathEstimator]:
    """Load path estimators.

    Raises:
        UserError: unknown name, or not a path estimator.
    """
    estimators: dict[str, PathEstimator] = {}
    for name, estimator in load_all(names).items():
        if not isinstance(estimator, PathEstimator):
            raise UserError(
                f"'{name}' is a {estimator.kind} estimator, which needs no record of training: use estimate('{name}', "
                "...) after training"
            )
        estimators[name] = estimator
    return estimators


def place(error: BaseException, file: str) -> str:
    """The last line of a file that an error's traceback names, as ``, line 3``; empty if there is none."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f", line {lines[-1]}" if lines else ""


def _from_file(name: str, file: Path) -> Estimator:
    """Load the estimator from a user's file; the file runs once."""
    module_name = "weight_importance.own." + name  # in the package's namespace, to count as its code
    module = sys.modules.get(module_name)
    if module is None or Path(module.__file__ or "") != file:
        readable = file.suffix == ".py" and file.is_file()
        specification = spec_from_file_location(module_name, file) if readable else None
        if specification is None or specification.loader is None:
            raise UserError(
                f"{VARIABLE} names {file}, expected an existing Python file. Correct or unset the variable."
            )
        note_code(file)
        module = module_from_spec(specification)
        try:
            specification.loader.exec_module(module)
        except Exception as error:  # user code may raise anything
            line = place(error, str(file))
            raise UserError(
                f"cannot load the estimator's file {file}{line}: {type(error).__name__}: {error}. It must define "
                f"ESTIMATOR, one of the kinds in {kinds.__name__}; fix the file, then run the same command again."
            ) from error
        sys.modules[module_name] = module
    estimator = getattr(module, "ESTIMATOR", None)
    if not isinstance(estimator, Estimator):
        raise UserError(
            f"{file} must define ESTIMATOR, one of the kinds in {kinds.__name__}; found {estimator!r}. Fix the file."
        )
    return estimator


class _Catalogue(Mapping[str, Estimator]):
    def __getitem__(self, name: str) -> Estimator:
        if name not in names():
            raise KeyError(name)
        return load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(names())

    def __len__(self) -> int:
        return len(names())


ESTIMATORS: Mapping[str, Estimator] = _Catalogue()
"""Estimator name → its definition (label, formula, source, kind); loaded on access."""
