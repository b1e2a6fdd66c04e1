"""Checking the configuration before anything is planned, with errors that name key, value, remedy and place.

:mod:`~configuration.schema` says what a key may hold, :mod:`~configuration.cross_checks` what one value demands of
another, :mod:`~configuration.studies` how a study takes over what it does not say.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configuration.cross_checks import cross_checks
from configuration.files import require
from configuration.known import REPOSITORY, estimator_file, estimators, label, records
from configuration.own_files import own_file_checks
from configuration.places import Places, at, holds
from configuration.schema import TWICE, VALIDATOR, describe
from configuration.studies import inherited, likenesses, misspelt_studies, own_estimators, resolved, text_keys
from configuration.wording import dotted

__all__ = [
    "REPOSITORY",
    "estimator_file",
    "estimators",
    "label",
    "own_estimators",
    "problems",
    "records",
    "require",
    "resolved",
    "validate",
]


def validate(config: Mapping[str, Any], files: Sequence[str | Path]) -> None:
    """End the program with one readable message unless the configuration is sound.

    Args:
        config: the configuration as merged from all files.
        files: where it comes from, later ones overriding earlier ones.
    """
    found = problems(config, files)
    if found:
        sys.exit("\n".join(["error: the configuration cannot be used", *(f"  - {problem}" for problem in found)]))


def problems(config: Mapping[str, Any], files: Sequence[str | Path] = ()) -> list[str]:
    """Everything that is wrong with a configuration, one sentence or two each; empty when it is sound."""
    places = Places(config, files)
    config, found = text_keys(config)
    studies_at_issue = [*misspelt_studies(config), *likenesses(config)]
    own, of_files = own_estimators(config), list(own_file_checks(config))
    whole = resolved(config)
    errors = sorted(VALIDATOR.iter_errors(whole), key=lambda error: [str(key) for key in error.absolute_path])
    of_keys = [problem for error in errors for problem in describe(error)]
    illegible = {at(config, path) for path, _ in of_files}
    legible = {name: file for name, file in own.items() if file not in illegible}
    unsound = [path for path, _ in (*of_keys, *studies_at_issue)]
    together = list(cross_checks(whole, own, legible, unsound))

    # what only follows: a study whose model is not known lacks all that it would take over; a file of a name that is
    # there makes it come twice
    open_studies = {path[1] for path, _ in studies_at_issue}
    lists = {path[:-1] for path, _ in of_files}
    found += [*studies_at_issue, *of_files, *together]
    found += [
        (path, text)
        for path, text in of_keys
        if not (open_studies & {*path[1:2]} and not holds(whole, path)) and not (path in lists and text.endswith(TWICE))
    ]
    found = [problem for problem in found if not inherited(problem, [*of_keys, *found], whole)]
    return places.pitfalls + [f"{dotted(path)}: {text} Mend it in {places.of(path)}." for path, text in found]
