"""The table of the audit: from its CSV into the page docs/audit.md."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from audit.entries import ENTRIES
from audit.formulas import Importance

ROOT = Path(__file__).resolve().parents[2]
CSV = ROOT / "benchmarks/results/audit/audit.csv"
PAGE = ROOT / "docs/audit.md"
BEGIN, END = "<!-- table: make audit -->\n", "<!-- end of the table -->\n"

ROUNDING = 1e-6
"""Smaller errors are rounding; Torch-Pruning sums in single precision."""

Row = Mapping[str, str]


def relative_error(observed: Importance, expected: Importance) -> float:
    """Norm of the difference over norm of the expected tensor, the largest over all tensors."""
    if observed.keys() != expected.keys():
        raise ValueError(f"names differ: {sorted(observed)}, expected {sorted(expected)}")
    return max(((observed[name] - value).norm() / value.norm()).item() for name, value in expected.items())


def read() -> list[Row]:
    with CSV.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def as_markdown(rows: Sequence[Row]) -> str:
    """One line per entry, with its errors in both networks."""
    lines = [
        "| library | call | claimed quantity | computed formula | relation to our estimators | error, fully connected "
        "| error, convolutional | formula reproduces it within |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    by_entry: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_entry.setdefault((row["library"], row["call"]), []).append(row)
    for entry in ENTRIES:
        group = by_entry[entry.library, entry.call]
        errors = [_percent(float(row["error"])) for row in group]
        formula = f"{max(float(row['formula_error']) for row in group):.0e}" if entry.run else "restated, not run"
        cells = [
            f"{entry.library} {group[0]['version']}", entry.call, entry.claim, entry.formula, entry.relation, *errors,
            formula,
        ]  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _percent(error: float) -> str:
    return "0 (rounding)" if error < ROUNDING else f"{100 * error:.1f} %"


def table_of_page() -> str:
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def write(rows: Sequence[Row]) -> None:
    """Write the CSV, and replace the table of the page."""
    CSV.parent.mkdir(parents=True, exist_ok=True)
    with CSV.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text.replace(table_of_page(), "").replace(BEGIN, BEGIN + as_markdown(rows)), encoding="utf-8")
