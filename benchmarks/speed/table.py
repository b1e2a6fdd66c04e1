"""The table of all measurements: its columns, and the conversion of a measurement into a row."""

import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
import torch

from speed.timing import Summary
from weight_importance.runtime.errors import UserError

COLUMNS = (
    "part", "network", "what", "who", "size", "batch", "device", "processor", "threads", "rounds", "median", "low",
    "high", "unit", "error", "correct", "ratio", "floor_share", "note", "versions", "date",
)  # fmt: skip
"""See ``benchmarks/README.md``."""

PACKAGES = ("torch", "backpack-for-pytorch", "nngeometry", "asdfghjkl")


@dataclass(frozen=True)
class Row:
    """One measurement; ``nan`` where a field does not apply.

    Attributes:
        part: ``floor``, ``importance``, ``together``, ``training``, ``profile`` or ``scaling``.
        network: a name of :data:`weight_importance.learning.networks.NETWORKS`, or ``none``.
        what: is measured: an estimator, a matrix product, a quantity that grows.
        who: does it.
        measured: rates or seconds, over rounds.
        unit: of ``measured``.
        size: samples in a run, replicas or tasks.
        batch: samples at once, if the contestant's batch size is free.
        error: against the reference in float64, relative to the largest value.
        correct: ``yes``, ``no``, ``unchecked``, or ``failed``.
        ratio: its rate over that of the method with which it is compared.
        floor_share: its floating-point operations per second over the machine's best.
        note: why it failed.
    """

    part: str
    network: str
    what: str
    who: str
    measured: Summary
    unit: str
    size: float = math.nan
    batch: float = math.nan
    error: float = math.nan
    correct: str = "unchecked"
    ratio: float = math.nan
    floor_share: float = math.nan
    note: str = ""


def table(rows: Sequence[Row], device: torch.device, threads: int) -> pd.DataFrame:
    """All rows with machine, versions and date, in :data:`COLUMNS`."""
    about = {
        "device": device.type,
        "processor": processor(device),
        "threads": threads,
        "versions": versions(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    flat = []
    for row in rows:
        values = asdict(row)
        flat.append(values | values.pop("measured") | about)
    return pd.DataFrame(flat)[list(COLUMNS)]


def write(path: Path, measured: pd.DataFrame) -> None:
    """Write the table as CSV."""
    measured.to_csv(path, index=False, na_rep="nan", float_format="%.6g", lineterminator="\n")


def read(path: Path) -> pd.DataFrame:
    """Read a table that :func:`write` wrote.

    Raises:
        UserError: it is missing or has other columns.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: measure first, without --redraw")
    table = pd.read_csv(path, keep_default_na=False, na_values=["nan"])
    if tuple(table.columns) != COLUMNS:
        raise UserError(f"{path} has columns {list(table.columns)}, expected {list(COLUMNS)}: measure again")
    return table


def processor(device: torch.device) -> str:
    """The model name of the processor or GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> str:
    """The versions of Python and of the installed contestants."""
    names = [f"python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            names.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(names)
