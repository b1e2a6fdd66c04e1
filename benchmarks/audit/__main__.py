"""Run the libraries, compare with the formulas and the exact quantities, write the CSV and the table of docs/audit.md.

``make audit`` runs this in an environment that contains the libraries.
"""

import warnings
from importlib.metadata import version

import torch

from audit.entries import ENTRIES, PACKAGES, SOURCES
from audit.setting import NETWORKS, case
from audit.table import relative_error, write


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_default_dtype(torch.float64)  # some libraries allocate in the default precision
    rows = []
    for entry in ENTRIES:
        for network in NETWORKS:
            made = case(network, entry.batch)
            formula, exact = entry.computes(made), entry.exact(made)
            observed = entry.run(made) if entry.run else formula
            rows.append(
                {
                    "library": entry.library,
                    "version": SOURCES.get(entry.library) or version(PACKAGES[entry.library]),
                    "call": entry.call,
                    "network": network,
                    "error": f"{relative_error(observed, exact):.3e}",
                    "formula_error": f"{relative_error(observed, formula):.3e}" if entry.run else "",
                    "torch": torch.__version__.partition("+")[0],
                }
            )
            print(*rows[-1].values(), sep=", ")
    write(rows)


if __name__ == "__main__":
    main()
