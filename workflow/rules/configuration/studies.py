"""Studies made whole: what one does not say is that of the study it is like, or of all; which study is like which."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from configuration.wording import KeyPath, Problem, kind_of, nearest, shown, unknown

OF_ALL_STUDIES = ("seeds", "first_seed", "shard_size", "estimators")
"""Keys at the top level that hold for every study which says nothing else."""


def resolved(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with every study complete: what it does not say is that of the study it is like, or of all.

    The lists of strengths are taken over as a whole, not estimator by estimator, where a study gives its own. Ablations
    are those of the study that lists them, and no other's. The user's own estimators go by the names of their files.
    """
    config = dict(config)
    if "estimators" in config:
        config["estimators"] = _by_name(config["estimators"])
    if not isinstance(config.get("studies"), Mapping):
        return config
    common = {key: config[key] for key in OF_ALL_STUDIES if key in config}
    studies = {}
    for name, settings in config["studies"].items():
        if isinstance(settings, Mapping):
            like = settings.get("like")
            model = config["studies"].get(like, {}) if isinstance(like, str) else {}
            settings = common | _merged(_without_ablations(model), settings)
            if "estimators" in settings:
                settings["estimators"] = _by_name(settings["estimators"])
        studies[name] = settings
    return config | {"studies": studies}


def _by_name(listed: Any) -> Any:
    """A list of estimators with the names of the user's own files in place of their paths."""
    if not isinstance(listed, list):
        return listed
    return [Path(entry).stem if isinstance(entry, str) and entry.endswith(".py") else entry for entry in listed]


def _without_ablations(model: Any) -> Any:
    if not isinstance(model, Mapping) or not isinstance(model.get("retention"), Mapping):
        return model
    return {**model} | {"retention": {key: value for key, value in model["retention"].items() if key != "ablations"}}


def _merged(model: Any, changes: Any, key: str = "") -> Any:
    if not isinstance(model, Mapping) or not isinstance(changes, Mapping) or key == "lambdas":
        return changes
    return {**model} | {name: _merged(model.get(name), value, name) for name, value in changes.items()}


def text_keys(content: Any, path: KeyPath = ()) -> tuple[Any, list[Problem]]:
    """A configuration without the keys that are no text, and what is wrong with these."""
    if isinstance(content, list):
        parts = [text_keys(value, (*path, position)) for position, value in enumerate(content)]
        return [value for value, _ in parts], [problem for _, problems in parts for problem in problems]
    if not isinstance(content, Mapping):
        return content, []
    kept, found = {}, []
    for key, value in content.items():
        if isinstance(key, str):
            kept[key], problems = text_keys(value, (*path, key))
            found += problems
        else:
            text = f"the key {shown(key)} is read as {kind_of(key)}, allowed is text: put it in quotes, or correct it."
            found.append(((*path, key), text))
    return kept, found


def own_estimators(config: Mapping[str, Any]) -> dict[str, str]:
    """The user's own estimators, by the names of their files, as listed: ``{"mine": "folder/mine.py"}``."""
    return {Path(entry).stem: entry for _, entry in listed_files(config)}


def listed_files(config: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Every Python file that stands in a list of estimators, and where."""
    studies = config.get("studies")
    lists = {("estimators",): config.get("estimators")} | {
        ("studies", name, "estimators"): settings.get("estimators")
        for name, settings in (studies.items() if isinstance(studies, Mapping) else ())
        if isinstance(settings, Mapping)
    }
    for path, entries in lists.items():
        for position, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, str) and entry.endswith(".py"):
                yield (*path, position), entry


def misspelt_studies(config: Mapping[str, Any]) -> Iterator[Problem]:
    """Studies that could not stand alone and whose name is nearly that of another: meant to change that one."""
    studies = config.get("studies")
    for name, settings in studies.items() if isinstance(studies, Mapping) else ():
        if isinstance(settings, Mapping) and not {"network", "like"} & set(settings):
            near = nearest(name, [other for other in studies if other != name])
            if near:
                yield ("studies", name), f"unknown study. {near}A new one needs 'like', or settings of its own."


def likenesses(config: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the names of the studies that others are like; the rest waits until these are known."""
    studies = config.get("studies")
    for name, settings in studies.items() if isinstance(studies, Mapping) else ():
        model = settings.get("like") if isinstance(settings, Mapping) else None
        if model is None:
            continue
        path = ("studies", name, "like")
        others = [other for other in studies if other != name]
        if model not in others:
            yield path, unknown("study", model, others)
        elif isinstance(studies[model], Mapping) and "like" in studies[model]:
            yield path, f"'{model}' is itself like '{studies[model]['like']}'; name that one and repeat what differs."


def inherited(problem: Problem, all_problems: Sequence[Problem], config: Mapping[str, Any]) -> bool:
    """Whether a study's problem is that of a study it is like, or of the defaults, and so told already."""
    path, text = problem
    if len(path) < 3 or path[0] != "studies" or not isinstance(config["studies"].get(path[1]), Mapping):
        return False
    model = config["studies"][path[1]].get("like")
    return ((path[2:], text) in all_problems and path[2] in OF_ALL_STUDIES) or (
        model is not None and (("studies", model, *path[2:]), text) in all_problems
    )
