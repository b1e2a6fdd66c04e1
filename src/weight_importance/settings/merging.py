"""Resolution of ``like`` in studies, and of the user's own estimators to names, in plain mappings."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from weight_importance.settings.base import KeyPath, Problem, nearest
from weight_importance.settings.configuration import OF_ALL_STUDIES
from weight_importance.settings.messages import kind_of, shown, unknown


def merged(config: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve ``like``: each study inherits the settings that it does not set from the study named there.

    Mappings are merged key by key, except lists of penalty strengths (``lambdas``) and mappings of another ``kind``,
    which are replaced as a whole. Python files in lists of estimators are replaced by the names of their estimators.
    """
    config = dict(config)
    if "estimators" in config:
        config["estimators"] = _by_name(config["estimators"])
    if not isinstance(config.get("studies"), Mapping):
        return config
    studies = {}
    for name, settings in config["studies"].items():
        if isinstance(settings, Mapping):
            like = settings.get("like")
            base = config["studies"].get(like, {}) if isinstance(like, str) else {}
            settings = {key: value for key, value in _merged(base, settings).items() if key != "like"}
            if "estimators" in settings:
                settings["estimators"] = _by_name(settings["estimators"])
        studies[name] = settings
    return config | {"studies": studies}


def _merged(base: Any, changes: Any, key: str = "") -> Any:
    if not isinstance(base, Mapping) or not isinstance(changes, Mapping) or key == "lambdas":
        return changes
    if "kind" in changes and changes["kind"] != base.get("kind"):
        return changes
    return {**base} | {name: _merged(base.get(name), value, name) for name, value in changes.items()}


def _by_name(listed: Any) -> Any:
    """Replace paths of the user's own files in a list of estimators by names."""
    if not isinstance(listed, list):
        return listed
    return [Path(entry).stem if isinstance(entry, str) and entry.endswith(".py") else entry for entry in listed]


def text_keys(content: Any, path: KeyPath = ()) -> tuple[Any, list[Problem]]:
    """Remove keys that are not text; return a problem for each of them."""
    if isinstance(content, list):
        parts = [text_keys(value, (*path, position)) for position, value in enumerate(content)]
        return [value for value, _ in parts], [problem for _, problems in parts for problem in problems]
    if not isinstance(content, Mapping):
        return content, []
    kept, problems = {}, []
    for key, value in content.items():
        if isinstance(key, str):
            kept[key], inner = text_keys(value, (*path, key))
            problems += inner
        else:
            text = f"the key {shown(key)} is read as {kind_of(key)}, allowed is text: put it in quotes, or correct it."
            problems.append(((*path, key), text))
    return kept, problems


def own_estimators(config: Mapping[str, Any]) -> dict[str, str]:
    """The user's own estimators: listed paths by file name, ``{"mine": "folder/mine.py"}``."""
    return {Path(entry).stem: entry for _, entry in listed_files(config)}


def listed_files(config: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Every Python file in a list of estimators, with its key path."""
    lists = {("estimators",): config.get("estimators")} | {
        ("studies", name, "estimators"): settings.get("estimators") for name, settings in _studies(config)
    }
    for path, entries in lists.items():
        for position, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, str) and entry.endswith(".py"):
                yield (*path, position), entry


def name_problems(config: Mapping[str, Any]) -> Iterator[Problem]:
    """Studies that cannot be completed: misspelt, or ``like`` an unknown study or a study with ``like``."""
    for name, settings in _studies(config):
        studies = config["studies"]
        others = [other for other in studies if other != name]
        like = settings.get("like")
        if like is None:
            near = nearest(name, others)
            if near and not {"network", "datasets", "networks_of"} & set(settings):
                text = f"unknown study. {near}A new study needs 'like', 'networks_of', or its own settings."
                yield ("studies", name), text
        elif like not in others:
            yield ("studies", name, "like"), unknown("study", like, others)
        elif isinstance(studies[like], Mapping) and "like" in studies[like]:
            text = f"'{like}' is itself like '{studies[like]['like']}': name that study, and repeat what differs."
            yield ("studies", name, "like"), text


def without_source(config: Mapping[str, Any]) -> set[str]:
    """Studies that take settings from a study that is not a mapping."""
    usable = dict(_studies(config))
    sources = ((name, settings.get(key)) for name, settings in usable.items() for key in ("like", "networks_of"))
    return {name for name, source in sources if isinstance(source, str) and source not in usable}


def is_inherited(problem: Problem, problems: Sequence[Problem], config: Mapping[str, Any]) -> bool:
    """Whether a study's problem comes from another study or the defaults and is reported there."""
    path, text = problem
    settings = dict(_studies(config)).get(str(path[1])) if len(path) > 2 and path[0] == "studies" else None
    if settings is None:
        return False
    sources = [settings.get(key) for key in ("like", "networks_of")]
    return any((("studies", source, *path[2:]), text) in problems for source in sources if isinstance(source, str)) or (
        path[2] in OF_ALL_STUDIES and (path[2:], text) in problems
    )


def _studies(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    studies = config.get("studies")
    if isinstance(studies, Mapping):
        yield from ((name, settings) for name, settings in studies.items() if isinstance(settings, Mapping))
