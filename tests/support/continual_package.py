"""The package's continual run with the interface of ``continual_reference``; the only place that calls its API."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from continual_reference import Run, Settings
from weight_importance.data.samples import once_each
from weight_importance.data.tasks.registry import sequences
from weight_importance.data.tasks.task import plain_task
from weight_importance.estimators.registry import recorder
from weight_importance.files.checkpoint import Checkpoint
from weight_importance.learning.ablations import ablated
from weight_importance.learning.first_task import learn_first_task
from weight_importance.learning.grid import Kept, retention
from weight_importance.learning.heads import heads
from weight_importance.learning.importance import path_estimators, stacked_importances
from weight_importance.learning.replicas import initialise
from weight_importance.learning.retention import Weighting
from weight_importance.settings import Duration, RetentionJob
from weight_importance.settings.ablation_names import parse

OF_KIND = {
    "permuted": lambda s: {"seed": s.tasks_seed},
    "rotated": lambda s: {},
    "split": lambda s: {key: getattr(s, key) for key in ("classes", "scenario", "order")},
}
"""Settings of tasks by kind, without their number."""


def job_of(s: Settings, seeds: Sequence[int], strengths: Sequence[float]) -> RetentionJob:
    protocol = {key: getattr(s, key) for key in ("train_on_validation", "carry_adam", "penalised_path")}
    same = ("images", "clamp_negative", "penalty", "accumulation", "decay", "task_weights", "batch_norm")
    return RetentionJob(
        study="study", seeds=tuple(seeds), lambdas=tuple(strengths), network="network", datasets=("data",),
        after_every_task=s.after_every_task,
        tasks={"kind": s.kind, "count": s.count} | OF_KIND[s.kind](s),
        images={"training": s.training, "validation": s.validation, "test": s.test},
        optimisation={"batch_size": s.batch_size, "learning_rate": s.learning_rate}, samples=s.samples, **protocol,
        learning={key: getattr(s, key) for key in same} | s.durations["later"],
    )  # fmt: skip


class States:
    """Keeps the state of every block after every task in memory; no run continues from it."""

    def __init__(self) -> None:
        self.saved: list[dict[str, Tensor]] = []

    def load(self) -> dict[str, Tensor]:
        return {}

    def save(self, tensors: dict[str, Tensor]) -> None:
        self.saved.append({name: value.clone() for name, value in tensors.items()})


def package_run(
    build: Callable[[], nn.Module],
    datasets: list,
    seeds: Sequence[int],
    strengths: Sequence[float],
    s: Settings,
    kept: Kept | None = None,
) -> dict[tuple[int, float], Run]:
    """By seed and strength: all accuracies, and without ``kept`` the weights and importances before the last task."""
    job, states = job_of(s, seeds, strengths), States()
    plain = [plain_task(dataset, s.training, s.validation, s.test, s.train_on_validation) for dataset in datasets]
    tasks = sequences(job.tasks, plain, seeds)
    replicas = initialise(build, seeds)
    path = recorder(*path_estimators(s.estimators))
    first = [each[0] for each in tasks]
    learn_first_task(replicas, first, path, duration=Duration(**s.durations["first"]), optimisation=job.optimisation)
    samples = once_each(lambda task: task.training.last(s.samples), first)
    with heads(replicas, first) as headed:
        importances = stacked_importances(s.estimators, headed, samples, (0,), path.importances())
    ablation = s.ablation and partial(ablated, parse(s.ablation))
    weighting = Weighting(s.estimators, [*importances.values()], ablation, s.joint)
    observations = retention(replicas, tasks, weighting, job, kept or Kept(states, States()))
    runs = {(seed, strength): Run() for seed in seeds for strength in strengths}
    for seen in observations:
        runs[seen.seed, seen.strength].accuracies[seen.tasks_learnt, seen.task, seen.split] = seen.accuracy
    for state in states.saved:
        for row, (seed, strength) in enumerate(state["cells"].tolist()):
            for prefix, of_run in (
                ("parameter/", runs[seed, strength].weights), ("importance/", runs[seed, strength].importance)
            ):  # fmt: skip
                of_run[int(state["learnt"])] = {
                    name.removeprefix(prefix): values[row] for name, values in state.items() if name.startswith(prefix)
                }
    return runs


def kept_in(folder: Path, checkpoint: type[Checkpoint]) -> Kept:
    """Checkpoints next to a result in ``folder``; that of the state after a task has the given class."""
    origin = {"code": "1"}
    return Kept(checkpoint(folder / "x.csv", origin), Checkpoint(folder / "x.csv", origin, "strengths"))
