"""Time importances, training and scaling next to other implementations; write table, page and figures.

`make benchmark` runs this in an environment with the other libraries; libraries that are not installed are omitted.
"""

import argparse
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from speed import floor, importances, profile, report, scaling, table, training
from speed.peers import PEERS
from speed.setting import images, setting
from speed.timing import Effort
from speed.ways import COMPILED, FUNC, LOOP, OURS
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import UserError, run_program

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Plan:
    """How much to measure."""

    products: dict[str, tuple[int, int, int, int]]
    networks: dict[str, tuple[int, importances.Sizes]]  # name → (steps of training, numbers of samples)
    images: int
    replicas: tuple[int, ...]
    growth: scaling.Sizes
    effort: Effort
    growth_effort: Effort


def whole(rounds: int, cuda: bool) -> Plan:
    """The plan of the reported run; takes minutes."""
    return Plan(
        floor.PRODUCTS,
        {
            "mlp": (300, importances.Sizes(64, 5000, (64, 256, 1024, 4096), 5000)),
            "cnn": (20, importances.Sizes(16, 5000, (4, 16, 64, 256), 128)),
        },
        images=12000,
        replicas=(1, 2, 4, 8, 16, 64, 256) if cuda else (1, 2, 4, 8, 16),
        growth=scaling.Sizes(
            samples={"mlp": (500, 2000, 8000, 32000), "cnn": (50, 200, 800)},
            memory=(100, 400, 1600),
            replicas=(2, 4, 8, 16, 32),
            steps=30,
            tasks=(1, 2, 4, 8),
        ),
        effort=Effort(rounds, 0.4),
        growth_effort=Effort(3, 0),
    )


def quick(rounds: int) -> Plan:
    """The plan of a smoke test; takes seconds, and its times mean nothing."""
    return Plan(
        floor.SMALL_PRODUCTS,
        {"mlp": (2, importances.Sizes(6, 12, (4,), 12)), "cnn": (5, importances.Sizes(3, 4, (4,), 1))},
        images=200,
        replicas=(1, 2),
        growth=scaling.Sizes({"mlp": (8, 16), "cnn": (2, 4)}, memory=(2,), replicas=(2, 3), steps=2, tasks=(1, 2)),
        effort=Effort(rounds, 0),
        growth_effort=Effort(1, 0),
    )


def measure(plan: Plan, ways: list, device: torch.device, threads: int) -> list[table.Row]:
    """Measure all parts."""
    importances.say("matrix products")
    rows = floor.measure(plan.products, device, plan.effort)
    fastest, setting_of_it = floor.best(rows)
    product = floor.Product(plan.products[fastest], device, setting_of_it)
    dataset = images()
    settings = []
    for name, (steps, sizes) in plan.networks.items():
        settings.append(setting(name, dataset, sizes.most, steps, device))
        rows += importances.measure(settings[-1], ways, sizes, product, plan.effort)
        rows += importances.together(settings[-1], sizes.together, plan.effort)
    importances.say("training")
    rows += training.measure(dataset, plan.images, plan.replicas, product, device, threads, plan.effort)
    if device.type == "cpu":
        rows += profile.measure(plan.images, 4)
    importances.say("growth")
    rows += scaling.measure(settings, dataset, plan.growth, device, plan.growth_effort)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smoke test with tiny sizes")
    parser.add_argument("--without-peers", action="store_true", help="only torch and this project, nothing compiled")
    parser.add_argument("--rounds", type=int, default=5, help="of every comparison (default: 5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="CPU threads (default: all)")
    parser.add_argument("--output", type=Path, help="folder for the results (default: benchmarks/results/cpu or cuda)")
    parser.add_argument("--redraw", action="store_true", help="write page and figures from the existing table")
    arguments = parser.parse_args()
    if arguments.rounds < 3:
        raise UserError(f"--rounds is {arguments.rounds}; a median with its range needs at least 3")
    device = prepare(arguments.threads)
    folder = arguments.output or ROOT / "benchmarks/results" / ("quick" if arguments.quick else device.type)
    file = folder / "benchmark.csv"

    if arguments.redraw:
        report.write(folder, table.read(file))
        return
    ways = [LOOP, FUNC, OURS]
    if not arguments.without_peers:
        ways += importances.installed(PEERS)
        ways += [] if arguments.quick else [COMPILED]
    # torch's warnings to the authors of other libraries
    warnings.filterwarnings("ignore", message=".*backward hook")
    load = os.getloadavg()[0]
    if load > 0.5 and not arguments.quick:
        importances.say(f"warning: other programs are using the processor (load {load:.1f}): times will be too long")
    plan = quick(arguments.rounds) if arguments.quick else whole(arguments.rounds, device.type == "cuda")
    rows = measure(plan, ways, device, arguments.threads)
    folder.mkdir(parents=True, exist_ok=True)
    table.write(file, table.table(rows, device, arguments.threads))
    report.write(folder, table.read(file))
    print(f"written: {file}, speed.md and figures in the same folder")


if __name__ == "__main__":
    run_program(main)
