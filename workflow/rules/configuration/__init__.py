"""Checking the configuration before anything is planned, with errors that name key, value, remedy and place.

:mod:`~configuration.schema` says what a key may hold, :mod:`~configuration.cross_checks` what one value demands of
another, :mod:`~configuration.studies` how a study takes over what it does not say.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configuration.cross_checks import cross_checks
from configuration.known import REPOSITORY, estimator_file, estimators, label, records
from configuration.own_files import own_file_checks
from configuration.places import Places
from configuration.schema import VALIDATOR, describe
from configuration.studies import inherited, likenesses, misspelt_studies, own_estimators, resolved
from configuration.wording import dotted

__all__ = [
    "REPOSITORY",
    "estimator_file",
    "estimators",
    "label",
    "own_estimators",
    "problems",
    "records",
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
    described = [*misspelt_studies(config), *likenesses(config), *own_file_checks(config)]
    if not described:
        whole = resolved(config)
        errors = sorted(VALIDATOR.iter_errors(whole), key=lambda error: [str(key) for key in error.absolute_path])
        described = [problem for error in errors for problem in describe(error)]
        if not errors:  # cross-checks may take the shape for granted
            described = list(cross_checks(whole, own_estimators(config)))
        described = [problem for problem in described if not inherited(problem, described, whole)]
    return places.repeated + [f"{dotted(path)}: {text} Mend it in {places.of(path)}." for path, text in described]
