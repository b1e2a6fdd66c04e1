"""Results with the records of what they were made from, as they lie on disk, each judged by its checksums.

Reads only. Nothing here is part of the workflow: it looks at what the workflow left.
"""

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path

import pandas as pd

from weight_importance.files.derivation import Rows
from weight_importance.files.integrity import checksum
from weight_importance.files.provenance import ELSEWHERE, record_of
from weight_importance.runtime.errors import UserError

SNAKEMAKE = Path(".snakemake/metadata")
"""Where Snakemake keeps which rule made a file, and when."""

OWN_ESTIMATORS = "IMPORTANCE_ATLAS_ESTIMATORS"
"""Environment variable: where files of the user's own estimators lie; records name those outside the checkout only."""

KEYS = {"sha256", "program", "arguments", "settings", "seeds", "device", "versions", "code", "inputs"}
"""What every record holds."""

ESTIMATOR_COLUMNS = ("estimator", "estimator_a", "estimator_b", "criterion")


RESULTS = tuple(f"results/{name}" for name in ("data", "runs", "summary", "notebooks", "figures", "tables"))
"""Folders that hold results and nothing else."""

PAPER = ("results/paper/numbers.tex", "results/paper/main.pdf", "results/explorer.html")


@dataclass
class Shelf:
    """The files of a checkout, by their paths from its root; each is read once."""

    root: Path
    _checksums: dict[str, str | None] = field(default_factory=dict)
    _records: dict[str, dict | None] = field(default_factory=dict)
    _tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def checksum(self, file: str) -> str | None:
        """SHA-256 of a file as it lies here now; ``None`` if it does not, or lies where only the user knows."""
        if file not in self._checksums:
            path = own_estimators().get(Path(file).name, Path()) if is_elsewhere(file) else self.root / file
            self._checksums[file] = checksum(path) if path.is_file() else None
        return self._checksums[file]

    def record(self, file: str) -> dict | None:
        """The record of what a result was made from, as :func:`weight_importance.files.provenance.record` writes it.

        Only files outside the checkout have the beginning of their checksums in their paths here, as different ones may
        have one name.

        Raises:
            UserError: it is cut off or altered.
        """
        if file not in self._records:
            path = record_of(self.root / file)
            self._records[file] = _read(path, file) if path.is_file() else None
        return self._records[file]

    def table(self, file: str) -> pd.DataFrame:
        """A table (.csv); empty if it is not here."""
        if file not in self._tables:
            path = self.root / file
            self._tables[file] = pd.read_csv(path) if path.is_file() else pd.DataFrame()
        return self._tables[file]

    def job(self, file: str) -> dict:
        """What Snakemake noted of the job that made a file: ``rule``, ``starttime``, ``endtime``; empty if nothing."""
        name = base64.urlsafe_b64encode(file.encode()).decode()
        path = self.root / SNAKEMAKE / name
        try:
            return json.loads(path.read_text(encoding="utf-8")) if len(name) < 255 and path.is_file() else {}
        except ValueError:  # cut off: Snakemake knows no more of it either
            return {}

    def problems(self, file: str, sha256: str | None = None) -> list[str]:
        """Where a file is not as its record, or the record of what was made from it, says.

        Args:
            file: its path.
            sha256: what it must be, where that is known from elsewhere.
        """
        found, record = self.checksum(file), self.record(file)
        if found is None:
            return [] if is_elsewhere(file) else ["is missing"]
        if sha256 and sha256 != found:
            return ["has changed since what is made from it was made"]
        if record is None:
            return ["has no record of what it was made from"] if file.startswith("results/") else []
        wrong = [] if record["sha256"] == found else ["is not what was written"]
        unknown = {code for code in record["code"]["files"] if is_elsewhere(code) and self.checksum(code) is None}
        changed = [
            code for code, was in record["code"]["files"].items() if self.checksum(code) != was and code not in unknown
        ]
        return wrong + ([f"was made by other code than lies here: {', '.join(changed)}"] if changed else [])

    def made_from(self, file: str) -> dict[str, str]:
        """The files that were read for a result, with their checksums then."""
        return (self.record(file) or {"inputs": {}})["inputs"]

    def all_results(self) -> Iterator[str]:
        """Every result that has a record; what a job keeps halfway (hidden) is none."""
        for record in sorted((self.root / "results").rglob(".*.provenance.json")):
            file = record.with_name(record.name.removeprefix(".").removesuffix(".provenance.json"))
            if file.is_file() and not file.name.startswith("."):
                yield str(file.relative_to(self.root))

    def without_record(self) -> Iterator[str]:
        """Every file in the place of a result that has no record."""
        for folder in RESULTS:
            for file in sorted((self.root / folder).rglob("*")):
                name = str(file.relative_to(self.root))
                if file.is_file() and not file.name.startswith(".") and self.record(name) is None:
                    yield name
        yield from (name for name in PAPER if (self.root / name).is_file() and self.record(name) is None)


