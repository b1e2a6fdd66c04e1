"""One network's study under the published protocol: its settings, the first task, later tasks, and correlations."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor

from gpu.setting import Optimisation, Table, dataset, is_path_estimator, synchronise
from weight_importance.data.image_file import common_form
from weight_importance.data.tasks.registry import sequences
from weight_importance.data.tasks.task import plain_task
from weight_importance.estimators import registry
from weight_importance.estimators.path import PathRecorder, importance
from weight_importance.files.tables import COLUMNS
from weight_importance.files.trained import AdamState
from weight_importance.learning.evaluation import accuracy
from weight_importance.learning.grid import retention
from weight_importance.learning.importance import stacked_importance
from weight_importance.learning.loop import train
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import Replicas, initialise
from weight_importance.learning.retention import Weighting

MARGIN = 1.15
"""Factor of the expected time of a unit: small units take longer per replica."""


@dataclass(frozen=True)
class Tasks:
    """A sequence of tasks; ``seed`` is that of permutations."""

    kind: str
    count: int
    seed: int = 0


@dataclass(frozen=True)
class Images:
    """The number of training, validation and test images of a data set; ``None`` for all."""

    training: int | None = None
    validation: int = 5000
    test: int | None = None


@dataclass(frozen=True)
class LaterTasks:
    """How each task after the first is learnt."""

    images: None = None
    epochs: int = 6
    iterations: None = None
    clamp_negative: bool = False
    accumulation: str = "sum"
    decay: float = 1.0
    penalty: str = "plain"
    batch_norm: str = "running"

    def steps(self, images: int, batch_size: int) -> int:
        """Optimiser steps on so many images; a last, smaller batch of an epoch is dropped."""
        return images // batch_size * self.epochs


@dataclass(frozen=True)
class Job:
    """The published protocol, like :class:`weight_importance.settings.RetentionJob` but without pydantic."""

    study: str
    network: str
    datasets: tuple[str, ...]
    tasks: Tasks
    images: Images = Images()
    optimisation: Optimisation = field(default_factory=Optimisation)
    learning: LaterTasks = LaterTasks()
    samples: int = 5000
    lambdas: tuple[float, ...] = ()
    train_on_validation: bool = True
    carry_adam: bool = True
    penalised_path: bool = True


JOBS = {
    "cnn": Job("cnn_mnist_fashion_published", "cnn", ("mnist", "fashion_mnist"), Tasks("rotated", 4)),
    "mlp": Job("mlp_permuted_mnist_published", "mlp", ("mnist",), Tasks("permuted", 10, 2022)),
}


@dataclass(frozen=True)
class Unit:
    """Penalty strengths of one estimator for some seeds."""

    estimator: str
    strengths: tuple[float, ...]
    seeds: tuple[int, ...]


@dataclass
class Study:
    """One network's study on one device.

    Attributes:
        job: the settings.
        device: to compute on.
        output: folder of the tables.
        deadline: on the monotonic clock.
        networks: by seed a stack of one replica that has learnt the first task, and its record.
        seconds_per_replica: of the latest unit.
    """

    job: Job
    device: torch.device
    output: Path
    deadline: float
    networks: dict[int, tuple[Replicas, Mapping[str, Mapping[str, Tensor]]]] = field(default_factory=dict)
    seconds_per_replica: float = 0.0

    def __post_init__(self) -> None:
        self.retention = Table(self.output / "retention.csv", COLUMNS["retention"])
        self.baseline = Table(self.output / "baseline.csv", COLUMNS["baseline"])
        columns = ("study", "what", "replicas", "replica_steps", "seconds", "replica_steps_per_s")
        self.durations = Table(self.output / "durations.csv", columns)
        job, datasets = self.job, [dataset(name) for name in self.job.datasets]
        plain = [
            plain_task(images, **vars(job.images), train_on_validation=job.train_on_validation).to(self.device)
            for images in datasets
        ]
        (self.tasks,) = sequences(job.tasks, plain, [0])  # the same for every seed
        self._build = network(job.network, *common_form(datasets))

    def rows(self) -> pd.DataFrame:
        """The rows of the study so far."""
        table = pd.read_csv(self.retention.path)
        return table[table["study"] == self.job.study]

    def train(self, seeds: Sequence[int], records: Sequence[str]) -> None:
        """Train the first task for seeds without a network, and write accuracies."""
        seeds = [seed for seed in seeds if seed not in self.networks]
        if not seeds:
            return
        replicas = initialise(self._build, seeds, self.device)
        recorder = PathRecorder(records)
        data, learning, optimisation = self.tasks[0].training, self.job.learning, self.job.optimisation
        start = time.monotonic()
        train(
            replicas,
            [data] * len(seeds),
            0,
            epochs=learning.epochs,
            optimisation=optimisation,
            recorder=recorder,
        )
        synchronise(self.device)
        steps = learning.steps(len(data), optimisation.batch_size) * len(seeds)
        self._took(f"first task, records {' '.join(records)}", len(seeds), steps, time.monotonic() - start)
        table = pd.read_csv(self.baseline.path)
        known = set(table[table["study"] == self.job.study]["seed"])
        for split in ("validation", "test"):
            values = zip(seeds, accuracy(replicas, [self.tasks[0].part(split)] * len(seeds)), strict=True)
            self.baseline.add(*((self.job.study, seed, split, value) for seed, value in values if seed not in known))
        recorded = recorder.recorded()
        for place, seed in enumerate(seeds):
            record = {
                key: {name: value[place : place + 1] for name, value in values.items()}
                for key, values in recorded.items()
            }
            self.networks[seed] = replicas.take([place]), record

    def stacked(self, seeds: Sequence[int]) -> tuple[Replicas, dict[str, dict[str, Tensor]]]:
        """Several seeds' networks as one stack, and the records that all of them have."""
        stacks, records = zip(*(self.networks[seed] for seed in seeds), strict=True)

        def joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
            return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

        adam = AdamState(
            stacks[0].adam.steps,
            joined([one.adam.first for one in stacks]),
            joined([one.adam.second for one in stacks]),
        )
        replicas = Replicas(
            stacks[0].template, joined([one.parameters for one in stacks]), joined([one.buffers for one in stacks]),
            [*seeds], adam,
        )  # fmt: skip
        shared = set.intersection(*(set(record) for record in records))
        return replicas, {key: joined([record[key] for record in records]) for key in shared}

    def importance(self, name: str, seeds: Sequence[int]) -> dict[str, Tensor]:
        """The first task's importances ``(S, *shape)``."""
        replicas, recorded = self.stacked(seeds)
        if is_path_estimator(name):
            return importance(registry.load(name), recorded)
        samples = self.tasks[0].training.last(self.job.samples)
        return stacked_importance(name, replicas, [samples] * len(seeds), 0)

    def run(self, unit: Unit) -> None:
        """Learn the later tasks and write the rows, unless they exist already or the time left is too short."""
        rows = self.rows()
        done = rows[rows["tasks_learnt"] == len(self.tasks)]

        def finished(strength: float, seed: int) -> bool:
            name = unit.estimator if strength else "none"
            return bool(((done["estimator"] == name) & (done["lambda"] == strength) & (done["seed"] == seed)).any())

        seeds = [seed for seed in unit.seeds if not all(finished(strength, seed) for strength in unit.strengths)]
        strengths = [strength for strength in unit.strengths if not all(finished(strength, seed) for seed in seeds)]
        if not seeds:
            return
        count = len(seeds) * len(strengths)
        left, needed = self.deadline - time.monotonic(), MARGIN * count * self.seconds_per_replica
        if needed > left:
            print(f"left out: {unit}, needs {needed:.0f} s of {left:.0f} s", flush=True)
            return
        self.train(seeds, ("path_integral",))
        start = time.monotonic()
        weighting = Weighting([unit.estimator], [self.importance(unit.estimator, seeds)])
        job = replace(self.job, lambdas=tuple(strengths))
        observations = retention(self.stacked(seeds)[0], [self.tasks] * len(seeds), weighting, job)
        seconds = time.monotonic() - start
        self.seconds_per_replica = seconds / count
        steps = sum(job.learning.steps(len(task.training), job.optimisation.batch_size) for task in self.tasks[1:])
        self._took(f"{unit.estimator} {strengths}", count, steps * count, seconds)
        self.retention.add(
            *(
                (
                    job.study, unit.estimator if seen.strength else "none", seen.strength, seen.seed,
                    seen.tasks_learnt, seen.task, seen.split, seen.accuracy,
                )
                for seen in observations
            )
        )  # fmt: skip
        self.show()

    def show(self) -> None:
        """Print the mean test accuracy over the tasks after the last task, with its standard deviation over seeds."""
        for (name, strength), values in self.averages().groupby(level=["estimator", "lambda"]):
            print(
                f"{self.job.network} {name:18} λ {strength:8g}: {100 * values.mean():6.2f} ± {100 * values.std():.2f} "
                f"% ({len(values)} seeds)",
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
        """Compute importances by every estimator, and start a process that correlates them on the CPU into a table."""
        start = time.monotonic()
        _, recorded = self.stacked(seeds)
        for name in registry.names():
            if is_path_estimator(name) and not set(registry.load(name).records) <= set(recorded):
                print(f"{name} is left out of the correlations: its records need twice the gradients", flush=True)
                continue
            values = self.importance(name, seeds)
            save_file({key: value.detach().cpu().contiguous() for key, value in values.items()}, scratch / f"{name}.st")
        print(f"{self.job.network}: importances by all estimators in {time.monotonic() - start:.1f} s", flush=True)
        arguments = [self.job.study, str(scratch), str(table), *map(str, seeds)]
        return subprocess.Popen([sys.executable, "-m", "gpu.correlations", *arguments])

    def _took(self, what: str, replicas: int, steps: int, seconds: float) -> None:
        self.durations.add((self.job.study, what, replicas, steps, f"{seconds:.2f}", f"{steps / seconds:.0f}"))
        rate = f"{steps / seconds:,.0f} replica-steps/s"
        print(f"{self.job.network} {what}: {replicas} replicas, {seconds:.1f} s, {rate}", flush=True)
