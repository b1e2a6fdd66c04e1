"""The configuration's files by themselves: whether they can be read at all, and what YAML makes of them unnoticed.

Snakemake reads the files after ``--configfile`` before it reads the Snakefile, and of one that is missing or no text it
shows its own trace of calls. Profiles come before both: ``profiles/default`` has the files looked at from here.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

import yaml

from configuration.wording import KeyPath, dotted

DEFAULT = "config.yaml"
MOST_NODES = 100_000
"""Values that a file may hold, those that stand for others (``*name``) counted as often as they come."""


def given(arguments: Sequence[str]) -> list[str]:
    """The configuration's files by Snakemake's command line: the default and all after ``--configfile``."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="*", action="extend", default=[])
    return [DEFAULT, *parser.parse_known_args(list(arguments))[0].configfile]


def require(files: Sequence[str | Path]) -> None:
    """End the program with one readable message unless every file can be read and holds keys in plain YAML."""
    found = [f"{os.path.relpath(file)}: {problem}" for file in files if (problem := unusable(file))]
    if found:
        sys.exit("\n".join(["error: the configuration cannot be read", *(f"  - {problem}" for problem in found)]))


def unusable(file: str | Path) -> str | None:
    """Why a file cannot be read as a configuration, what is allowed and how to mend it; ``None`` if it can."""
    file = Path(file)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return f"there is no such file (in {Path.cwd()}). {_meant(file)}"
    except IsADirectoryError:
        return "is a folder. --configfile takes files of YAML: name one in it."
    except UnicodeDecodeError as error:
        return f"byte {error.object[error.start]:#04x} at position {error.start} is no UTF-8. Save it as text in UTF-8."
    except OSError as error:
        return f"cannot be opened: {error.strerror}. Make it readable, or name another file after --configfile."
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root and (problem := _endless(root)):
            return problem
        content = yaml.safe_load(text)
    except RecursionError:
        return "is nested hundreds of levels deep. Allowed are the keys that config.yaml shows: mend it."
    except yaml.YAMLError as error:
        return f"is not plain YAML: {_located(error)}. Mend it there; config.yaml shows the form."
    except ValueError as error:  # of a date such as 2022-13-45, or of thousands of digits
        return f"is not plain YAML: {error}. Put in quotes what only looks like a date or a number."
    if content is None:
        return "is empty. Give it keys such as 'seeds: 4', or leave it out: config.yaml holds the default."
    if not isinstance(content, dict):
        kind = {list: "a list", str: "text"}.get(type(content), "a single value")
        return f"holds {kind}, not keys with values. Write 'key: value' lines as in config.yaml."
    if "__use_yte__" in content:
        return "__use_yte__ would run Python from a configuration. Allowed is plain YAML: remove that key."
    return None


def _meant(file: Path) -> str:
    """The file that was probably meant, or what stands to choose from."""
    there = {other.stem: str(other) for other in (*Path("presets").glob("*.yaml"), *file.parent.glob("*.yaml"))}
    near = [f"Did you mean '{there[stem]}'?" for stem in get_close_matches(file.stem, there, n=1)]
    presets = ", ".join(sorted(map(str, Path("presets").glob("*.yaml"))))
    allowed = f"Allowed is a file of YAML, such as: {presets or DEFAULT}; every word after --configfile is one,"
    return " ".join([*near, allowed, "so targets stand before it."])


def _located(error: yaml.YAMLError) -> str:
    """What a reader of YAML stumbled over, in one line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + " ".join(str(problem or error).split())


def _endless(root: yaml.Node) -> str | None:
    """What is wrong with values that stand for others: one within itself, or more than the memory would hold."""
    sizes: dict[int, int] = {}
    inside: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in inside:
            raise yaml.composer.ComposerError(None, None, "a value holds itself (*name within &name)", node.start_mark)
        if id(node) not in sizes:
            inside.add(id(node))
            sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
            inside.discard(id(node))
        return sizes[id(node)]

    found = size(root)
    if found > MOST_NODES:
        return f"stands for {found} values (*name counted in full), allowed are {MOST_NODES}. Write out what is needed."
    return None


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def pitfalls(root: yaml.Node, path: KeyPath = ()) -> Iterator[tuple[int, str]]:
    """What YAML reads otherwise than it looks, as ``(line, text)``: it would be computed with, and nothing said.

    Keys that a mapping holds twice (the last one counts); ``010``, which is 8, and ``1:30``, which is 90.
    """
    if isinstance(root, yaml.MappingNode):
        lines: dict[str, int] = {}
        for name, value in root.value:
            key = str(name.value) if isinstance(name, yaml.ScalarNode) else "?"
            here, line = (*path, key), name.start_mark.line + 1
            if key in lines and key != "<<":
                yield line, f"{dotted(here)} is there twice, first on line {lines[key]}; remove one."
            lines[key] = line
            yield from pitfalls(value, here)
    elif isinstance(root, yaml.SequenceNode):
        for position, value in enumerate(root.value):
            yield from pitfalls(value, (*path, position))
    elif root.tag in NUMBERS and not PLAIN.fullmatch(root.value):
        read = yaml.safe_load(root.value)
        text = f"'{root.value}' is read as {read}. Allowed are decimal numbers: write {read}, or what is meant."
        yield root.start_mark.line + 1, f"{dotted(path)}: {text}"


NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
PLAIN = re.compile(r"[-+]?(0|[1-9][0-9_]*|([0-9][0-9_]*)?\.[0-9]*([eE][-+][0-9]+)?|\.(inf|Inf|INF))|\.(nan|NaN|NAN)")
