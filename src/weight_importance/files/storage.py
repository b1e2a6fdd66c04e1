"""Reading and writing of results; a file under its final name is always complete.

Every write creates a temporary file next to the target, flushes it to disk, seals it with its checksum (see
:mod:`weight_importance.files.integrity`), adds a provenance record (see :mod:`weight_importance.files.provenance`) and
renames the file to the target. Every read checks that the file is undamaged. This module does not interpret tensors or
tables.

Functions import PyTorch and pandas, because importing them takes longer than most jobs that need neither.
"""

from __future__ import annotations

import json
import os
import re
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from weight_importance.files.integrity import checksum, judged, seal_of
from weight_importance.files.provenance import note_input, record, record_of
from weight_importance.files.tables import SHARES, TEXT, WHOLE
from weight_importance.runtime.errors import FULL, UserError, full_disk

REMAKE = "Delete it and run the same command again: it will be made again."
"""The fix for a damaged result."""

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; on success flush it to disk, seal it and rename it to ``path``.

    Write its provenance record, too.

    Raises:
        UserError: the directory cannot be written, or the disk is full.
    """
    path = Path(path)
    temporary = about = seal = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary_file(path)
        yield temporary
        sha256 = checksum(temporary)
        about, seal = _temporary_file(path), _temporary_file(path)
        about.write_text(record(sha256), encoding="utf-8")
        seal.write_text(sha256 + "\n", encoding="ascii")
        # record and seal first: after an interruption in between, a file that differs from its seal is replaced;
        # flushing may take long, so flush all files before the first rename
        finals = {about: record_of(path), seal: seal_of(path), temporary: path}
        for written in finals:
            _flush(written)
        for written, final in finals.items():
            os.replace(written, final)
    except OSError as error:
        if error.errno in FULL:
            raise full_disk(path) from error
        raise UserError(
            f"cannot write {path}: {error.strerror or error}. Check that {path.parent} is a writable directory on a "
            "disk with free space, then run the same command again; finished results are kept."
        ) from error
    finally:
        for leftover in filter(None, (temporary, about, seal)):
            leftover.unlink(missing_ok=True)


def _temporary_file(path: Path) -> Path:
    """Create an empty hidden file in the folder of ``path``."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    os.close(handle)
    return Path(name)


def _flush(temporary: Path) -> None:
    """Flush a file to disk and set the usual permissions."""
    # safetensors and LaTeX may replace the file: open it again to flush the current one
    with open(temporary, "rb") as written:
        os.fsync(written.fileno())
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(temporary, 0o666 & ~umask)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors and string metadata as one safetensors file, atomically."""
    from safetensors.torch import save_file

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(contiguous, temporary, metadata=dict(metadata) or None)  # an empty mapping makes a broken header
            _sort_header(temporary)
        except SafetensorError as error:  # a failed write in safetensors
            number = re.search(r"\(os error (\d+)\)", str(error))
            raise OSError(int(number[1]) if number else None, str(error)) from error


def _sort_header(path: Path) -> None:
    """Sort the header's keys, which safetensors writes in random order, so that equal results have equal bytes."""
    with open(path, "r+b") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > length:
            raise ValueError(f"the sorted header of {path} does not fit: {len(text)} > {length} bytes")
        file.seek(8)
        file.write(text.ljust(length))


def _require_whole(path: str | Path) -> None:
    """Raise an error unless a file exists and agrees with its seal; record it as an input of this process."""
    sha256, problem = judged(path)
    if problem:
        make = f"Name an existing file, or make it: snakemake --cores all {path}"
        raise UserError(f"cannot read {path}: it {problem}. {REMAKE if Path(path).exists() else make}")
    note_input(path, sha256)


def load_tensors(path: str | Path, **expected: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: ``(tensors by name, metadata)``.

    Args:
        path: the file.
        expected: required metadata, such as the estimator and the seeds.

    Raises:
        UserError: the file is missing, has changed since it was written, is not safetensors, or has other metadata.
    """
    _require_whole(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            for key, value in expected.items():
                if metadata.get(key) != value:
                    raise UserError(f"{path} is of {key} {metadata.get(key)}, expected {value}. {REMAKE}")
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 (safe_open is not a mapping)
    except (SafetensorError, OSError) as error:
        raise UserError(f"cannot read {path}: {error}. {REMAKE}") from error


def write_table(path: str | Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Write a tidy table as CSV with exactly ``columns``; missing values are written as ``nan``."""
    if list(frame.columns) != list(columns):
        raise ValueError(f"table for {path} has columns {list(frame.columns)}, expected {list(columns)}")
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, na_rep="nan", lineterminator="\n")


def read_table(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV table with exactly ``columns``; numbers keep their bits, and text is unchanged.

    Args:
        path: the file.
        columns: names; those in :data:`weight_importance.files.tables.TEXT` hold text, those in ``WHOLE``
            whole numbers, all others ``float``.

    Raises:
        UserError: the file is missing, has changed since it was written, or has other columns or invalid values.
    """
    import pandas as pd

    _require_whole(path)
    numbers = [name for name in columns if name not in TEXT]
    try:
        frame = pd.read_csv(
            path,
            dtype=dict.fromkeys(TEXT, str),
            keep_default_na=False,  # "null" may be a name
            na_values={name: ["nan"] for name in numbers},
        )
    except ValueError as error:  # not a table, empty, or not text
        raise UserError(f"{path} is not a table: {' '.join(str(error).split())}. {REMAKE}") from error
    if list(frame.columns) != list(columns):
        raise UserError(f"{path} has columns {list(frame.columns)}, expected {list(columns)}. {REMAKE}")
    for name in numbers:
        wrong, allowed = _not_allowed(frame[name])
        if wrong.any():
            row = wrong.to_numpy().argmax()
            value = frame[name].iloc[row]
            raise UserError(f"{path}, line {row + 2}: {name} is '{value}', expected {allowed}. {REMAKE}")
    return frame.astype({name: float for name in numbers if name not in WHOLE})  # a column may have whole numbers only


def read_optional_table(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """Like :func:`read_table`; an empty table if there is no file."""
    import pandas as pd

    return read_table(path, columns) if Path(path).exists() else pd.DataFrame(columns=list(columns))


def _not_allowed(column: pd.Series) -> tuple[pd.Series, str]:
    """Mask of invalid values in a column of numbers, and a description of valid values."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    none = numbers.isna() & column.notna()  # not even ``nan``
    if column.name in WHOLE:
        return none | ~(numbers % 1 == 0), "a whole number"
    if column.name in SHARES:
        return none | (numbers < 0) | (numbers > 1), "a number from 0 to 1, or nan"
    return none | (column.dtype == bool), "a number, or nan"
