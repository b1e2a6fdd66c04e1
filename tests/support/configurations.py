"""Configurations with changes: of one value, or merged like Snakemake's configuration files."""

import copy
from functools import cache
from pathlib import Path

import yaml

from weight_importance.settings.known import REPOSITORY

DEFAULT = REPOSITORY / "config.yaml"
STUDY = "mlp_permuted_mnist"
REMOVED = "(removed)"


@cache
def read(file: Path) -> dict:
    """A configuration file."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def default() -> dict:
    """The default configuration."""
    return copy.deepcopy(read(DEFAULT))


def changed(path: str, value: object) -> dict:
    """The default configuration with the value at a dotted path replaced or removed; ``*`` is the MLP study."""
    config = place = default()
    *parents, last = [int(key) if key.isdigit() else key for key in path.replace("*", f"studies.{STUDY}").split(".")]
    for key in parents:
        place = place[key]
    if value == REMOVED:
        del place[last]
    else:
        place[last] = value
    return config


def combined(config: object, changes: object) -> object:
    """Merge like Snakemake: mappings key by key, everything else replaced."""
    if not isinstance(config, dict) or not isinstance(changes, dict):
        return changes
    return config | {key: combined(config.get(key), value) for key, value in changes.items()}
