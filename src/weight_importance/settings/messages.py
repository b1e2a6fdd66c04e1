"""Messages about a configuration, generated from model errors: the problem, and the found and allowed values."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from weight_importance.settings.base import KeyPath, Problem, Settings, at, holds, nearest

TYPES = {
    "mapping": "a mapping (key: value)",
    "list": "a list",
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}
OF_ERRORS = {
    "model_type": "mapping",
    "model_attributes_type": "mapping",
    "dict_type": "mapping",
    "tuple_type": "list",
    "string_type": "string",
    "int_type": "int",
    "float_type": "float",
    "finite_number": "float",
    "bool_type": "bool",
}
"""Expected type by kind of pydantic error."""

LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "greater than"),
    "less_than_equal": ("le", "at most"),
}


def problems_of(model: type[Settings], data: Any, context: Mapping[str, Sequence[str]]) -> list[Problem]:
    """List all problems of data for a model, in single values and across values.

    Pydantic checks values together only if all are valid. This function runs every check that reads only valid values,
    so that one reading reports every mistake.

    Args:
        model: the settings.
        data: a mapping from a configuration file.
        context: known names, by kind.
    """
    try:
        model.model_validate(data, context=context)
    except ValidationError as error:
        errors = [one for one in error.errors(include_url=False) if _kind(one) != "inconsistent"]
    else:
        return []
    problems = [_described(model, data, one) for one in errors if not _is_consequence(one)]
    wrong = {path for path, _ in problems}
    return [*problems, *_inconsistencies(_sound_part(model, data, (), wrong))]


def _kind(error: Mapping[str, Any]) -> str:
    """The kind of a pydantic error, or of the mistake that caused it."""
    return error["ctx"]["error"].kind if error["type"] == "value_error" else error["type"]


def _is_consequence(error: Mapping[str, Any]) -> bool:
    """Whether a list is too short only because wrong entries do not count."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _described(model: type[Settings], data: Any, error: Mapping[str, Any]) -> Problem:
    """Key path and message of a pydantic error."""
    path, kind, value, context = _key_path(error["loc"], data), _kind(error), error["input"], error.get("ctx", {})
    if mistake := context.get("error"):
        context = mistake.context
    annotation = _annotation(model, data, path)
    if kind in OF_ERRORS:
        expected = [OF_ERRORS[kind], *(["null"] if NoneType in get_args(annotation) else [])]
        words = " or ".join(TYPES.get(one, one) for one in expected)
        return path, f"expected {words}, found {shown(value)}.{_reading_hint(value, expected[0])}"
    if kind in LIMITS:
        key, words = LIMITS[kind]
        limit = context[key]
        limit = int(limit) if limit == int(limit) else limit
        return path, f"must be {words} {limit}, found {shown(value)}."
    match kind:
        case "missing":
            return path, f"missing. {_siblings(model, data, path)[str(path[-1])].description or ''}".rstrip()
        case "extra_forbidden":
            known = [*_siblings(model, data, path)]
            known = ["like", *known] if "networks_of" in known else known  # a study's key, resolved earlier
            return path, f"unknown key. {nearest(path[-1], known)}Allowed here: {', '.join(known)}."
        case "literal_error":
            return path, _unknown_value(value, _choices(annotation))
        case "union_tag_invalid":
            return (*path, "kind"), _unknown_value(value["kind"], _kinds(annotation))
        case "union_tag_not_found":
            return (*path, "kind"), f"missing. Allowed: {', '.join(_kinds(annotation))}."
        case "too_short":
            least = context["min_length"]
            entries = "entries" if least > 1 else "entry"
            return path, f"needs at least {least} {entries}, found {context['actual_length']}."
        case "repeated":
            listed = ", ".join(map(shown, context["repeated"]))
            return path, f"lists {listed} more than once; each value may appear once."
        case "unknown_name":
            return path, unknown(context["name_of"], context["name"], context["known"])
        case "string_pattern_mismatch":
            return path, "not a usable name: use lower-case letters, digits and underscores."
        case _:
            return path, str(mistake) if mistake else error["msg"]


def _sound_part(model: type[Settings], data: Any, path: KeyPath, wrong: set[KeyPath]) -> Settings:
    """A model of the valid values; reading another raises AttributeError."""
    values = {}
    for name, field in model.model_fields.items():
        if isinstance(data, Mapping) and name in data:
            value = _sound_value(field.annotation, data[name], (*path, name), wrong)
            if value is not _WRONG:
                values[name] = value
        elif not field.is_required() and (*path, name) not in wrong:
            values[name] = field.default
    part = model.model_construct(**values)
    for name in {*model.model_fields} - {*values}:
        part.__dict__.pop(name, None)  # a default in place of a wrong value
    return part


_WRONG = object()


def _sound_value(annotation: Any, value: Any, path: KeyPath, wrong: set[KeyPath]) -> Any:
    if path in wrong:
        return _WRONG
    if isinstance(value, Mapping) and (model := _model(annotation, value)):
        return _sound_part(model, value, path, wrong)
    inner = _value_of_dict(annotation)
    if inner and isinstance(value, Mapping):
        parts = {key: _sound_value(inner, one, (*path, key), wrong) for key, one in value.items()}
        if model := _model(inner, None):
            return {key: model.model_construct() if part is _WRONG else part for key, part in parts.items()}
        return _WRONG if _WRONG in parts.values() else parts
    if any(other[: len(path)] == path for other in wrong):
        return _WRONG
    return tuple(value) if isinstance(value, list) else value


