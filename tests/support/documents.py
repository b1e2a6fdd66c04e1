"""What the pages for people hold: commands, other code, links, and names of things, each with the page it stands in.

A page is read as Markdown is shown: code is what is indented by four columns (in a list: four more than its text) after
an empty line, what stands between fences, and what stands between backquotes in a line.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
PAGES = (
    "README.md",
    *sorted(f"docs/{file.name}" for file in (REPOSITORY / "docs").glob("*.md")),
    "benchmarks/README.md",
    "results/README.md",
)
TABLE = "tests/docs/commands.yaml"

PROGRAMS = "make|snakemake|python3?|pip|source|export|sh|bash|git|podman|docker|kubectl|squeue|sacct|scancel|sbatch"
PROGRAMS += r"|apt-get|sudo|uv|conda|pytest|ruff|rocrate-validator|[\w/.-]+\.(?:py|sh)"
COMMAND = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{PROGRAMS}) \S")
"""How a command begins: the program, maybe after variables of the environment, and at least one word more."""

REMARK = re.compile(r"\s{2,}# .*$")
"""What stands beside a command for the reader."""

FILE = re.compile(
    r"[\w.*{}-]*(?:/[\w.*{}-]*)+|[\w.*{}-]+\.(?:py|yaml|md|csv|tex|txt|in|lock|json|html|pdf|smk|ipynb|cff)"
)
"""What looks like the name of a file or folder."""

WAYS = ("checkout", "finished", "scratch", "elsewhere", "not_run")


@dataclass(frozen=True)
class Code:
    """A block of code: its page, the line it begins at, and its lines without their indentation."""

    page: str
    line: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join([*self.lines, ""])

    @property
    def place(self) -> str:
        return f"{self.page}, line {self.line}"


@cache
def page(name: str) -> str:
    """A page's text."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


@cache
def parts(name: str) -> tuple[tuple[Code, ...], tuple[tuple[int, str], ...]]:
    """The blocks of code of a page, and its other lines with their numbers."""
    blocks: list[Code] = []
    prose: list[tuple[int, str]] = []
    lines = page(name).splitlines()
    number, margin = 0, 0  # margin: where the text of the item of a list begins that the line belongs to
    while number < len(lines):
        line, begin = lines[number], number
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("```"):
            number += 1
            while not lines[number].lstrip().startswith("```"):
                number += 1
            blocks.append(_block(name, begin + 1, lines[begin + 1 : number], indent))
            number += 1
            continue
        if line.strip() and indent >= margin + 4 and (number == 0 or not lines[number - 1].strip()):
            while number < len(lines) and (not lines[number].strip() or lines[number].startswith(" " * (margin + 4))):
                number += 1
            blocks.append(_block(name, begin, lines[begin:number], margin + 4))
            continue
        item = re.match(r"(?:- |\d+\. )", line)
        if item:
            margin = len(item[0])
        elif line.strip() and indent < margin:
            margin = 0
        prose.append((number + 1, line))
        number += 1
    return tuple(blocks), tuple(prose)


def _block(name: str, begin: int, lines: list[str], indent: int) -> Code:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return Code(name, begin + 1, tuple(line[indent:] for line in lines))


def blocks() -> Iterator[Code]:
    """Every block of code of all pages."""
    for name in PAGES:
        yield from parts(name)[0]


def block(name: str, first: str) -> Code:
    """The one block of a page whose first line begins so."""
    [found] = [code for code in parts(name)[0] if code.lines[0].startswith(first)]
    return found


def spans() -> Iterator[tuple[str, str]]:
    """Place and text of everything between backquotes in the prose; a span may go on in the next line."""
    for name in PAGES:
        text = "\n".join(line for _, line in parts(name)[1])
        for found in re.finditer(r"(?<!`)`([^`]+)`(?!`)", text):
            yield name, " ".join(found[1].split())


def names() -> dict[str, str]:
    """All that stands between backquotes and is no command, and a page where it does."""
    return {span: place for place, span in spans() if not COMMAND.match(span)}


def among(name: str, paths: Iterable[str]) -> bool:
    """Whether one of the paths is called so, or ends so; a name may hold ``*``, and ``NAME`` for any."""
    ending = name.rstrip("/").replace("NAME", "*")
    return any(fnmatch(path, ending) or fnmatch(path, f"*/{ending}") for path in paths)


@cache
def present() -> frozenset[str]:
    """The files and folders of the repository, but for what running and testing leave behind."""
    found = set()
    for place, folders, files in os.walk(REPOSITORY):
        folder = os.path.relpath(place, REPOSITORY)
        if folder == "results":
            folders[:], files[:] = [], ["README.md"]
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        found |= {os.path.normpath(os.path.join(folder, name)) for name in [".", *files]}
    return frozenset(found)


def links() -> Iterator[tuple[str, str]]:
    """Page and target of every link and picture."""
    for name in PAGES:
        text = "\n".join(line for _, line in parts(name)[1])
        for found in re.finditer(r"\]\(([^)\s]+)\)", text):
            yield name, found[1]


def anchors(name: str) -> set[str]:
    """What a link may name after ``#``: the headings, as GitHub turns them into anchors."""
    headings = [found[1] for _, line in parts(name)[1] if (found := re.match(r"#+ (.*)", line))]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> dict[str, str]:
    """Every command of the pages, without remarks beside it, and where it stands first."""
    found: dict[str, str] = {}
    for code in blocks():
        prompts = [line.removeprefix("$ ") for line in code.lines if line.startswith("$ ")]
        lines = prompts or (code.lines if COMMAND.match(code.lines[0]) else ())
        for line in lines:
            found.setdefault(REMARK.sub("", line).strip(), code.place)
    for name, span in spans():
        if COMMAND.match(span):
            found.setdefault(span, name)
    return found


def other_code() -> dict[str, str]:
    """First line and place of the blocks that hold no command: code in Python, or what programs print."""
    return {code.lines[0]: code.place for code in blocks() if not COMMAND.match(code.lines[0])}


@cache
def table() -> dict:
    """How each command is tested (tests/docs/commands.yaml)."""
    return yaml.safe_load((REPOSITORY / TABLE).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Command:
    """A command of the pages, what is run to test it, and what that must say."""

    name: str
    runs: str
    says: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        return shlex.split(self.runs)

    def assert_done(self, run: subprocess.CompletedProcess[str]) -> None:
        """It ended well, and said what it had to; upper and lower case and breaks of lines are the same."""
        said = run.stdout + run.stderr
        assert run.returncode == 0, f"{self.runs}\n{said[-5000:]}"
        read = " ".join(said.split()).lower()
        for words in self.says:
            assert words in read, f"{self.runs} does not say '{words}':\n{said[-5000:]}"


def to_run(way: str) -> list[Command]:
    """The commands tested in one way, in the order of the table."""
    entries = {name: entry or {} for name, entry in table()[way].items()}
    return [Command(name, entry.get("as", name), tuple(entry.get("says", ()))) for name, entry in entries.items()]
