"""Measures the library on common networks, and writes ``benchmarks/results/models``.

Each method runs in a separate process with one thread, because peak memory is measured per process. Times are processor
seconds, which other programs disturb little. The methods take turns, and medians are over rounds. Earlier rows of the
table for other networks are kept.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models import report, ways
from models.networks import CASES

FOLDER = Path(__file__).resolve().parents[1] / "results/models"
PLANS = {
    **{name: ("loop", "estimate") for name in CASES},
    "ViT-B/16": ("loop", "estimate", "margins", "product"),
    "language model": ("loop", "estimate", "margins", "product"),
}
"""Network → the ways to compute its importances."""

ESTIMATORS = ("fisher_empirical", "mas")

SMALL = ("ResNet-18", "MobileNetV2", "LSTM", "GRU")
"""Networks for which the second estimator is measured as well."""


def run(name: str, way: str, estimator: str, file: Path, samples: int | None) -> dict[str, Any]:
    """The measurements of one method, from a separate process."""
    command = [sys.executable, __file__, "--one", name, way, estimator, str(file)]
    some = [] if samples is None else ["--samples", str(samples)]
    return json.loads(subprocess.run(command + some, check=True, capture_output=True, text=True).stdout)


def measure(name: str, estimator: str, rounds: int, samples: int | None) -> list[dict[str, Any]]:
    """A row for each way to compute a network's importances."""
    with tempfile.TemporaryDirectory() as scratch:
        files = {way: Path(scratch, f"{way}.safetensors") for way in PLANS[name]}
        runs = [{way: run(name, way, estimator, files[way], samples) for way in files} for _ in range(rounds)]
        errors = {way: ways.errors(files["loop"], files[way]) for way in files}
    rows = []
    for way in files:
        measurements = [each[way] for each in runs]
        ratios = [each["loop"]["seconds_per_sample"] / each[way]["seconds_per_sample"] for each in runs]
        rows.append(
            {"network": name, "estimator": estimator, "way": way}
            | {key: measurements[0][key] for key in ("parameters", "samples", "numbers")}
            | {
                key: median(each[key] for each in measurements)
                for key in ("seconds_per_sample", "seconds_fixed", "peak_mib")
            }
            | {"speed": median(ratios)}
            | errors[way]
        )
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
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
        print(json.dumps(ways.measured(name, way, estimator, Path(file), arguments.samples)))
        return
    for name in arguments.networks:
        for estimator in ESTIMATORS if name in SMALL else ESTIMATORS[:1]:
            report.add(arguments.output, measure(name, estimator, arguments.rounds, arguments.samples))


if __name__ == "__main__":
    main()
