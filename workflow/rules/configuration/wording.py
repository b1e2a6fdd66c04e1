"""How messages about the configuration are put: key paths, values as YAML shows them, and hints at what was meant."""

import math
from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]
"""Where a value stands: the keys, and positions in lists, that lead to it."""

Problem = tuple[KeyPath, str]
"""Where something is wrong, and what."""


def dotted(path: KeyPath) -> str:
    """A key path such as ``studies.mlp.pruning.fractions[3]``."""
    parts = (f"[{key}]" if type(key) is int else f".{key}" for key in path)
    return "".join(parts).lstrip(".") or "the whole file"


def shown(value: Any) -> str:
    """A value as it would stand in a configuration file, on one line; text in quotes."""
    if isinstance(value, str):
        return repr(value)
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("\n").removesuffix("\n...")


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """What is said of a name that is not among those known."""
    return f"unknown {kind} '{name}'. {nearest(name, known)}Known: {', '.join(known)}."


def nearest(name: Any, known: Sequence[str]) -> str:
    """The known name that was probably meant, as a question; nothing if none is near."""
    near = get_close_matches(str(name), known, n=1)
    return f"Did you mean '{near[0]}'? " if near else ""


def kind_of(value: Any) -> str:
    """What YAML took a value for."""
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
    return names.get(type(value), "a date" if isinstance(value, date) else "a collection")


def reading_hint(value: Any, kinds: Sequence[str]) -> str:
    """What a value was read as where that surprises, and how to write it.

    YAML reads ``1e-3`` as text, ``no`` as false and ``2022-01-01`` as a date; Snakemake reads nested values of
    ``--config`` as text.
    """
    wanted = set(kinds)
    if isinstance(value, str):
        if {"number", "integer"} & wanted and (number := _number(value, "integer" in wanted)) is not None:
            return f" It was read as text; write {number!r} in a configuration file."
        if "boolean" in wanted and value.lower() in ("true", "yes", "on", "false", "no", "off"):
            meant = "true" if value.lower() in ("true", "yes", "on") else "false"
            return f" It was read as text; write {meant}, without quotes, in a configuration file."
    if "string" in wanted and isinstance(value, bool | date):
        return f" It was read as {kind_of(value)} (so are yes, no, on and off); put it in quotes if text is meant."
    if "array" in wanted and isinstance(value, str | int | float):
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
