"""What every key may hold by itself: the JSON schema, and its errors in words that help."""

# ruff: noqa: E402 (what would slow down the import of jsonschema is put out of the way before it)

import sys
from collections.abc import Iterator
from typing import Any

import yaml

# On import jsonschema compiles grammars of web addresses, for a second of every command, if this optional package is
# there (Jupyter brings it); our schema has no such formats
sys.modules.setdefault("rfc3987_syntax", None)

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from configuration.known import REPOSITORY
from configuration.wording import Problem, nearest, reading_hint, shown

SCHEMA = REPOSITORY / "workflow/schemas/config.schema.yaml"

TYPES = {
    "object": "a mapping (key: value)",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
TWICE = "more than once; each may come once."
LIMITS = {"minimum": "at least", "exclusiveMinimum": "greater than", "maximum": "at most"}


def _whole(checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(checker: Any, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


# JSON schema takes 4.0 for an integer and knows no infinity; ranges of seeds and sorted JSON need better
CHECKER = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _whole, "number": _finite})
VALIDATOR = extend(Draft202012Validator, type_checker=CHECKER)(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


def describe(error: ValidationError) -> Iterator[Problem]:
    """The key path and the description of each problem that one schema error stands for."""
    path, value, allowed = tuple(error.absolute_path), error.instance, error.validator_value
    match error.validator:
        case "additionalProperties":
            known = list(error.schema["properties"])
            for key in value:
                if key not in known:
                    yield (*path, key), f"unknown key. {nearest(key, known)}Allowed here: {', '.join(known)}."
        case "required":
            for key in allowed:
                if key not in value:
                    yield (*path, key), "missing. " + error.schema["properties"][key]["description"]
        case "type":
            kinds = [allowed] if isinstance(allowed, str) else allowed
            expected = " or ".join(TYPES[kind] for kind in kinds)
            yield path, f"expected {expected}, found {shown(value)}.{reading_hint(value, kinds)}"
        case "enum":
            yield path, f"unknown value {shown(value)}. {nearest(value, allowed)}Allowed: {', '.join(allowed)}."
        case "minimum" | "exclusiveMinimum" | "maximum":
            yield path, f"must be {LIMITS[error.validator]} {allowed}, found {shown(value)}."
        case "uniqueItems":
            twice = sorted({repr(item) for item in value if value.count(item) > 1})
            yield path, f"lists {', '.join(twice)} {TWICE}"
        case "minItems" | "minProperties":
            yield path, f"needs at least {allowed} {'entries' if allowed > 1 else 'entry'}, found {len(value)}."
        case "pattern":
            yield (*path, value), "not a usable name: use lower-case letters, digits and underscores."
        case _:
            yield path, f"{error.message}."
