"""How messages about the configuration are put: key paths, values as YAML shows them, and hints at what was meant."""

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]
"""Where a value stands: the keys, and positions in lists, that lead to it."""

Problem = tuple[KeyPath, str]
"""Where something is wrong, and what."""


def dotted(path: KeyPath) -> str:
    """A key path such as ``studies.mlp.pruning.fractions[3]``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".") or "the whole file"


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


def number_hint(value: Any, kinds: Sequence[str]) -> str:
    """YAML reads ``1e-3`` as text, Snakemake reads nested values of ``--config`` so: puzzling enough to be told."""
    if not isinstance(value, str) or not {"number", "integer"} & set(kinds):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    return f" It was read as text; write {number!r} in a configuration file." if math.isfinite(number) else ""
