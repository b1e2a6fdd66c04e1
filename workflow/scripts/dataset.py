"""Fetch a data set, check every byte of it, and write it as one safetensors file."""

import argparse
import sys
from pathlib import Path

from weight_importance.data import catalogue as datasets
from weight_importance.runtime.errors import run_program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--dataset", required=True, help=f"one of: {', '.join(datasets.DATASETS)}")
    parser.add_argument("--output", required=True, type=Path, help="safetensors file to write")
    arguments = parser.parse_args()

    fetched = datasets.fetch(arguments.dataset)
    for failure in fetched.failures:
        print(f"skipped {failure}", file=sys.stderr)
    datasets.save(arguments.output, arguments.dataset, fetched)
    shapes = ", ".join(f"{role} {array.shape}" for role, array in fetched.arrays.items())
    print(f"{arguments.output}: {arguments.dataset} from {fetched.source}; {shapes}", file=sys.stderr)


if __name__ == "__main__":
    run_program(main)
