"""Results on disk with their provenance records, checked against checksums.

Read-only; not part of the workflow.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path

import pandas as pd

from weight_importance.files.derivation import Rows
from weight_importance.files.integrity import checksum
from weight_importance.files.provenance import ELSEWHERE, record_of
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.own_estimators import own_files

SNAKEMAKE = Path(".snakemake/metadata")
"""Snakemake's records of each file's rule and times."""

KEYS = {"sha256", "program", "arguments", "settings", "seeds", "device", "versions", "code", "inputs"}
"""Keys of every record."""

ESTIMATOR_COLUMNS = ("estimator", "estimator_a", "estimator_b", "criterion")


RESULTS = tuple(f"results/{name}" for name in ("data", "runs", "summary", "notebooks", "figures", "tables"))
"""Folders that hold only results."""

PAPER = ("results/paper/numbers.tex", "results/paper/main.pdf", "results/explorer.html")


@dataclass
class Shelf:
    """Files of a checkout, by path from its root; each is read once."""

    root: Path
    _checksums: dict[str, str | None] = field(default_factory=dict)
    _records: dict[str, dict | None] = field(default_factory=dict)
    _tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def checksum(self, file: str) -> str | None:
        """Current SHA-256 of a file; ``None`` if it is missing, or outside the checkout in an unknown folder."""
        if file not in self._checksums:
            own = {path.name: path for path in own_files().values()}
            path = own.get(Path(file).name, Path()) if is_elsewhere(file) else self.root / file
            self._checksums[file] = checksum(path) if path.is_file() else None
        return self._checksums[file]

    def record(self, file: str) -> dict | None:
        """The provenance record of a result, as :func:`weight_importance.files.provenance.record` writes it.

        Paths of files outside the checkout contain the first digits of the checksum, because names may repeat.

        Raises:
            UserError: it is truncated or altered.
        """
        if file not in self._records:
            path = record_of(self.root / file)
            self._records[file] = _read(path, file) if path.is_file() else None
        return self._records[file]

    def table(self, file: str) -> pd.DataFrame:
        """A table (.csv); empty if the file is missing."""
        if file not in self._tables:
            path = self.root / file
            self._tables[file] = pd.read_csv(path) if path.is_file() else pd.DataFrame()
        return self._tables[file]

    def job(self, file: str) -> dict:
        """Snakemake's metadata of the job that made a file: ``rule``, ``starttime``, ``endtime``; may be empty."""
        name = base64.urlsafe_b64encode(file.encode()).decode()
        path = self.root / SNAKEMAKE / name
        try:
            return json.loads(path.read_text(encoding="utf-8")) if len(name) < 255 and path.is_file() else {}
        except ValueError:  # truncated, for Snakemake as well
            return {}

    def problems(self, file: str, sha256: str | None = None) -> list[str]:
        """Differences between a file and its record.

        Args:
            file: its path.
            sha256: its checksum when the next stage read it, if recorded.
        """
        checksum, record = self.checksum(file), self.record(file)
        if checksum is None:
            return [] if is_elsewhere(file) else ["is missing"]
        if sha256 and sha256 != checksum:
            return ["has changed since it was read for the result made from it"]
        if record is None:
            return ["has no provenance record"] if file.startswith("results/") else []
        wrong = [] if record["sha256"] == checksum else ["has changed since it was written"]
        unknown = {code for code in record["code"]["files"] if is_elsewhere(code) and self.checksum(code) is None}
        changed = [
            code for code, was in record["code"]["files"].items() if self.checksum(code) != was and code not in unknown
        ]
        return wrong + ([f"was made by code that has changed since: {', '.join(changed)}"] if changed else [])

    def made_from(self, file: str) -> dict[str, str]:
        """Files read for a result, with their checksums at that time."""
        return (self.record(file) or {"inputs": {}})["inputs"]

    def all_results(self) -> Iterator[str]:
        """Every result that has a record; hidden files, such as checkpoints, are not results."""
        for record in sorted((self.root / "results").rglob(".*.provenance.json")):
            file = record.with_name(record.name.removeprefix(".").removesuffix(".provenance.json"))
            if file.is_file() and not file.name.startswith("."):
                yield str(file.relative_to(self.root))

    def without_record(self) -> Iterator[str]:
        """Every file in a folder of results that has no record."""
        for folder in RESULTS:
            for file in sorted((self.root / folder).rglob("*")):
                name = str(file.relative_to(self.root))
                if file.is_file() and not file.name.startswith(".") and self.record(name) is None:
                    yield name
        yield from (name for name in PAPER if (self.root / name).is_file() and self.record(name) is None)


