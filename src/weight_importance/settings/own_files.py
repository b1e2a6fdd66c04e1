"""Problems of estimators in the user's own files, found without running the files."""

import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from weight_importance.settings.base import KeyPath, Problem, nearest
from weight_importance.settings.known import REPOSITORY, Definition, definition, estimators, kinds, recordable
from weight_importance.settings.learning import UNPENALISED
from weight_importance.settings.merging import listed_files
from weight_importance.settings.messages import unknown

InFile = tuple[int, str]
"""Line of a mistake in a file, and a sentence on what is allowed."""


def listing_problems(config: Mapping[str, Any]) -> Iterator[Problem]:
    """Listed files with unusable names, and missing files."""
    files: dict[str, str] = {}
    for path, file in listed_files(config):
        name = Path(file).stem
        if files.setdefault(name, file) != file:
            yield path, f"'{file}' and '{files[name]}' would have the same name, '{name}'; rename one."
        elif name in estimators() or name in (*UNPENALISED, "random"):
            yield (
                path,
                f"'{file}' would be called '{name}', the name of a built-in estimator; rename the file.",
            )
        elif not re.fullmatch("[a-z][a-z0-9_]*", name):
            yield path, f"'{name}', of '{file}', is not a usable name: use lower-case letters, digits and underscores."
        elif not Path(file).is_file():
            yield path, f"there is no file '{file}' (in {Path.cwd()})."


def content_problems(config: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str, InFile]]:
    """Mistakes in existing files, each once: the key path and the file, and the place and text of the mistake."""
    for file, path in {file: path for path, file in reversed([*listed_files(config)])}.items():
        if Path(file).is_file():
            yield from ((path, file, problem) for problem in _in_file(file))


def _in_file(file: str) -> Iterator[InFile]:
    try:
        estimator = definition(file)
    except SyntaxError as error:
        yield error.lineno or 1, f"{file} is not valid Python: {error.msg}."
        return
    except ValueError as error:  # not UTF-8, or null bytes
        yield 1, f"{file} is not valid Python: {error}."
        return
    except OSError as error:
        yield 1, f"{file} cannot be read: {error.strerror}. Make it readable."
        return
    known = kinds()
    if estimator.kind not in known:
        listed = ", ".join(f"{kind}(...)" for kind in known)
        yield estimator.line, f"{file} must define ESTIMATOR = one of {listed} at its top level."
    elif estimator.unnamed:
        yield estimator.line, f"the arguments of {estimator.kind} need names, such as label='my estimator'."
    else:
        yield from _arguments(estimator, known[estimator.kind])
        yield from _texts(estimator)
        if estimator.kind == "PathEstimator":
            yield from _records(estimator)


def _arguments(estimator: Definition, known: Mapping[str, bool]) -> Iterator[InFile]:
    for name, line in estimator.lines.items():
        if name not in known:
            allowed = f"Allowed: {', '.join(known)}."
            yield line, f"{estimator.kind} has no argument '{name}'. {nearest(name, [*known])}{allowed}"
    checked = (*TEXTS, "records")  # below, with the form of their values
    for name, required in known.items():
        if required and name not in estimator.lines and name not in checked:
            yield estimator.line, f"{estimator.kind} needs the argument '{name}'."


TEXTS = ("label", "formula", "source")


def _texts(estimator: Definition) -> Iterator[InFile]:
    for name in TEXTS:
        text = estimator.literals.get(name)
        if not isinstance(text, str) or not text:
            yield estimator.lines.get(name, estimator.line), f"ESTIMATOR needs a {name}, a text in quotes."
        elif problem := _in_latex(name, text):
            yield estimator.lines[name], problem
    source = estimator.literals.get("source")
    if isinstance(source, str) and f"{{{source}," not in (REPOSITORY / "paper/references.bib").read_text("utf-8"):
        yield estimator.lines["source"], f"the source '{source}' is not in paper/references.bib; add it there."


def _in_latex(name: str, text: str) -> str | None:
    """What would break the paper in a label or formula."""
    plain = re.sub(r"\\.", "", text)  # without escaped characters and first letters of commands
    if name == "label" and not (text.isascii() and text.isprintable()):
        return f"the label '{text}' is printed in the paper; write it with ASCII characters only"
    if name == "label" and (special := sorted({*text} & {*"\\_%&#$~^{}"})):
        return f"the label '{text}' is printed in figures and in the paper; write it without {' '.join(special)}"
    if name == "formula" and (special := re.findall(r"[%$#]|\\$", plain)):
        return f"the formula '{text}' is set in LaTeX's mathematical mode; write it without {' '.join(special)}"
    depths = [*accumulate(((character == "{") - (character == "}") for character in plain), initial=0)]
    if name == "formula" and (min(depths) < 0 or depths[-1] > 0):
        return f"the braces of the formula '{text}' do not match"
    return None


def _records(estimator: Definition) -> Iterator[InFile]:
    known = recordable()
    recorded, published = estimator.literals.get("records"), estimator.literals.get("published", {})
    line = estimator.lines.get("records", estimator.line)
    if not isinstance(recorded, tuple):
        yield line, f"ESTIMATOR needs records, a tuple of texts of: {', '.join(known)}."
    elif not isinstance(published, dict) or not all(name in recorded for name in published):
        text = "published must be {one of its records: the one that takes its place}."
        yield estimator.lines["published"], text
    else:
        recorded = (*recorded, *published.values())
        yield from ((line, unknown("record", name, known)) for name in recorded if name not in known)