def is_elsewhere(file: str) -> bool:
    """Whether a record names a file that lay outside the checkout."""
    return file.startswith(f"{ELSEWHERE}/")


def own_estimators() -> dict[str, Path]:
    """The files that the environment names, by their names."""
    places = filter(None, os.environ.get(OWN_ESTIMATORS, "").split(os.pathsep))
    return {Path(place).name: Path(place) for place in places}


def _read(path: Path, file: str) -> dict:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        record = None
    if not isinstance(record, dict) or not record.keys() >= KEYS:
        raise UserError(
            f"{path}, the record of what {file} was made from, is cut off or altered; expected is JSON with "
            f"{', '.join(sorted(KEYS))}. Delete {file} and run the workflow again: it makes both anew."
        )
    record["inputs"] = _told_apart(record["inputs"])
    record["code"]["files"] = _told_apart(record["code"]["files"])
    return record


def _told_apart(files: Mapping[str, str]) -> dict[str, str]:
    return {
        f"{ELSEWHERE}/{sha256[:12]}/{Path(file).name}" if is_elsewhere(file) else file: sha256
        for file, sha256 in files.items()
    }


@dataclass(frozen=True)
class Step:
    """A file that a value goes back to.

    Attributes:
        file: its path.
        depth: over how many files it is read, by the longest way.
        sha256: what it was when it was read for the file before it; ``None`` for the first.
        matching: how many of its rows the value was made from; ``None`` where it is no table, or all count.
    """

    file: str
    depth: int
    sha256: str | None
    matching: int | None


def chain(shelf: Shelf, file: str, of: Sequence[Rows] = ()) -> list[Step]:
    """All files that a result, or some rows of tables that it was made from, go back to, nearest first.

    Tables without any of these rows are left out, and tensors of an estimator that the rows do not name, where others
    that were read with them are named.

    Args:
        shelf: the files.
        file: the result to begin with.
        of: the rows; without any, all that was read counts.
    """
    wanted: dict[str, tuple[Rows, ...]] = {file: tuple(of)}  # by file, the rows that count; none: all that it holds
    read: dict[str, dict[str, str]] = {}  # by file, what was read for it and counts
    waiting = [file]
    while waiting:
        here = waiting.pop()
        inputs, rows = shelf.made_from(here), wanted[here]
        if here == file and rows:  # one that is made from many tables: only those that are named
            inputs = {name: sha256 for name, sha256 in inputs.items() if _named(name, rows)}
        others = _other_estimators(shelf, inputs, rows)
        read[here] = {}
        for name in inputs:
            meant = _named(name, rows) if here == file else rows
            if name in others or (name.endswith(".csv") and meant and not _matching(shelf.table(name), meant)):
                continue
            read[here][name] = inputs[name]
            # one table may be read in two ways, as that of retention for an accuracy and for the choice of lambda
            union = tuple(dict.fromkeys([*wanted.get(name, ()), *meant])) if meant else ()
            if name not in wanted or wanted[name] != union:
                wanted[name] = union
                waiting.append(name)
    depths = {file: 0}
    for here in TopologicalSorter(_readers(read)).static_order():
        for name in read.get(here, ()):
            depths[name] = max(depths.get(name, 0), depths[here] + 1)
    then = {name: sha256 for inputs in read.values() for name, sha256 in inputs.items()}
    steps = []
    for name, depth in sorted(depths.items(), key=lambda item: item[1]):
        counted = wanted[name] if name.endswith(".csv") else ()
        steps.append(Step(name, depth, then.get(name), _matching(shelf.table(name), counted) if counted else None))
    return steps


def _readers(read: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """By file, the files that it was read for."""
    found: dict[str, list[str]] = {file: [] for file in read}
    for file, inputs in read.items():
        for name in inputs:
            found.setdefault(name, []).append(file)
    return found


def _named(file: str, wanted: Sequence[Rows]) -> tuple[Rows, ...]:
    return tuple(rows for rows in wanted if rows.table == Path(file).stem)


def _matching(table: pd.DataFrame, wanted: Sequence[Rows]) -> int:
    return len({index for rows in wanted for index in rows.of(table).index})


def _other_estimators(shelf: Shelf, inputs: dict[str, str], wanted: Sequence[Rows]) -> set[str]:
    """Inputs of estimators that are not among those of the rows, if some others are."""
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
