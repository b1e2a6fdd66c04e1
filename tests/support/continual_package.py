"""The package's continual run in the terms of ``continual_reference``: the one place where the tests call its API."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from continual_reference import Run, Settings
from weight_importance.data.tasks import TaskSequence, task_sequence
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.path import PathRecorder, importance
from weight_importance.estimators.registry import load
from weight_importance.files.checkpoint import Checkpoint
from weight_importance.learning.ablation_names import parse
from weight_importance.learning.ablations import transform
from weight_importance.learning.loop import train_by_epochs
from weight_importance.learning.replicas import initialise
from weight_importance.learning.retention import Learning, retention, stacked_importance


def tasks_of(datasets: list, s: Settings) -> TaskSequence:
    published = s.train_on_validation
    assert published == s.carry_adam == s.penalised_path, "one switch"
    tasks = {"kind": s.kind, "count": s.count} | ({"seed": s.tasks_seed} if s.kind == "permuted" else {})
    images = {"training": s.training, "validation": s.validation, "test": s.test}
    protocol = "published" if published else "held_out"
    return task_sequence({"protocol": protocol, "tasks": tasks, "images": images}, datasets, torch.device("cpu"))


class States:
    """A checkpoint that keeps what it is given of every block after every task, in memory, and is never gone on from."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Tensor]] = []

    def load(self) -> dict[str, Tensor]:
        return {}

    def save(self, tensors: dict[str, Tensor]) -> None:
        self.kept.append({name: value.clone() for name, value in tensors.items()})


def package_run(
    build: Callable[[], nn.Module],
    datasets: list,
    seeds: Sequence[int],
    strengths: Sequence[float],
    s: Settings,
    checkpoint: Checkpoint | None = None,
    most_bytes: int | None = None,
) -> dict[tuple[int, float], Run]:
    """By seed and strength: all accuracies, and weights and importance where the checkpoint is given them."""
    tasks, states = tasks_of(datasets, s), States()
    replicas = initialise(build, seeds)
    records = {record for name in s.estimators if isinstance(load(name), PathEstimator) for record in load(name).records}
    recorder = PathRecorder(sorted(records))
    data = tasks.part(0, "training")
    training = {"batch_size": s.batch_size, "learning_rate": s.learning_rate}
    adam = train_by_epochs(replicas, seeds, data, 0, recorder, epochs=s.epochs, **training)
    importances = [
        importance(load(name), recorder.recorded())
        if isinstance(load(name), PathEstimator)
        else stacked_importance(name, replicas, data.last(s.samples), seeds, 0)
        for name in s.estimators
    ]
    learning = Learning(
        samples=s.samples, images=s.images, epochs=s.later_epochs, clamp_negative=s.clamp_negative, penalty=s.penalty,
        batch_norm=s.batch_norm, published=s.carry_adam, accumulation=s.accumulation, decay=s.decay, **training,
    )  # fmt: skip
    observations = retention(
        replicas, seeds, strengths, s.estimators, importances, tasks, learning, adam if s.carry_adam else None,
        most_bytes, s.ablation and transform(parse(s.ablation)), checkpoint or states,
    )  # fmt: skip
    runs = [Run() for _ in seeds for _ in strengths]
    for seen in observations:
        runs[seen.replica].accuracies[seen.tasks_learnt, seen.task, seen.split] = seen.accuracy
    for kept in states.kept:
        for row, replica in enumerate(kept["numbers"].tolist() if "learnt" in kept else []):
            for prefix, into in (("parameter/", "weights"), ("importance/", "importance")):
                values = {name.removeprefix(prefix): kept[name][row] for name in kept if name.startswith(prefix)}
                getattr(runs[replica], into)[int(kept["learnt"])] = values
    return {
        (seed, strength): runs[index * len(strengths) + place]
        for index, seed in enumerate(seeds)
        for place, strength in enumerate(strengths)
    }
