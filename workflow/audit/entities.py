"""Entities of an RO-Crate, the form of its values, and the licences of files."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate


def licences(text: str) -> dict[str, tuple[str, str | None]]:
    """The content of DATA_LICENCES.md: pattern of paths → name and address (or ``None``) of the licence.

    Later patterns take precedence; a pattern that ends in ``/`` means everything in the folder.
    """
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|") and "---" not in line]
    by_pattern: dict[str, tuple[str, str | None]] = {}
    for _, parts, licence, *_ in rows[1:]:
        stated = re.search(r"\[(.*?)\]\((.*?)\)", licence)
        for pattern in re.findall(r"`(.*?)`", parts):
            by_pattern[f"{pattern}*" if pattern.endswith("/") else pattern] = (
                (stated[1], stated[2]) if stated else (licence.strip(), None)
            )
    return by_pattern


def context(crate: ROCrate, identifier: str, kind: str, **properties: object) -> Entity:
    """A new entity that is not a file; its properties may refer to other entities."""
    entity = crate.add(ContextEntity(crate, identifier, properties={"@type": kind}))
    for name, value in properties.items():
        entity[name] = unwrapped(value)
    return entity


def unwrapped(value: object) -> object:
    """Unwrap a list of one element, as RO-Crate recommends."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def entities_of(files: Mapping[str, Entity], names: Iterable[str]) -> list[Entity]:
    return [files[name] for name in sorted(names) if name in files]


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def as_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
