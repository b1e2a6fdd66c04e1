"""Checks of single configuration files: readability, and values that YAML reads differently than they look.

Snakemake reads the files after ``--configfile`` before the Snakefile and prints a stack trace if one is missing or not
text. It reads profiles first, so ``profiles/default`` calls this module.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import yaml

from weight_importance.settings.base import KeyPath
from weight_importance.settings.messages import dotted

DEFAULT = "config.yaml"
MOST_NODES = 100_000
"""Largest number of values in a file; an alias (``*name``) counts as all its values."""


def given(arguments: Sequence[str]) -> list[str]:
    """The configuration files of a Snakemake command: the working folder's, and all after ``--configfile``."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="*", action="extend", default=[])
    defaults = [DEFAULT] if Path(DEFAULT).exists() else []  # otherwise Snakemake reads the one next to the Snakefile
    return [*defaults, *parser.parse_known_args(list(arguments))[0].configfile]


def require(files: Sequence[str | Path]) -> None:
    """End the program with one readable message unless every file is readable plain YAML with keys."""
    problems = [f"{os.path.relpath(file)}: {problem}" for file in files if (problem := unusable(file))]
    if problems:
        sys.exit("\n".join(["error: the configuration cannot be read", *(f"  - {problem}" for problem in problems)]))


def unusable(file: str | Path) -> str | None:
    """Explain why a file is unusable, what is allowed, and the fix; ``None`` if the file is usable."""
    file = Path(file)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return f"there is no such file (in {Path.cwd()}). {_meant(file)}"
    except IsADirectoryError:
        return "is a folder. --configfile takes YAML files: name one in it."
    except UnicodeDecodeError as error:
        byte = f"byte {error.object[error.start]:#04x} at position {error.start}"
        return f"{byte} is not UTF-8. Save the file as text in UTF-8."
    except OSError as error:
        return f"cannot be opened: {error.strerror}. Make it readable, or name another file after --configfile."
    return _unusable_text(text)


@cache  # the profile and the Snakefile ask for the same files
def _unusable_text(text: str) -> str | None:
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root and (problem := _endless(root)):
            return problem
        content = loader.construct_document(root) if root else None
    except RecursionError:
        return "is nested hundreds of levels deep. Allowed are the keys in config.yaml: remove the others."
    except yaml.YAMLError as error:
        return f"is not plain YAML: {_located(error)}. Fix that line; see config.yaml for an example."
    except ValueError as error:  # a date such as 2022-13-45, or thousands of digits
        return f"is not plain YAML: {error}. Put text that looks like a date or a number in quotes."
    if content is None:
        return "is empty. Add keys such as 'seeds: 4', or omit the file: config.yaml has the defaults."
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else "text" if isinstance(content, str) else "a single value"
        return f"contains {kind}, not keys with values. Write 'key: value' lines as in config.yaml."
    if "__use_yte__" in content:
        return "__use_yte__ would run Python from a configuration. Allowed is plain YAML: remove that key."
    return None


def _meant(file: Path) -> str:
    """Suggest the file that was probably meant, or list all files."""
    existing = {other.stem: str(other) for other in (*Path("presets").glob("*.yaml"), *file.parent.glob("*.yaml"))}
    near = [f"Did you mean '{existing[stem]}'?" for stem in get_close_matches(file.stem, existing, n=1)]
    presets = ", ".join(sorted(map(str, Path("presets").glob("*.yaml"))))
    allowed = f"Allowed is a YAML file, such as: {presets or DEFAULT}. Every word after --configfile is a file,"
    return " ".join([*near, allowed, "so put targets before it."])


def _located(error: yaml.YAMLError) -> str:
    """Position and reason of a YAML error, on one line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + " ".join(str(problem or error).split())


def _endless(root: yaml.Node) -> str | None:
    """Why a file's aliases cannot be expanded: a value contains itself, or there are too many values."""
    sizes: dict[int, int] = {}
    ancestors: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in ancestors:
            raise yaml.composer.ComposerError(
                None, None, "a value contains itself (*name within &name)", node.start_mark
            )
        if id(node) not in sizes:
            ancestors.add(id(node))
            sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
            ancestors.discard(id(node))
        return sizes[id(node)]

    count = size(root)
    if count > MOST_NODES:
        return f"expands to {count} values (with all *name), allowed are {MOST_NODES}. Remove aliases."
    return None


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def pitfalls(root: yaml.Node, path: KeyPath = ()) -> Iterator[tuple[int, str]]:
    """Values that YAML reads differently than they look, as ``(line, text)``.

    Duplicate keys in a mapping (YAML uses the last one), ``010`` (read as 8) and ``1:30`` (read as 90).
    """
    if isinstance(root, yaml.MappingNode):
        lines: dict[str, int] = {}
        for name, value in root.value:
            key = str(name.value) if isinstance(name, yaml.ScalarNode) else "?"
            key_path, line = (*path, key), name.start_mark.line + 1
            if key in lines and key != "<<":
                yield line, f"{dotted(key_path)} appears twice, first on line {lines[key]}; remove one."
            lines[key] = line
            yield from pitfalls(value, key_path)
    elif isinstance(root, yaml.SequenceNode):
        for position, value in enumerate(root.value):
            yield from pitfalls(value, (*path, position))
    elif root.tag in NUMBERS and not PLAIN.fullmatch(root.value):
        read = yaml.safe_load(root.value)
        text = f"'{root.value}' is read as {read}. Allowed are decimal numbers: write {read}, or the intended number."
        yield root.start_mark.line + 1, f"{dotted(path)}: {text}"


NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
PLAIN = re.compile(r"[-+]?(0|[1-9][0-9_]*|([0-9][0-9_]*)?\.[0-9]*([eE][-+][0-9]+)?|\.(inf|Inf|INF))|\.(nan|NaN|NAN)")
