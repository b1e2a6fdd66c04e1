"""Retention under the published protocol (Kutalev and Lapina 2021) on the full data sets, and correlations.

The protocol: validation images are trained on, Adam's state is carried from task to task, six epochs per task, batches
of 100, importances over the last 5,000 training images, negative importances are not clamped, λ is selected on test
images. The work is cut into units: some penalty strengths of one estimator for some seeds. The rows of a unit are
written when it is finished, and a unit with existing rows is skipped, so that the same command continues. A unit that
does not fit into the time limit is left out.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gpu.setting import Optimisation, begin, parser
from gpu.study import JOBS, Images, Job, Study, Unit
from weight_importance.estimators.path import RECORDS

FIRST = {
    "cnn": {"fisher_empirical": (0.0, 675.0)},
    "mlp": {"fisher_empirical": (0.0, 41.0), "mas": (4.5,), "si": (0.25,), "total_signal": (0.1,)},
}
"""By estimator the penalty strengths of every seed; strength zero is the row ``none``."""

GRIDS = {
    "cnn": {"mas": (1000.0, 3000.0, 10000.0), "si": (100.0, 400.0, 1600.0), "total_signal": (0.2, 0.7, 2.5)},
    "mlp": {
        "fisher_empirical": (26.0, 33.0, 60.0),
        "mas": (3.0, 6.0, 10.0),
        "si": (0.17, 0.35, 0.5),
        "total_signal": (0.05, 0.2, 0.3),
    },
}
"""By estimator the penalty strengths of the coarse grid; all seeds learn under the best one."""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--network", choices=JOBS, required=True)
    arguments.add_argument("--seeds", type=int, default=20, help="number of seeds, at most")
    arguments.add_argument("--block", type=int, default=5, help="seeds in a unit")
    arguments.add_argument("--grid-seeds", type=int, default=None, help="seeds of the coarse grid (default: a block)")
    arguments.add_argument("--grids-of", nargs="*", help="estimators with a grid (default: all)")
    arguments.add_argument("--correlations", type=int, default=0, help="number of seeds for correlations (default: 0)")
    arguments.add_argument("--only-correlations", action="store_true", help="train the first task only")
    arguments.add_argument(
        "--dependent", action="store_true", help="leave out estimators that need independent batches in training"
    )
    options = arguments.parse_args()
    device = begin(options)
    job = JOBS[options.network]
    if options.quick:
        job = quick(job, full=bool(options.data))
        options.seeds, options.block = 3, 2
    study = Study(job, device, options.output, options.deadline)
    seeds = range(options.seeds)
    waiting = None
    if options.correlations:
        records = [name for name, one in RECORDS.items() if not (options.dependent and one.gradient == "independent")]
        some = [*seeds[: options.correlations]]
        study.train(some, records)
        folder = Path(os.environ.get("SCRATCH", tempfile.gettempdir())) / f"importances-{options.network}"
        folder.mkdir(parents=True, exist_ok=True)
        waiting = study.correlate(some, folder, options.output / f"correlation-{options.network}.csv")
    if not options.only_correlations:
        blocks = [tuple(seeds[start : start + options.block]) for start in range(0, len(seeds), options.block)]
        run_units(study, blocks, options)
    if waiting:
        waiting.wait(max(1.0, options.deadline - time.monotonic()))


def quick(job: Job, full: bool) -> Job:
    """Tiny sizes, on the subsets in the repository unless the full data sets are given."""
    return replace(
        job,
        datasets=job.datasets if full else tuple(f"{name}_subset" for name in job.datasets),
        tasks=replace(job.tasks, count=3),
        images=Images(200, 50, 50),
        optimisation=Optimisation(batch_size=10),
        learning=replace(job.learning, epochs=1),
        samples=20,
    )


def run_units(study: Study, blocks: Sequence[tuple[int, ...]], options: argparse.Namespace) -> None:
    """The first block under all strengths, then all blocks under the first strengths and the best of the grids."""
    first, grids = FIRST[study.job.network], GRIDS[study.job.network]
    if options.grids_of is not None:
        grids = {name: grid for name, grid in grids.items() if name in options.grids_of}
    grid_seeds = blocks[0][: options.grid_seeds]
    for name, strengths in first.items():
        study.run(Unit(name, strengths, blocks[0]))
    for name, strengths in grids.items():
        study.run(Unit(name, strengths, grid_seeds))
    for block in blocks:
        for name, strengths in first.items():
            study.run(Unit(name, strengths, block))
        for name in grids:
            if name not in first and name in study.averages().index.get_level_values("estimator"):
                study.run(Unit(name, (study.best(name, grid_seeds),), block))


if __name__ == "__main__":
    main()
