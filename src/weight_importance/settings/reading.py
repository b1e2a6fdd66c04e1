"""Reading of a configuration: its settings, or all problems at once, each with the file and line to fix."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from weight_importance.settings.base import KeyPath, Problem, at, holds
from weight_importance.settings.configuration import Configuration, completed
from weight_importance.settings.known import datasets, estimator_file, estimators, label, networks
from weight_importance.settings.merging import (
    is_inherited,
    listed_files,
    merged,
    name_problems,
    own_estimators,
    text_keys,
    without_source,
)
from weight_importance.settings.messages import dotted, problems_of
from weight_importance.settings.own_files import content_problems, listing_problems
from weight_importance.settings.places import Places


def read(config: Mapping[str, Any], files: Sequence[str | Path]) -> Configuration:
    """Return the settings, or end the program with one readable message.

    Args:
        config: configuration merged from all files.
        files: its files; later files override earlier files.
    """
    if problems := configuration_problems(config, files):
        sys.exit("\n".join(["error: the configuration cannot be used", *(f"  - {problem}" for problem in problems)]))
    return Configuration.model_validate(merged(config))


def configuration_problems(config: Mapping[str, Any], files: Sequence[str | Path] = ()) -> list[str]:
    """All problems of a configuration, one or two sentences each; empty if there are none."""
    places = Places(config, files)
    config, problems = text_keys(config)
    of_names, of_files = list(name_problems(config)), list(listing_problems(config))
    in_files = list(content_problems(config))
    complete = completed(merged(config))
    own = own_estimators(config)
    context = {"estimators": [*estimators(), *own], "networks": networks(), "datasets": datasets()}
    of_values = problems_of(Configuration, complete, context)

    # Omit consequences of other problems: a study like an unknown one lacks settings; equal file names repeat a name
    incomplete = {path[1] for path, _ in of_names} | without_source(config)
    lists = {path[:-1] for path, _ in of_files}
    of_values = [
        (path, text)
        for path, text in of_values
        if not (incomplete & {*path[1:2]} and not holds(config, path))
        and not (text.startswith("lists ") and (path in lists or path[2:] in lists))
    ]
    refused = {path for path, _ in of_files} | {path for path, _, _ in in_files}
    unusable = {file for path, file in listed_files(config) if path in refused}
    of_labels = label_problems(complete, {name: file for name, file in own.items() if file not in unusable})
    problems += [*of_names, *of_files, *of_labels, *of_values]
    problems = [problem for problem in problems if not is_inherited(problem, problems, config)]
    return [
        *places.pitfalls,
        *(f"{dotted(path)}: {text} Fix it in {places.of(path, *causes(path, config))}." for path, text in problems),
        *(f"{dotted(path)}: {text} Fix it in {file}, line {line}." for path, file, (line, text) in in_files),
    ]


def causes(path: KeyPath, config: Mapping[str, Any]) -> Iterator[KeyPath]:
    """Other values that may cause a problem: for missing penalty strengths, the entry in the list of estimators."""
    if path[-2:-1] != ("lambdas",) or holds(config, path):
        return
    for owner in (path[:2], ()):
        listed = at(config, (*owner, "estimators")) if holds(config, (*owner, "estimators")) else ()
        for position, entry in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(entry, str) and Path(entry).stem == path[-1]:
                yield (*owner, "estimators", position)


def label_problems(config: Mapping[str, Any], own: Mapping[str, str]) -> Iterator[Problem]:
    """Estimators with the same label, by which figures and tables identify them."""
    listed = config.get("estimators")
    owners: dict[str, str] = {}
    for position, name in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(name, str) or name not in {*own, *estimators()}:
            continue
        file, text = estimator_file(name, own), label(name, own)
        if text and owners.setdefault(text, name) != name:
            problem = f"'{name}' and '{owners[text]}' have the same label, '{text}': give it another in {file}."
            yield ("estimators", position), problem
