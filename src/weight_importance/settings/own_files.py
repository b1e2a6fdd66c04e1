"""Problems of estimators in the user's own files, found without running the files."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from weight_importance.settings.base import Problem
from weight_importance.settings.known import REPOSITORY, definition, estimators, kinds, recordable
from weight_importance.settings.learning import UNPENALISED
from weight_importance.settings.merging import listed_files
from weight_importance.settings.messages import unknown


def own_file_problems(config: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems of the user's own estimators."""
    files: dict[str, str] = {}
    for path, file in listed_files(config):
        name = Path(file).stem
        if files.setdefault(name, file) != file:
            yield path, f"'{file}' and '{files[name]}' would have the same name, '{name}'; rename one."
        elif name in estimators() or name in (*UNPENALISED, "random"):
            yield (
                path,
                f"'{file}' would be called '{name}', the name of a built-in estimator; rename the file.",
            )
        elif not re.fullmatch("[a-z][a-z0-9_]*", name):
            yield path, f"'{name}', of '{file}', is not a usable name: use lower-case letters, digits and underscores."
        elif not Path(file).is_file():
            yield path, f"there is no file '{file}' (in {Path.cwd()})."
        else:
            yield from ((path, f"{file} {text}") for text in _definition_problems(file))


def _definition_problems(file: str) -> Iterator[str]:
    try:
        arguments = definition(file)
    except (SyntaxError, ValueError) as error:  # ValueError: not UTF-8, or null bytes
        yield f"is not valid Python: {error}. Fix the file, or list another."
        return
    if arguments.get("class") not in kinds():
        yield f"must define ESTIMATOR = one of {', '.join(f'{kind}(...)' for kind in kinds())} at its top level."
        return
    for key in ("label", "formula", "source"):
        if not isinstance(arguments.get(key), str) or not arguments[key]:
            yield f"must give ESTIMATOR a {key}, a text in quotes."
    source = arguments.get("source")
    if isinstance(source, str) and f"{{{source}," not in (REPOSITORY / "paper/references.bib").read_text("utf-8"):
        yield f"has the source '{source}', which is not in paper/references.bib; add it there."
    if arguments["class"] == "PathEstimator":
        known = recordable()
        recorded, published = arguments.get("records"), arguments.get("published", {})
        if not isinstance(recorded, tuple):
            yield f"must give ESTIMATOR its records, a tuple of texts of: {', '.join(known)}."
        elif not isinstance(published, dict) or not all(name in recorded for name in published):
            yield "must give ESTIMATOR published, if at all, as {one of its records: the one that takes its place}."
        else:
            recorded = (*recorded, *published.values())
            yield from (f"has records: {unknown('record', name, known)}" for name in recorded if name not in known)
