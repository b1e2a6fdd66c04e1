"""Select each estimator's strength lambda by its accuracy on validation data (the published protocol: test data)."""

import argparse
from pathlib import Path

from weight_importance.files.storage import REMAKE, read_table, write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.findings.statistics import select_lambda
from weight_importance.runtime.errors import UserError, run_program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--retention", type=Path, required=True, help="table of retention")
    parser.add_argument(
        "--split", choices=("validation", "test"), default="validation", help="images whose accuracy selects it"
    )
    parser.add_argument("--output", type=Path, required=True, help="table to write")
    arguments = parser.parse_args()
    retention = read_table(arguments.retention, COLUMNS["retention"])
    if arguments.split not in set(retention["split"]):
        splits = ", ".join(sorted(set(retention["split"]))) or "no rows at all"
        raise UserError(f"{arguments.retention} has no rows of split {arguments.split}, found {splits}. {REMAKE}")
    write_table(arguments.output, select_lambda(retention, arguments.split), COLUMNS["selected_lambda"])


if __name__ == "__main__":
    run_program(main)
