"""Fingerprints of the code that each job depends on: its program, and modules that the program imports by name.

``own`` names the files of the user's own estimators; see :mod:`sources` for the content of a fingerprint.
"""

from collections.abc import Iterable, Mapping, Sequence

import grid
import notebooks
import places
import sources
from weight_importance.runtime.optional import present
from weight_importance.settings import Configuration, known
from weight_importance.settings.ablation_names import is_ablation

SCRIPTS, PACKAGE = places.source("workflow/scripts"), places.source("src/weight_importance")

Own = Mapping[str, str]


def program(name: str, modules: Iterable[str] = ()) -> list[str]:
    """A program of ``workflow/scripts``, and the files of modules that it imports by name."""
    return sources.fingerprints(f"{SCRIPTS}/{name}.py", modules)


def on_tasks(configuration: Configuration, name: str, study: str) -> list[str]:
    """A program that builds a study's tasks."""
    return program(name, [_tasks(configuration, study)])


def importance(configuration: Configuration, own: Own, study: str, estimator: str) -> list[str]:
    """The program of importances, with the estimator."""
    return program("importance", [_tasks(configuration, study), *_estimators([estimator], own)])


def pruning(configuration: Configuration, own: Own, study: str, criterion: str) -> list[str]:
    """The program of pruning, with the estimator that is its criterion."""
    names = [] if criterion == "random" else [criterion]
    return program("pruning", [_tasks(configuration, study), *_estimators(names, own)])


def retention(configuration: Configuration, own: Own, study: str, estimator: str) -> list[str]:
    """The program of retention, with the estimators of the penalty; for an ablation, with its module."""
    condition = grid.condition(configuration, estimator)
    names = grid.penalised_by(condition)
    ablation = [f"{PACKAGE}/learning/ablations.py"] if is_ablation(condition) else []
    return program("retention", [_tasks(configuration, study), *_estimators(names, own), *ablation])


def explanation(configuration: Configuration, own: Own, name: str, further: Sequence[str], study: str) -> list[str]:
    """A program of the explanation, with the explained and further estimators."""
    names = dict.fromkeys([*further, *present(configuration.studies[study].explanation).estimators])
    return program(name, [_tasks(configuration, study), *_estimators(names, own)])


def showing(own: Own, file: str) -> list[str]:
    """A program that shows the names of any estimators but computes no importance."""
    return sources.fingerprints(places.source(file), labels=_estimators([*known.estimators(), *own], own))


def notebook(configuration: Configuration, own: Own, name: str, entry: notebooks.Notebook, study: str) -> list[str]:
    """The program that executes notebooks, a notebook's code, and the names of the estimators that it shows.

    The rule has the notebook file as an input.
    """
    labels = _estimators(notebooks.estimators(configuration, entry, study), own)
    return [*program("notebook"), *sources.fingerprints(places.source(f"notebooks/{name}.ipynb"), labels=labels)[1:]]


def _tasks(configuration: Configuration, study: str) -> str:
    return f"{PACKAGE}/data/tasks/{configuration.studies[study].tasks.kind}.py"


def _estimators(names: Iterable[str], own: Own) -> list[str]:
    return [own.get(name, f"{PACKAGE}/estimators/catalogue/{name}.py") for name in names]