def _inconsistencies(part: Settings, path: KeyPath = ()) -> Iterator[Problem]:
    """Run the checks of a model and its submodels that read only valid values."""
    for check in type(part).checks():
        try:
            for inner, text in check(part):
                yield (*path, *inner), text
        except AttributeError:  # a wrong value, already reported
            continue
    for name, value in part.__dict__.items():
        parts = {(name,): value} if not isinstance(value, dict) else {(name, key): one for key, one in value.items()}
        for inner, one in parts.items():
            if isinstance(one, Settings):
                yield from _inconsistencies(one, (*path, *inner))


# Finding models along a key path


def _model(annotation: Any, value: Any) -> type[Settings] | None:
    """The model in an annotation; if several, the one for the value's ``kind``."""
    alternatives = () if get_origin(annotation) in (dict, tuple) else (annotation, *_alternatives(annotation))
    models = [one for one in alternatives if isinstance(one, type) and issubclass(one, Settings)]
    if len(models) > 1 and isinstance(value, Mapping):
        models = [one for one in models if value.get("kind") in get_args(one.model_fields["kind"].annotation)]
    return models[0] if models else None


def _alternatives(annotation: Any) -> list[Any]:
    """Alternatives of an annotation, without metadata."""
    return [one.__origin__ if get_origin(one) is Annotated else one for one in get_args(annotation)]


def _value_of_dict(annotation: Any) -> Any:
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


def _annotation(annotation: Any, data: Any, path: KeyPath) -> Any:
    """The annotation of the value at a key path; None if no model knows the key."""
    for key in path:
        field = _fields(annotation, data).get(str(key))
        is_entry = type(key) is int and get_origin(annotation) is tuple
        annotation = field.annotation if field else get_args(annotation)[0] if is_entry else _value_of_dict(annotation)
        data = data[key] if isinstance(data, Mapping) and key in data else None
    return annotation


def _siblings(model: type[Settings], data: Any, path: KeyPath) -> dict[str, FieldInfo]:
    """The fields of the model that holds the last key of a path."""
    return _fields(_annotation(model, data, path[:-1]), _at(data, path[:-1]))


def _fields(annotation: Any, value: Any) -> dict[str, FieldInfo]:
    """The fields of the model in an annotation; empty if there is none."""
    model = _model(annotation, value)
    return model.model_fields if model else {}


def _choices(annotation: Any) -> list[str]:
    """The values of a ``Literal``, also inside a list or several alternatives."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for inner in get_args(annotation) for choice in _choices(inner)]


def _kinds(annotation: Any) -> list[str]:
    models = [one for one in _alternatives(annotation) if isinstance(one, type) and issubclass(one, Settings)]
    return [kind for model in models for kind in get_args(model.model_fields["kind"].annotation)]


def _key_path(location: Sequence[str | int], data: Any) -> KeyPath:
    """Remove from a pydantic location all parts that are not keys: chosen alternatives or kinds, and ``[key]``."""
    path: list[str | int] = []
    for part in location:
        is_kind = isinstance(data, Mapping) and part not in data and data.get("kind") == part
        if part == "[key]" or is_kind or not isinstance(data, Mapping | list):
            continue
        path.append(part)
        data = _at(data, (part,))
    return tuple(path)


def _at(data: Any, path: KeyPath) -> Any:
    """The value at a key path, None if there is none."""
    return at(data, path) if holds(data, path) else None


# Wording


def dotted(path: KeyPath) -> str:
    """A key path such as ``studies.mlp.pruning.fractions[3]``."""
    parts = (f"[{key}]" if type(key) is int else f".{key}" for key in path)
    return "".join(parts).lstrip(".") or "the whole"


def shown(value: Any) -> str:
    """Format a value as in a configuration file, on one line; text in quotes."""
    if isinstance(value, str):
        return repr(value)
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("\n").removesuffix("\n...")


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """Message about an unknown name, with the known names."""
    return f"unknown {kind} '{name}'. {nearest(name, known)}Known: {', '.join(known)}."


def _unknown_value(value: Any, allowed: Sequence[str]) -> str:
    return f"unknown value {shown(value)}. {nearest(value, allowed)}Allowed: {', '.join(allowed)}."


def kind_of(value: Any) -> str:
    """The type of a value as read by YAML."""
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "null"}
    return names.get(type(value), "a date" if isinstance(value, date) else "a collection")


def _reading_hint(value: Any, expected: str) -> str:
    """Explain a surprising type, and how to write the value.

    YAML reads ``1e-3`` as text, ``no`` as false and ``2022-01-01`` as a date; Snakemake reads nested values of
    ``--config`` as text.
    """
    if isinstance(value, str):
        if expected in ("int", "float") and (number := _number(value, expected == "int")) is not None:
            return f" It was read as text; write {number!r} in a configuration file."
        if expected == "bool" and value.lower() in ("true", "yes", "on", "false", "no", "off"):
            literal = "true" if value.lower() in ("true", "yes", "on") else "false"
            return f" It was read as text; write {literal}, without quotes, in a configuration file."
    if expected == "string" and isinstance(value, bool | date):
        others = " (as are yes, no, on and off)" if isinstance(value, bool) else ""
        return f" It was read as {kind_of(value)}{others}; put it in quotes if text is meant."
    if expected == "list" and isinstance(value, str | int | float):
        return f" A list of one is written [{value}]."
    return ""


def _number(text: str, whole: bool) -> int | float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if whole and number.is_integer() else number
