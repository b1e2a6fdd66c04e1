"""Measures the library on common networks, and writes ``benchmarks/results/models``.

Each method runs in a separate process with one thread, because peak memory is measured per process. Times are processor
seconds, which other programs disturb little. The methods take turns, and medians are over rounds. Earlier rows of the
table for other networks are kept. Libraries that are not installed are left out.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models import report, ways
from models.networks import CASES
from speed.importances import installed

FOLDER = Path(__file__).resolve().parents[1] / "results/models"
PLANS = {
    **{name: ("loop", "estimate") for name in CASES},
    "ResNet-18": ("loop", "estimate", *ways.PEERS),
    "ViT-B/16": ("loop", "estimate", "margins", "product", *ways.PEERS),
    "language model": ("loop", "estimate", "margins", "product"),
}
"""Network → the ways to compute its importances; other libraries only the first estimator."""

ESTIMATORS = ("fisher_empirical", "mas")

SMALL = ("ResNet-18", "MobileNetV2", "LSTM", "GRU")
"""Networks for which the second estimator is measured as well."""

MEASURED = ("seconds_per_sample", "seconds_fixed", "peak_mib")
"""Columns with medians over rounds."""


def run(name: str, way: str, estimator: str, file: Path, samples: int | None) -> dict[str, Any]:
    """The measurements of one method, from a separate process."""
    command = [sys.executable, __file__, "--one", name, way, estimator, str(file)]
    some = [] if samples is None else ["--samples", str(samples)]
    return json.loads(subprocess.run(command + some, check=True, capture_output=True, text=True).stdout)


def measure(name: str, chosen: Sequence[str], estimator: str, rounds: int, samples: int | None) -> list[dict[str, Any]]:
    """A row for each chosen way to compute a network's importances."""
    with tempfile.TemporaryDirectory() as scratch:
        files = {way: Path(scratch, f"{number}.safetensors") for number, way in enumerate(chosen)}
        runs = [{way: run(name, way, estimator, files[way], samples) for way in files} for _ in range(rounds)]
        errors = {way: ways.errors(files["loop"], file) for way, file in files.items() if file.is_file()}
    rows = []
    for way in chosen:
        measurements = [each[way] for each in runs]
        failures = [each["failure"] for each in measurements if "failure" in each]
        row = {"network": name, "estimator": estimator, "way": way}
        row |= {key: runs[0]["loop"][key] for key in ("parameters", "samples")}
        if failures:
            row["failure"] = failures[0]
        else:
            ratios = [each["loop"]["seconds_per_sample"] / each[way]["seconds_per_sample"] for each in runs]
            row |= {"numbers": measurements[0]["numbers"]}
            row |= {key: median(each[key] for each in measurements) for key in MEASURED}
            row |= {"speed": median(ratios)} | errors[way]
        print(json.dumps(row), file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, help="number of samples, for a trial (default: all)")
    parser.add_argument("--networks", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--one", nargs=4, metavar=("NETWORK", "WAY", "ESTIMATOR", "FILE"), help="in this process")
    parser.add_argument("--output", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    if arguments.one:
        name, way, estimator, file = arguments.one
        print(json.dumps(ways.attempted(name, way, estimator, Path(file), arguments.samples)))
        return
    available = {way.who for way in installed([*ways.PEERS.values()])}
    for name in arguments.networks:
        for estimator in ESTIMATORS if name in SMALL else ESTIMATORS[:1]:
            peers = available if estimator == ESTIMATORS[0] else set()
            chosen = [way for way in PLANS[name] if way not in ways.PEERS or way in peers]
            report.add(arguments.output, measure(name, chosen, estimator, arguments.rounds, arguments.samples))


if __name__ == "__main__":
    main()
