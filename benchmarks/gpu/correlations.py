"""Correlate stored importances on the CPU, a process for each seed.

Usage: ``python -m gpu.correlations STUDY FOLDER TABLE SEED ...``. FOLDER holds ``ESTIMATOR.st`` for every
estimator; TABLE is the CSV file to write.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file

from weight_importance.analysis.correlation import correlate
from weight_importance.runtime.errors import UserError


def of_seed(study: str, folder: Path, place: int, seed: int) -> pd.DataFrame:
    """The rows of one seed; an estimator whose importances are not finite is left out."""
    torch.set_num_threads(1)
    importances = {
        file.stem: {name: value[place : place + 1] for name, value in load_file(file).items()}
        for file in sorted(folder.glob("*.st"))
    }
    finite = {
        name: values for name, values in importances.items() if all(each.isfinite().all() for each in values.values())
    }
    for name in importances.keys() - finite.keys():
        print(f"seed {seed}: {name} is not finite and left out", flush=True)
    observed, _ = correlate(study, finite, [seed], permutations=1)
    return observed


def main() -> None:
    study, folder, table, *seeds = sys.argv[1:]
    path = Path(folder)
    numbers = [int(seed) for seed in seeds]
    with ProcessPoolExecutor(len(numbers), get_context("spawn")) as pool:
        tables = list(pool.map(partial(of_seed, study, path), range(len(numbers)), numbers))
    pd.concat(tables, ignore_index=True).to_csv(table, index=False, float_format="%.6g")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
