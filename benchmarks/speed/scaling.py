"""Growth of time and memory with samples, replicas and tasks."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import torch

from speed.setting import BATCH_SIZE, OPTIMISATION, Setting, training_samples
from speed.table import Row
from speed.timing import Contestant, Effort, race, summary
from speed.training import NETWORK, our_epoch
from speed.ways import ESTIMATORS
from weight_importance import estimate
from weight_importance.data.image_file import Dataset
from weight_importance.data.tasks.registry import sequences
from weight_importance.data.tasks.task import plain_task
from weight_importance.learning.grid import retention
from weight_importance.learning.networks import NETWORKS
from weight_importance.learning.replicas import initialise
from weight_importance.learning.retention import Weighting
from weight_importance.settings import Images, LaterTasks, PermutedTasks, RetentionJob

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the work.

    Attributes:
        samples: network → numbers of samples of an importance.
        memory: numbers of samples whose memory is measured.
        replicas: that train at once.
        steps: they train.
        tasks: learnt one after another under the penalty.
    """

    samples: Mapping[str, Sequence[int]]
    memory: Sequence[int]
    replicas: Sequence[int]
    steps: int
    tasks: Sequence[int]


def measure(
    settings: Sequence[Setting], dataset: Dataset, sizes: Sizes, device: torch.device, effort: Effort
) -> list[Row]:
    """Seconds against samples, replicas and tasks, and memory against samples."""
    rows = []
    for setting in settings:
        for estimator in ESTIMATORS if setting.name == NETWORK else ESTIMATORS[:1]:
            runs = {count: _importance(setting, estimator, count) for count in sizes.samples[setting.name]}
            rows += _grown("samples", setting.name, estimator, runs, effort)
    rows += _grown(
        "replicas", NETWORK, "training",
        {count: _training(dataset, count, sizes.steps, device) for count in sizes.replicas}, effort,
    )  # fmt: skip
    rows += _grown(
        "tasks", NETWORK, "retention", {count: _retention(dataset, count, device) for count in sizes.tasks}, effort
    )
    rows += [_memory(count, device, settings[-1]) for count in sizes.memory]
    return rows


def _grown(kind: str, network: str, who: str, runs: Mapping[int, object], effort: Effort) -> list[Row]:
    taken = race([Contestant(str(size), run) for size, run in runs.items()], effort)
    return [
        Row("scaling", network, f"time against {kind}", who, summary(taken[str(size)]), "s", size=size) for size in runs
    ]


def _importance(setting: Setting, estimator: str, count: int):
    order = torch.arange(count, device=setting.labels.device) % len(setting.labels)
    inputs, labels = setting.inputs[order], setting.labels[order]
    return lambda: estimate(estimator, setting.network, inputs, labels)


def _training(dataset: Dataset, count: int, steps: int, device: torch.device):
    data = training_samples(dataset, steps * BATCH_SIZE, device)
    start = initialise(NETWORKS[NETWORK], range(count), device)
    return lambda: our_epoch(start.take(range(count)), data)


def _retention(dataset: Dataset, count: int, device: torch.device):
    """Learn ``count`` tasks after the first under the penalty of the empirical Fisher."""
    images = Images(training=10 * BATCH_SIZE, validation=BATCH_SIZE, test=BATCH_SIZE)
    learning = LaterTasks(
        images=None, epochs=1, clamp_negative=True, accumulation="sum", decay=1.0, penalty="plain", batch_norm="running"
    )
    job = RetentionJob(
        study="scaling", seeds=[0, 1], network=NETWORK, datasets=["mnist_subset"], images=images,
        tasks=PermutedTasks(kind="permuted", count=count + 1, seed=0), optimisation=OPTIMISATION,
        train_on_validation=False, carry_adam=False, penalised_path=False, samples=10 * BATCH_SIZE, learning=learning,
        lambdas=[1.0],
    )  # fmt: skip
    tasks = sequences(job.tasks, [plain_task(dataset, **images.model_dump()).to(device)], job.seeds)
    start = initialise(NETWORKS[NETWORK], job.seeds, device)
    importance = {name: torch.ones_like(parameter) for name, parameter in start.parameters.items()}

    def run() -> None:
        with redirect_stderr(StringIO()):  # the progress lines
            retention(start, tasks, Weighting(["fisher_empirical"], [importance]), job)

    return run


def _memory(count: int, device: torch.device, setting: Setting) -> Row:
    """The memory that an importance of the convolutional network takes beyond network and samples."""
    if device.type == "cuda":
        run = _importance(setting, ESTIMATORS[0], count)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        taken = torch.cuda.max_memory_allocated() - before
    else:
        # a separate process, whose peak is that of this importance
        command = [sys.executable, str(ROOT / "benchmarks/peak_memory.py"), ESTIMATORS[0], str(count)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        before, peak = map(int, said.split())
        taken = peak - before
    measured = summary([taken / 2**20])
    return Row("scaling", "cnn", "memory against samples", ESTIMATORS[0], measured, "MiB", size=count)
