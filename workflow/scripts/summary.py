"""Join the tables of all shards, or of all studies, into one; check that no row is missing or duplicated."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from weight_importance.files.storage import REMAKE, read_table, write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.runtime.errors import UserError, run_program, unknown_name

SHARD = re.compile(r"seeds-(\d+)-(\d+)")
# key columns that identify a run, or a comparison of two estimators; all must have rows with the same other keys
RUN = ("seed", "estimator", "lambda", "criterion", "estimator_a", "estimator_b")
SHOWN = 3  # rows that a message quotes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, help="name of the table, which determines its columns")
    parser.add_argument("--output", type=Path, required=True, help="table to write")
    parser.add_argument("shards", nargs="+", type=Path, metavar="FILE", help="the same table of one shard")
    arguments = parser.parse_args()
    if arguments.table not in COLUMNS:
        raise unknown_name("table", arguments.table, COLUMNS)
    columns = COLUMNS[arguments.table]
    keys = list(columns[:-1])

    rows = pd.concat([read_shard(path, columns) for path in arguments.shards], ignore_index=True)
    refuse_duplicates(rows, keys)
    if "seed" in keys:
        refuse_gaps(rows, keys, run=[key for key in keys if key in RUN])
        refuse_gaps(rows, keys, run=["seed"])
    joined = rows.sort_values(keys, kind="stable", ignore_index=True)
    write_table(arguments.output, joined[list(columns)], columns)


def read_shard(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a shard's table, add the column ``file``, and check its seeds against the file's name."""
    frame = read_table(path, columns)
    if frame.empty:
        raise UserError(f"{path} has no rows. {REMAKE}")
    declared = SHARD.match(path.name)
    if declared:
        expected = set(range(int(declared[1]), int(declared[2]) + 1))
        seeds = set(frame["seed"])
        if seeds != expected:
            raise UserError(
                f"{path} contains the seeds {sorted(seeds)}, but its name declares {sorted(expected)}: it is truncated "
                f"or was renamed. {REMAKE}"
            )
    return frame.assign(file=str(path))


def refuse_duplicates(rows: pd.DataFrame, keys: list[str]) -> None:
    """Raise an error that names files and rows if rows agree in all their keys."""
    twice = rows[rows.duplicated(keys, keep=False)]
    if not twice.empty:
        raise UserError(
            f"rows are duplicated, in {', '.join(twice['file'].unique())}: {described(twice[keys])}. Give each "
            "shard's table once, and delete tables with another division into shards."
        )


def refuse_gaps(rows: pd.DataFrame, keys: list[str], run: list[str]) -> None:
    """Raise an error that names the file unless all runs of a study have rows with the same keys.

    This detects a file truncated between two lines, which otherwise looks complete.

    Args:
        rows: all rows, with their files.
        keys: the key columns.
        run: the key columns that identify the runs of a study.
    """
    others = [key for key in keys if key not in run]
    runs = rows[["study", *run]].drop_duplicates()
    expected = runs.merge(rows[others].drop_duplicates(), on="study").merge(rows, on=keys, how="left")
    missing = expected.loc[expected["file"].isna(), keys]
    if missing.empty:
        return
    files = suspects(rows, missing.iloc[[0]], run, others)
    remedy = f"{' or '.join(files)} is truncated, or was made with other settings than the rest. {REMAKE}"
    if not files:
        remedy = "No given file contains rows of this kind and seed: give the table of that shard, too."
    raise UserError(
        f"{len(missing)} rows are missing, which other runs of the study have: {described(missing)}. {remedy}"
    )


def suspects(rows: pd.DataFrame, missing: pd.DataFrame, run: list[str], others: list[str]) -> list[str]:
    """Files that probably lack a missing row: of the files with rows of its run, the most similar to a whole one.

    Args:
        rows: all rows, with their files.
        missing: one row with the missing keys.
        run: the key columns that identify the runs of a study.
        others: the other key columns.
    """
    whole = rows[rows["file"] == missing[others].merge(rows, on=others)["file"].iloc[0]]
    of_run = rows.merge(missing[["study", *run]], on=["study", *run])
    shared = of_run.merge(whole[others].drop_duplicates(), on=others)["file"].value_counts()
    return sorted(shared.index[shared == shared.max()])


def described(keys: pd.DataFrame) -> str:
    """The first few rows of ``keys`` in words."""
    shown = keys.drop_duplicates()
    first = shown.head(SHOWN).to_dict("records")
    texts = [", ".join(f"{name} {value}" for name, value in row.items()) for row in first]
    more = [f"and {len(shown) - SHOWN} more"] if len(shown) > SHOWN else []
    return "; ".join(texts + more)


if __name__ == "__main__":
    run_program(main)
