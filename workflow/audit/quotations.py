r"""Find where the paper quotes a result, and which keys match a number, figure or table as printed.

Reads only the LaTeX that this paper uses: ``\result{key}``, macros that prefix the key with a study, one-line macros
whose arguments are parts of a key, and figures and tables by file name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

PREFIX = re.compile(r"\\newcommand\{\\(\w+)\}\[1\]\{\\result\{([^{}#]*)#1\}\}")
MACRO = re.compile(r"^\\newcommand\{\\(\w+)\}\[(\d)\]\{(.*#.*)\}$", re.MULTILINE)
DEFINED = re.compile(r"\\defineresult\{(.*?)\}\{(.*)\}$")
FLOAT = re.compile(r"\\begin\{(figure|table)\}.*?\\end\{\1\}", re.DOTALL)
SHOWN = re.compile(r"\\(figureof|tableof)\{([^{}]*)\}\{([^{}]*)\}")
NUMBER = re.compile(r"\\num(?:range)?\{([^{}]*)\}(?:\{([^{}]*)\})?")


@dataclass(frozen=True)
class Quotation:
    """A place in the paper's text."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


def numbers(file: Path) -> dict[str, str]:
    """All keys of ``numbers.tex`` with their values."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return {match[1]: match[2] for match in map(DEFINED.match, lines) if match}


def quotations(paper: Path) -> dict[str, list[Quotation]]:
    """The keys that the text quotes, with the places."""
    texts = {file: file.read_text(encoding="utf-8") for file in sorted(paper.rglob("*.tex"))}
    prefixes = {"result": ""} | {name: prefix for text in texts.values() for name, prefix in PREFIX.findall(text)}
    quoted = re.compile(rf"\\({'|'.join(prefixes)})\{{([^{{}}#]+)\}}")
    macros = {name: (int(count), body) for text in texts.values() for name, count, body in MACRO.findall(text)}
    places: dict[str, list[Quotation]] = {}
    for file, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            for macro, key in quoted.findall(_expanded(line, macros)):
                place = Quotation(str(paper.name / file.relative_to(paper)), number, line.strip())
                places.setdefault(prefixes[macro] + key, []).append(place)
    return places


def _expanded(line: str, macros: Mapping[str, tuple[int, str]]) -> str:
    """Replace macros with several arguments, or around several keys, in a line by their definitions."""
    for name, (count, body) in macros.items():
        if body.count("\\") > 1:
            use = re.compile(rf"\\{name}" + r"\{([^{}#]*)\}" * count)
            line = use.sub(partial(_filled, body), line)
    return line


def _filled(body: str, use: re.Match[str]) -> str:
    """The definition of a macro with the arguments of a use."""
    return re.sub(r"#(\d)", lambda part: use[int(part[1])], body)


def printed(value: str) -> str:
    """A value as a reader sees it: without the LaTeX around numbers."""
    text = NUMBER.sub(lambda match: " to ".join(filter(None, match.groups())), value)
    return re.sub(r"\\([_%&])", r"\1", text).replace(r"$\lambda$", "λ")


def is_printed_as(value: str, wanted: str) -> bool:
    """Whether a value matches a reader's text: the same words, or the same number rounded."""
    shown, wanted = printed(value), " ".join(wanted.replace("%", " ").split())
    if wanted.replace("\N{EN DASH}", "-") in (shown, shown.replace(" to ", "-")):
        return True
    return any(_rounds(token, wanted) for groups in NUMBER.findall(value) for token in groups if token)


def _rounds(token: str, wanted: str) -> bool:
    number = token.partition("(")[0]  # the digits in brackets belong to the interval
    try:
        decimals = len(wanted.partition(".")[2])
        return wanted == token or f"{float(number):.{decimals}f}" == f"{float(wanted):.{decimals}f}"
    except ValueError:
        return False


def floats(paper: Path, build: Path) -> dict[str, list[str]]:
    """Files shown by each figure and table of the paper, by printed name, such as ``Figure 3``.

    Args:
        paper: folder of the text.
        build: build folder, whose .aux file holds the printed numbers.
    """
    labels = dict(_labels(build / "main.aux"))
    files = {}
    for file in sorted(paper.rglob("*.tex")):
        for match in FLOAT.finditer(file.read_text(encoding="utf-8")):
            label = re.search(r"\\label\{([^{}]*)\}", match[0])
            shown = [
                f"results/figures/{name}-{study}.pdf" if kind == "figureof" else f"results/tables/{name}-{study}.tex"
                for kind, name, study in SHOWN.findall(match[0])
            ]
            if label and label[1] in labels and shown:
                files[f"{match[1].capitalize()} {labels[label[1]]}"] = shown
    return files


def _labels(auxiliary: Path) -> Iterator[tuple[str, str]]:
    if auxiliary.is_file():
        yield from re.findall(r"\\newlabel\{([^{}]*)\}\{\{([^{}]*)\}", auxiliary.read_text(encoding="utf-8"))


def cells(tables: Path, wanted: str) -> dict[str, int]:
    """Tables of the paper that contain a number, with the number of cells."""
    counts: Mapping[str, int] = {
        f"results/tables/{file.name}": sum(
            is_printed_as(rf"\num{{{groups[0]}}}", wanted) for groups in NUMBER.findall(text)
        )
        for file in sorted(tables.glob("*.tex"))
        for text in [file.read_text(encoding="utf-8")]
    }
    return {file: count for file, count in counts.items() if count}
