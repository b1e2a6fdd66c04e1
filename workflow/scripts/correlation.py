"""Correlate the importances of a shard's networks between estimators, and under a permutation null."""

import argparse
from pathlib import Path

import torch

from weight_importance.analysis.correlation import correlate
from weight_importance.analysis.used import correlation_used
from weight_importance.files.provenance import identity
from weight_importance.files.storage import load_tensors, write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.runtime.errors import UserError, run_program
from weight_importance.runtime.process import note_device
from weight_importance.settings import CorrelationJob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--importance", nargs="+", required=True, metavar="NAME=FILE", help="importances by estimator")
    parser.add_argument("--settings", type=CorrelationJob.parse, required=True, help="the stage's settings as JSON")
    parser.add_argument("--output", type=Path, required=True, help="table of coefficients to write")
    parser.add_argument("--null", type=Path, required=True, help="table of coefficients under permutation to write")
    parser.add_argument("--used", type=Path, required=True, help="table of coefficients of what is used to write")
    arguments = parser.parse_args()
    job = arguments.settings

    torch.set_num_threads(1)  # more threads would change the order of summation and the last bits
    note_device("cpu")
    importances = {}
    for argument in arguments.importance:
        name, separator, path = argument.partition("=")
        if not separator or not path:
            raise UserError(f"--importance takes NAME=FILE, found '{argument}'. Correct the command line.")
        if name in importances:
            raise UserError(
                f"--importance names the estimator '{name}' twice, allowed is once each. Correct the command line."
            )
        importances[name], _ = load_tensors(path, **identity(name, job.seeds))

    observed, null = correlate(job.study, importances, job.seeds, job.permutations)
    write_table(arguments.null, null, COLUMNS["correlation_null"])
    write_table(arguments.used, correlation_used(job.study, importances, job.seeds), COLUMNS["correlation_used"])
    write_table(arguments.output, observed, COLUMNS["correlation"])


if __name__ == "__main__":
    run_program(main)
