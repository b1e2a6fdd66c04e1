"""Text of a trace: places in the code, rows of tables, settings, devices, arguments."""

import ast
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from quotations import Quotation

SHOWN = 3
"""Number of files per stage, candidates per kind, or rows shown without ``--all``."""


def place(dotted: str) -> str:
    """File and line of a function or a constant of the package."""
    module, _, name = dotted.rpartition(".")
    file = Path("src", *module.split(".")).with_suffix(".py")
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        names = [getattr(node, "name", None), *(getattr(target, "id", None) for target in getattr(node, "targets", []))]
        if name in names:
            return f"{file}, line {node.lineno}"
    return str(file)


def places(quoted: Sequence[Quotation]) -> str:
    return "; ".join(map(str, quoted))


def summarised(rows: pd.DataFrame) -> str:
    """A summary of the rows: their range and mean, or the first of them."""
    if rows.empty:
        return ""
    last = rows.columns[-1]
    if not pd.api.types.is_numeric_dtype(rows[last]):
        first = rows.head(SHOWN).to_dict("records")
        return ": " + "; ".join(", ".join(f"{name} {value}" for name, value in row.items()) for row in first)
    value = "mean_accuracy" if "mean_accuracy" in rows else "accuracy" if "accuracy" in rows else last
    column = rows[value]
    over = f" over seeds {', '.join(map(str, sorted(rows['seed'].unique())))}" if "seed" in rows else ""
    return f"{over}: {value} from {column.min():.6g} to {column.max():.6g}, mean {column.mean():.6g}"


def configuration_keys(settings: dict, config: dict) -> str:
    """Configuration keys that a stage's settings come from."""
    if not settings:
        return ""
    if settings.get("study") not in config["studies"]:
        return "the whole configuration"
    study = config["studies"][settings["study"]]
    of_study = {name for key in settings if (name := _key(key, settings, study))}
    others = [f"{section}.{key}" for key in settings for section, values in config.items() if _holds(values, key)]
    named = [f"studies.{settings['study']}: {', '.join(sorted(of_study))}"] if of_study else []
    return "; ".join([*named, *others])


def _key(key: str, settings: dict, study: dict) -> str | None:
    """The key or section of a study that a stage's setting comes from.

    Of several sections with this value (or else this key), it is the one with most of the stage's values; among
    equals, the smallest.
    """
    value = settings[key]
    if key in study and study[key] == value:
        return key
    wanted = value if isinstance(value, dict) else {key: value}
    parts = {name: part for name, part in study.items() if isinstance(part, dict)}
    sections = {name: part for name, part in parts.items() if wanted.items() <= part.items()}
    if not sections and key in study:
        return key
    # a stage's value may be a part of the configured one: the strengths of one estimator, for example
    sections = sections or {name: part for name, part in parts.items() if wanted.keys() <= part.keys()}
    if not sections:
        return None

    def rank(name: str) -> tuple[int, int]:
        part = sections[name]
        return sum(part.get(other, ...) == settings[other] for other in settings), -len(part)

    section = max(sections, key=rank)
    return section if isinstance(value, dict) else f"{section}.{key}"


def _holds(section: object, key: str) -> bool:
    return isinstance(section, dict) and key in section and key != "studies"


def described_device(device: dict) -> str:
    threads = f"{device['threads']} thread{'s' * (device['threads'] != 1)}"
    return f"{device['device']} ({device['processor']}, {threads}, precision '{device['precision']}')"


def quoted_argument(argument: str) -> str:
    return f"'{argument}'" if set(argument) & set(' {}"*();&|') else argument
