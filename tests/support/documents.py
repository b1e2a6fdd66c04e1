"""The documentation pages as data: commands, examples, links, anchors and file names, from a Markdown parser."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from itertools import pairwise
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

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
"""The beginning of a command: optional environment variables, the program, and at least one more word."""

REMARK = re.compile(r"\s{2,}# .*$")
"""An explanation after a command."""

FILE = re.compile(
    r"[\w.*{}-]*(?:/[\w.*{}-]*)+|[\w.*{}-]+\.(?:py|yaml|md|csv|tex|txt|in|lock|json|html|pdf|smk|ipynb|cff)"
)
"""The name of a file or folder."""

WAYS = ("checkout", "finished", "scratch", "elsewhere", "not_run")


@dataclass(frozen=True)
class Code:
    """A block of code: page, first line, and text."""

    page: str
    line: int
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def place(self) -> str:
        return f"{self.page}, line {self.line}"


@cache
def page(name: str) -> str:
    """A page's text."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


@cache
def tokens(name: str) -> list[Token]:
    """A page as tokens of CommonMark with tables."""
    return MarkdownIt("commonmark").enable("table").parse(page(name))


def inline() -> Iterator[tuple[str, Token]]:
    """Page and token of every text, code, link or image in a paragraph, heading or table."""
    for name in PAGES:
        for token in tokens(name):
            yield from ((name, child) for child in token.children or ())


def blocks() -> Iterator[Code]:
    """Every block of code of all pages."""
    for name in PAGES:
        for token in tokens(name):
            if token.type in ("fence", "code_block") and token.map:
                yield Code(name, token.map[0] + 1, token.content)


def block(name: str, first: str) -> Code:
    """The only block of a page whose text begins with ``first``."""
    [code] = [code for code in blocks() if code.page == name and code.text.startswith(first)]
    return code


def spans() -> Iterator[tuple[str, str]]:
    """Page and text of every code span."""
    return ((name, token.content) for name, token in inline() if token.type == "code_inline")


def links() -> Iterator[tuple[str, str]]:
    """Page and target of every link and image."""
    for name, token in inline():
        target = token.attrGet("href") or token.attrGet("src")
        if target:
            yield name, str(target)


def anchors(name: str) -> set[str]:
    """GitHub's anchors of the headings of a page."""
    parsed = tokens(name)
    headings = [after.content for token, after in pairwise(parsed) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def files() -> dict[str, str]:
    """File and folder names in code spans, each with a page."""
    return {span: name for name, span in spans() if FILE.fullmatch(span)}


def among(name: str, paths: Iterable[str]) -> bool:
    """Whether a path equals the name or ends with it; ``*``, ``NAME`` and ``STUDY`` match any text."""
    ending = name.rstrip("/").replace("NAME", "*").replace("STUDY", "*")
    return any(fnmatch(path, ending) or fnmatch(path, f"*/{ending}") for path in paths)


@cache
def present() -> frozenset[str]:
    """The files and folders of the repository, without results and hidden folders."""
    paths = set()
    for place, folders, names in os.walk(REPOSITORY):
        folder = os.path.relpath(place, REPOSITORY)
        if folder == "results":
            folders[:], names[:] = [], ["README.md"]
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        paths |= {os.path.normpath(os.path.join(folder, name)) for name in [".", *names]}
    return frozenset(paths)


def commands() -> dict[str, str]:
    """Every command of the pages without its comment, and its first place."""
    places: dict[str, str] = {}
    for code in blocks():
        prompts = [line.removeprefix("$ ") for line in code.lines if line.startswith("$ ")]
        for line in prompts or (code.lines if COMMAND.match(code.text) else ()):
            places.setdefault(REMARK.sub("", line).strip(), code.place)
    for name, span in spans():
        if COMMAND.match(span):
            places.setdefault(span, name)
    return places


def other_code() -> list[Code]:
    """The blocks without commands: code in Python, settings, or the output of programs."""
    return [code for code in blocks() if not COMMAND.match(code.text)]


@cache
def table() -> dict:
    """The table of commands and their tests (tests/docs/commands.yaml)."""
    return yaml.safe_load((REPOSITORY / TABLE).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Command:
    """A command of the pages, the command that tests it, and the words that it must print."""

    name: str
    runs: str
    says: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        return shlex.split(self.runs)

    def assert_done(self, run: subprocess.CompletedProcess[str]) -> None:
        """Assert that the command succeeded and printed the words, regardless of case and line breaks."""
        output = run.stdout + run.stderr
        assert run.returncode == 0, f"{self.runs}\n{output[-5000:]}"
        normalised = " ".join(output.split()).lower()
        for words in self.says:
            assert words in normalised, f"{self.runs} does not print '{words}':\n{output[-5000:]}"


def to_run(way: str) -> list[Command]:
    """The commands tested in one way, in the order of the table."""
    entries = {name: entry or {} for name, entry in table()[way].items()}
    return [Command(name, entry.get("as", name), tuple(entry.get("says", ()))) for name, entry in entries.items()]
