"""How time and memory grow with samples, replicas and tasks."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import torch

from speed.setting import BATCH_SIZE, LEARNING_RATE, Setting, training_split
from speed.table import Row
from speed.timing import Contestant, Effort, race, summary
from speed.training import NETWORK, our_epoch
from speed.ways import ESTIMATORS
from weight_importance import estimate
from weight_importance.data.image_file import Dataset
from weight_importance.data.tasks import task_sequence
from weight_importance.learning.networks import NETWORKS
from weight_importance.learning.replicas import initialise
from weight_importance.learning.retention import Learning, retention

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sizes:
    """What the work grows with.

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
    data = training_split(dataset, steps * BATCH_SIZE, device)
    start = initialise(NETWORKS[NETWORK], range(count), device)
    return lambda: our_epoch(start.take(range(count)), range(count), data)


def _retention(dataset: Dataset, count: int, device: torch.device):
    """So many tasks after the first, each with its importances, under the penalty of the empirical Fisher."""
    settings = {
        "protocol": "held_out",
        "tasks": {"kind": "permuted", "count": count + 1},
        "images": {"training": 10 * BATCH_SIZE, "validation": BATCH_SIZE, "test": BATCH_SIZE},
    }
    tasks = task_sequence(settings, [dataset], device)
    start = initialise(NETWORKS[NETWORK], [0, 1], device)
    importance = {name: torch.ones_like(parameter) for name, parameter in start.parameters.items()}

    learning = Learning(
        samples=10 * BATCH_SIZE, images=None, epochs=1, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE,
        clamp_negative=True, penalty="plain", batch_norm="running", published=False,
    )  # fmt: skip

    def run() -> None:
        with redirect_stderr(StringIO()):  # the progress lines
            retention(start, [0, 1], [1.0], ["fisher_empirical"], [importance], tasks, learning)

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
        # a process of its own, whose peak is this importance's
        paths = os.pathsep.join(str(ROOT / folder) for folder in ("workflow/scripts", "tests/support"))
        command = [sys.executable, str(ROOT / "tests/support/peak_memory.py"), ESTIMATORS[0], str(count)]
        said = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": paths}, check=True, capture_output=True, text=True
        ).stdout
        before, peak = map(int, said.split())
        taken = peak - before
    measured = summary([taken / 2**20])
    return Row("scaling", "cnn", "memory against samples", ESTIMATORS[0], measured, "MiB", size=count)