def is_elsewhere(file: str) -> bool:
    """Whether a path in a record is outside the checkout."""
    return file.startswith(f"{ELSEWHERE}/")


def _read(path: Path, file: str) -> dict:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        record = None
    if not isinstance(record, dict) or not record.keys() >= KEYS:
        raise UserError(
            f"{path}, the provenance record of {file}, is truncated or altered; it must be JSON with "
            f"{', '.join(sorted(KEYS))}. Delete {file} and run the workflow again: it makes both again."
        )
    record["inputs"] = _distinct(record["inputs"])
    record["code"]["files"] = _distinct(record["code"]["files"])
    return record


def _distinct(files: Mapping[str, str]) -> dict[str, str]:
    return {
        f"{ELSEWHERE}/{sha256[:12]}/{Path(file).name}" if is_elsewhere(file) else file: sha256
        for file, sha256 in files.items()
    }


@dataclass(frozen=True)
class Step:
    """A file that a value depends on.

    Attributes:
        file: its path.
        depth: number of files on the longest path to the value.
        sha256: its checksum when the previous file's job read it; ``None`` for the first.
        matching: number of its rows that the value depends on; ``None`` if it is not a table, or all rows count.
    """

    file: str
    depth: int
    sha256: str | None
    matching: int | None


def chain(shelf: Shelf, file: str, selection: Sequence[Rows] = ()) -> list[Step]:
    """All files that a result, or some rows of its source tables, depend on, nearest first.

    Omits tables without any of these rows. If a job read tensors of several estimators, omits those of estimators that
    the rows do not name.

    Args:
        shelf: the files.
        file: the result to begin with.
        selection: the rows; if empty, all input files count.
    """
    wanted: dict[str, tuple[Rows, ...]] = {file: tuple(selection)}  # rows that count, by file; empty: all
    read: dict[str, dict[str, str]] = {}  # inputs that count, by file
    waiting = [file]
    while waiting:
        reader = waiting.pop()
        inputs, rows = shelf.made_from(reader), wanted[reader]
        if reader == file and rows:  # of many source tables, only those that the rows name
            inputs = {name: sha256 for name, sha256 in inputs.items() if _named(name, rows)}
        others = _other_estimators(shelf, inputs, rows)
        read[reader] = {}
        for name in inputs:
            meant = _named(name, rows) if reader == file else rows
            if name in others or (name.endswith(".csv") and meant and not _matching(shelf.table(name), meant)):
                continue
            read[reader][name] = inputs[name]
            # a table may be read twice: retention, for an accuracy and for the selection of lambda
            union = tuple(dict.fromkeys([*wanted.get(name, ()), *meant])) if meant else ()
            if name not in wanted or wanted[name] != union:
                wanted[name] = union
                waiting.append(name)
    depths = {file: 0}
    for reader in TopologicalSorter(_readers(read)).static_order():
        for name in read.get(reader, ()):
            depths[name] = max(depths.get(name, 0), depths[reader] + 1)
    checksums = {name: sha256 for inputs in read.values() for name, sha256 in inputs.items()}
    steps = []
    for name, depth in sorted(depths.items(), key=lambda item: item[1]):
        counted = wanted[name] if name.endswith(".csv") else ()
        steps.append(Step(name, depth, checksums.get(name), _matching(shelf.table(name), counted) if counted else None))
    return steps


def _readers(read: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """The files made from each file."""
    readers: dict[str, list[str]] = {file: [] for file in read}
    for file, inputs in read.items():
        for name in inputs:
            readers.setdefault(name, []).append(file)
    return readers


def _named(file: str, wanted: Sequence[Rows]) -> tuple[Rows, ...]:
    return tuple(rows for rows in wanted if rows.table == Path(file).stem)


def _matching(table: pd.DataFrame, wanted: Sequence[Rows]) -> int:
    return len({index for rows in wanted for index in rows.of(table).index})


def _other_estimators(shelf: Shelf, inputs: dict[str, str], wanted: Sequence[Rows]) -> set[str]:
    """Inputs of estimators that the rows do not name, if the rows name others."""
    names = {
        value for rows in wanted for column, values in rows.where if column in ESTIMATOR_COLUMNS for value in values
    }
    made_by = {}
    for file in inputs:
        arguments = (shelf.record(file) or {"arguments": []})["arguments"] if file.endswith(".safetensors") else []
        if "--estimator" in arguments:
            made_by[file] = arguments[arguments.index("--estimator") + 1]
    if not names & set(made_by.values()):
        return set()
    return {file for file, name in made_by.items() if name not in names}
