"""Retention under the published protocol (Kutalev and Lapina 2021) on the full data sets, and correlations.

The protocol: validation images are trained on, Adam's state is carried from task to task, six epochs a task, batches
of 100, importances over the last 5,000 training images, negative importances are not clamped, λ is selected on test
images.
The work is cut into units: some penalty strengths of one estimator for some seeds. A unit's rows are written when it is
finished, and a unit whose rows are there already is skipped, so that the same command continues. A unit that would not
fit into the time limit is left out.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor

from gpu.setting import BATCH_SIZE, LEARNING_RATE, Table, begin, dataset, parser, synchronise
from weight_importance.data.tasks import TaskSequence, task_sequence
from weight_importance.estimators import registry
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.path import RECORDS, PathRecorder, importance
from weight_importance.files.tables import COLUMNS
from weight_importance.files.trained import AdamState
from weight_importance.learning.evaluation import accuracy
from weight_importance.learning.loop import train
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import Replicas, initialise
from weight_importance.learning.retention import Learning, retention, stacked_importance

STUDIES = {"cnn": "cnn_mnist_fashion_published", "mlp": "mlp_permuted_mnist_published"}
SETTINGS = {
    "cnn": {
        "network": "cnn",
        "datasets": ["mnist", "fashion_mnist"],
        "protocol": "published",
        "tasks": {"kind": "rotated", "count": 4},
        "images": {"training": None, "validation": 5000, "test": None},
    },
    "mlp": {
        "network": "mlp",
        "datasets": ["mnist"],
        "protocol": "published",
        "tasks": {"kind": "permuted", "count": 10, "seed": 2022},
        "images": {"training": None, "validation": 5000, "test": None},
    },
}
EPOCHS, SAMPLES = 6, 5000

MARGIN = 1.15
"""Of the time that a unit is expected to take: small units are slower for each replica."""

FIRST = {
    "cnn": {"fisher_empirical": [0.0, 675.0]},
    "mlp": {"fisher_empirical": [0.0, 41.0], "mas": [4.5], "si": [0.25], "total_signal": [0.1]},
}
"""By estimator the penalty strengths that every seed learns under; strength zero is the row ``none``."""

GRIDS = {
    "cnn": {
        "mas": [1000.0, 3000.0, 10000.0],
        "si": [100.0, 400.0, 1600.0],
        "total_signal": [0.2, 0.7, 2.5],
    },
    "mlp": {
        "fisher_empirical": [26.0, 33.0, 60.0],
        "mas": [3.0, 6.0, 10.0],
        "si": [0.17, 0.35, 0.5],
        "total_signal": [0.05, 0.2, 0.3],
    },
}
"""By estimator the penalty strengths of the coarse grid; the best one is learnt under by all seeds."""


@dataclass(frozen=True)
class Unit:
    """Penalty strengths of one estimator for some seeds."""

    estimator: str
    strengths: tuple[float, ...]
    seeds: tuple[int, ...]


class Work:
    """One network's study on one device.

    Args:
        name: ``mlp`` or ``cnn``.
        tasks: the sequence.
        device: to compute on.
        output: folder of the tables.
        deadline: on the monotonic clock.
    """

    def __init__(self, name: str, tasks: TaskSequence, device: torch.device, output: Path, deadline: float) -> None:
        self.name, self.study, self.tasks, self.device, self.deadline = name, STUDIES[name], tasks, device, deadline
        self.retention = Table(output / "retention.csv", COLUMNS["retention"])
        self.baseline = Table(output / "baseline.csv", COLUMNS["baseline"])
        self.durations = Table(
            output / "durations.csv", ("study", "what", "replicas", "replica_steps", "seconds", "replica_steps_per_s")
        )
        self.networks: dict[int, tuple[Replicas, AdamState, dict[str, dict[str, Tensor]]]] = {}
        self.seconds_per_replica: float | None = None
        self.learning = Learning(
            samples=SAMPLES, images=None, epochs=EPOCHS, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE,
            clamp_negative=False, penalty="plain", batch_norm="running", published=True,
        )  # fmt: skip

    def rows(self) -> pd.DataFrame:
        """The study's rows so far."""
        table = pd.read_csv(self.retention.path)
        return table[table["study"] == self.study]

    def train(self, seeds: Sequence[int], records: Sequence[str]) -> None:
        """Train the first task and write accuracies; networks that are there already stay."""
        seeds = [seed for seed in seeds if seed not in self.networks]
        if not seeds:
            return
        replicas = initialise(network(SETTINGS[self.name]["network"]), seeds, self.device)
        recorder = PathRecorder(records)
        data = self.tasks.part(0, "training")
        start = time.monotonic()
        adam = train(
            replicas, seeds, data, 0, epochs=self.learning.epochs, batch_size=self.learning.batch_size,
            learning_rate=self.learning.learning_rate, recorder=recorder,
        )  # fmt: skip
        synchronise(self.device)
        steps = len(data) // self.learning.batch_size * self.learning.epochs * len(seeds)
        self._took(f"first task, records {' '.join(records)}", len(seeds), steps, time.monotonic() - start)
        found = pd.read_csv(self.baseline.path)
        known = set(found[found["study"] == self.study]["seed"])
        for split in ("validation", "test"):
            values = accuracy(replicas, self.tasks.part(0, split))
            self.baseline.add(
                *((self.study, seed, split, value) for seed, value in zip(seeds, values, strict=True)
                  if seed not in known)
            )  # fmt: skip
        recorded = recorder.recorded()
        for place, seed in enumerate(seeds):
            own = {key: {name: value[place : place + 1] for name, value in of.items()} for key, of in recorded.items()}
            self.networks[seed] = replicas.take([place]), adam.take([place]), own

    def stacked(self, seeds: Sequence[int]) -> tuple[Replicas, AdamState, dict[str, dict[str, Tensor]]]:
        """Networks, Adam's state and records of several seeds."""
        parts = [self.networks[seed] for seed in seeds]

        def joined(several: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
            return {name: torch.cat([one[name] for one in several]) for name in several[0]}

        replicas = Replicas(
            parts[0][0].template,
            joined([part[0].parameters for part in parts]),
            joined([part[0].buffers for part in parts]),
        )
        adam = AdamState(
            parts[0][1].steps, joined([part[1].first for part in parts]), joined([part[1].second for part in parts])
        )
        shared = set.intersection(*(set(part[2]) for part in parts))
        return replicas, adam, {key: joined([part[2][key] for part in parts]) for key in shared}

    def importance(self, name: str, seeds: Sequence[int]) -> dict[str, Tensor]:
        """The first task's importances ``(S, *shape)``."""
        replicas, _, recorded = self.stacked(seeds)
        estimator = registry.load(name)
        if isinstance(estimator, PathEstimator):
            return importance(estimator, recorded)
        data = self.tasks.part(0, "training").last(self.learning.samples)
        return stacked_importance(name, replicas, data, seeds, 0)

    def run(self, unit: Unit) -> bool:
        """Learn the later tasks and write the rows; returns whether they are there now."""
        rows = self.rows()
        done = rows[rows["tasks_learnt"] == len(self.tasks)]

        def finished(strength: float, seed: int) -> bool:
            name = unit.estimator if strength else "none"
            found = (done["estimator"] == name) & (done["lambda"] == strength) & (done["seed"] == seed)
            return bool(found.any())

        seeds = [seed for seed in unit.seeds if not all(finished(strength, seed) for strength in unit.strengths)]
        strengths = [strength for strength in unit.strengths if not all(finished(strength, seed) for seed in seeds)]
        if not seeds:
            return True
        count = len(seeds) * len(strengths)
        left = self.deadline - time.monotonic()
        needed = MARGIN * count * (self.seconds_per_replica or 0.0)
        if needed > left:
            print(f"left out: {unit}, needs {needed:.0f} s of {left:.0f} s", flush=True)
            return False
        self.train(seeds, ("path_integral",))
        start = time.monotonic()
        replicas, adam, _ = self.stacked(seeds)
        observations = retention(
            replicas, seeds, strengths, [unit.estimator], [self.importance(unit.estimator, seeds)], self.tasks,
            self.learning, adam=adam,
        )  # fmt: skip
        seconds = time.monotonic() - start
        self.seconds_per_replica = seconds / count
        steps = sum(size // self.learning.batch_size for size in self.tasks.training_sizes()[1:])
        self._took(f"{unit.estimator} {strengths}", count, steps * self.learning.epochs * count, seconds)
        self.retention.add(
            *(
                (
                    self.study,
                    unit.estimator if strengths[seen.replica % len(strengths)] else "none",
                    strengths[seen.replica % len(strengths)],
                    seeds[seen.replica // len(strengths)],
                    seen.tasks_learnt, seen.task, seen.split, seen.accuracy,
                )
                for seen in observations
            )
        )  # fmt: skip
        self.show()
        return True

    def show(self) -> None:
        """Print mean test accuracy over the tasks after the last task, with its standard deviation over seeds."""
        for (name, strength), values in self.averages().groupby(level=["estimator", "lambda"]):
            print(
                f"{self.name} {name:18} λ {strength:8g}: {100 * values.mean():6.2f} ± {100 * values.std():.2f} % "
                f"({len(values)} seeds)",
                flush=True,
            )

    def averages(self) -> pd.Series:
        """Mean test accuracy over all tasks after the last one, by estimator, λ and seed."""
        rows = self.rows()
        last = rows[(rows["tasks_learnt"] == len(self.tasks)) & (rows["split"] == "test")]
        return last.groupby(["estimator", "lambda", "seed"])["accuracy"].mean()

    def best(self, estimator: str, seeds: Sequence[int]) -> float:
        """The strength with the highest mean test accuracy over some seeds."""
        averages = self.averages().loc[estimator]
        averages = averages[averages.index.get_level_values("seed").isin(seeds)]
        return float(averages.groupby(level="lambda").mean().idxmax())

    def correlate(self, seeds: Sequence[int], scratch: Path, table: Path) -> subprocess.Popen:
        """Compute importances by every estimator and start a process that correlates them on the CPU into a table."""
        start = time.monotonic()
        _, _, recorded = self.stacked(seeds)
        for name in registry.names():
            estimator = registry.load(name)
            if isinstance(estimator, PathEstimator) and not set(estimator.records) <= set(recorded):
                print(f"{name} is left out of the correlations: its records need twice the gradients", flush=True)
                continue
            values = self.importance(name, seeds)
            save_file({key: value.detach().cpu().contiguous() for key, value in values.items()}, scratch / f"{name}.st")
        print(f"{self.name}: importances by all estimators in {time.monotonic() - start:.1f} s", flush=True)
        command = [sys.executable, "-m", "gpu.correlations", self.study, str(scratch), str(table), *map(str, seeds)]
        return subprocess.Popen(command)

    def _took(self, what: str, replicas: int, steps: int, seconds: float) -> None:
        self.durations.add((self.study, what, replicas, steps, f"{seconds:.2f}", f"{steps / seconds:.0f}"))
        rate = f"{steps / seconds:,.0f} replica-steps/s"
        print(f"{self.name} {what}: {replicas} replicas, {seconds:.1f} s, {rate}", flush=True)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--network", choices=STUDIES, required=True)
    arguments.add_argument("--seeds", type=int, default=20, help="at most")
    arguments.add_argument("--block", type=int, default=5, help="seeds in a unit")
    arguments.add_argument("--grid-seeds", type=int, default=None, help="seeds of the coarse grid (default: a block)")
    arguments.add_argument("--grids-of", nargs="*", help="estimators with a grid (default: all)")
    arguments.add_argument("--correlations", type=int, default=0, help="correlate all estimators for so many seeds")
    arguments.add_argument("--only-correlations", action="store_true", help="train the first task only")
    arguments.add_argument(
        "--dependent", action="store_true", help="leave out estimators that need independent batches while training"
    )
    options = arguments.parse_args()
    device = begin(options)
    settings = SETTINGS[options.network]
    if options.quick:
        global SAMPLES, EPOCHS
        SAMPLES, EPOCHS = 20, 1
        settings = settings | {"images": {"training": 200, "validation": 50, "test": 50}}
        settings["tasks"] = settings["tasks"] | {"count": 3}
        options.seeds, options.block = 3, 2
        if not options.data:
            settings["datasets"] = [f"{name}_subset" for name in settings["datasets"]]
    tasks = task_sequence(settings, [dataset(name) for name in settings["datasets"]], device)
    work = Work(options.network, tasks, device, options.output, options.deadline)
    seeds = range(options.seeds)
    blocks = [tuple(seeds[start : start + options.block]) for start in range(0, len(seeds), options.block)]
    waiting = None
    if options.correlations:
        wanted = [name for name, one in RECORDS.items() if not (options.dependent and one.gradient == "independent")]
        work.train(seeds[: options.correlations], wanted)
        folder = Path(os.environ.get("SCRATCH", tempfile.gettempdir())) / f"importances-{options.network}"
        folder.mkdir(parents=True, exist_ok=True)
        table = options.output / f"correlation-{options.network}.csv"
        waiting = work.correlate(list(seeds[: options.correlations]), folder, table)
    if not options.only_correlations:
        units(work, blocks, options)
    if waiting:
        waiting.wait(max(1.0, options.deadline - time.monotonic()))


def units(work: Work, blocks: Sequence[tuple[int, ...]], options) -> None:
    """The first block under all strengths, then further blocks under the first strengths and the best of the grids."""
    first, grids = FIRST[work.name], GRIDS[work.name]
    if options.grids_of is not None:
        grids = {name: grid for name, grid in grids.items() if name in options.grids_of}
    grid_seeds = blocks[0][: options.grid_seeds]
    for name, strengths in first.items():
        work.run(Unit(name, tuple(strengths), blocks[0]))
    for name, strengths in grids.items():
        work.run(Unit(name, tuple(strengths), grid_seeds))
    for block in blocks:
        for name, strengths in first.items():
            work.run(Unit(name, tuple(strengths), block))
        for name in grids:
            if name not in first and name in work.averages().index.get_level_values("estimator"):
                work.run(Unit(name, (work.best(name, grid_seeds),), block))


if __name__ == "__main__":
    main()
