"""Why importances agree: agreement against confidence, shared factors, and the ceiling that sampling noise sets."""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from weight_importance.analysis.explanation import (
    RANKED,
    agreement,
    entries,
    factor_contributions,
    noise,
    on_all_trajectories,
    on_trajectories,
    pairs,
    signal_contributions,
)
from weight_importance.data.image_file import common_form, load
from weight_importance.data.samples import Samples
from weight_importance.data.tasks.registry import sequences
from weight_importance.data.tasks.task import plain_task
from weight_importance.estimators import registry
from weight_importance.estimators.kinds import is_mean_of_samples
from weight_importance.estimators.weights import weight_names
from weight_importance.files import trained
from weight_importance.files.checkpoint import Checkpoint, made_from, tensor_text, text_tensor
from weight_importance.files.storage import write_table
from weight_importance.files.tables import COLUMNS, EXPLANATION
from weight_importance.learning.conditions import (
    Condition,
    Stacked,
    along_path,
    divided,
    of_replica,
    on_halves,
    retrained,
    sampled,
    smoothings,
    tempered,
    trajectories,
)
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import Replicas, initialise, restore
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.runtime.progress import counted
from weight_importance.settings import ExplanationJob

SIGNAL = "total_signal"
"""Set against all other estimators, whether listed or not."""

Rows = Iterator[tuple[str, tuple]]
"""A table's name and a row of it, but for the first column, the study."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--trained", type=Path, required=True, help=trained.FILES)
    parser.add_argument("--settings", type=ExplanationJob.parse, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    for table in EXPLANATION:
        parser.add_argument(f"--{option(table)}", type=Path, required=True, help=f"output: {table} (.csv)")
    arguments = parser.parse_args()
    job, device = arguments.settings, prepare(arguments.threads)

    chosen, names = job.explanation, job.explanation.estimators
    datasets = [load(file, job.inputs.padding) for file in arguments.data]
    build = network(job.network, *common_form(datasets), job.inputs)
    baseline = restore(build, trained.read(arguments.trained, job.seeds), device)
    of_path = along_path(divided(names)[0], trained.read_path(arguments.trained, job.seeds))
    plain = [plain_task(dataset, training=job.images).to(device) for dataset in datasets]
    tasks = sequences(job.tasks, plain, job.seeds)[0]
    samples, few = tasks[0].training.last(chosen.samples), tasks[0].training.at_most(chosen.images)

    registry.load(SIGNAL)
    files = [*arguments.data, *trained.file_names(arguments.trained).values()]
    origin = made_from("explanation", job.model_dump(mode="json"), job.seeds, files, device)
    checkpoint = Checkpoint(arguments.confidence, origin)
    found = {table: [] for table in EXPLANATION}

    def keep(rows: Iterable[tuple[str, Sequence]]) -> None:
        for table, row in rows:
            found[table].append((job.study, *row))

    kept = checkpoint.once(
        "temperatures",
        partial(at_temperatures, names, baseline, samples, chosen.temperatures, of_path),
    )
    keep(json.loads(tensor_text(kept.pop("rows"))))
    of_plain = unflat(kept, names, baseline.parameters)
    levels = chosen.epochs, chosen.label_smoothing
    degrees = smoothings(chosen.label_smoothing)
    for smoothing in counted(degrees, len(degrees), "degrees of label smoothing"):
        fresh = initialise(build, job.seeds, device)
        inputs = smoothing, names, fresh, few, few.last(chosen.samples), *levels, job.optimisation
        kept = checkpoint.once(
            f"label smoothing {smoothing}", partial(when_retrained, partial(retrained, *inputs), job.seeds)
        )
        keep(json.loads(tensor_text(kept["rows"])))
    further = chosen.trajectories
    later = [task.training.at_most(further.images) for task in tasks[1 : further.tasks]]
    reached = {}
    strengths = further.strengths.items()
    for name, strength in counted(strengths, len(strengths), "trajectories"):
        inputs = names, baseline, of_plain, later, chosen.samples, {name: strength}, job.learning, job.optimisation
        kept = checkpoint.once(f"trajectory of {name}", partial(on_one, name, partial(trajectories, *inputs)))
        reached[name] = [
            unflat(task_of(kept, task), names, baseline.parameters) for task in range(1, further.tasks + 1)
        ]
    keep(of_trajectories(names, reached, job.seeds))
    for table, rows in found.items():
        write_table(getattr(arguments, option(table)), pd.DataFrame(rows, columns=COLUMNS[table]), COLUMNS[table])
    checkpoint.remove()


def at_temperatures(
    names: Sequence[str],
    baseline: Replicas,
    samples: Samples,
    temperatures: Sequence[float],
    of_path: Stacked,
) -> dict[str, Tensor]:
    """Rows of every temperature, at temperature 1 those of factors, signal and noise, too, and the importances."""
    rows, plain, seeds = [], {}, baseline.seeds
    conditions = tempered(names, baseline, samples, temperatures, of_path)
    for condition in counted(conditions, len({1.0, *map(float, temperatures)}), "temperatures"):
        rows += of_condition(condition, seeds)
        if condition.level == 1:
            rows += of_factors(condition.importances, seeds)
            signal, _ = sampled([SIGNAL], baseline, [samples] * len(seeds))
            rows += of_signal(condition.importances, signal[SIGNAL], baseline, seeds)
            rows += of_noise(condition.importances, on_halves(names, baseline, samples), seeds)
            plain = flat(condition.importances)
    return {"rows": text_tensor(json.dumps(rows))} | plain


def when_retrained(conditions: Callable[[], Iterable[Condition]], seeds: Sequence[int]) -> dict[str, Tensor]:
    """Rows of the conditions that are trained for when they are called for."""
    rows = [row for condition in conditions() for row in of_condition(condition, seeds)]
    return {"rows": text_tensor(json.dumps(rows))}


def on_one(name: str, learn: Callable[[], dict[str, list[Stacked]]]) -> dict[str, Tensor]:
    """The importances on the trajectory under one estimator's penalty, by all, after 1, 2, ... tasks."""
    after = enumerate(learn()[name], start=1)
    return {f"{task}/{key}": value for task, importances in after for key, value in flat(importances).items()}


def task_of(kept: Mapping[str, Tensor], task: int) -> dict[str, Tensor]:
    """What :func:`on_one` has of one task."""
    start = f"{task}/"
    return {key.removeprefix(start): value for key, value in kept.items() if key.startswith(start)}


def flat(importances: Stacked) -> dict[str, Tensor]:
    """Importances by many estimators as one set of named tensors, ``{estimator}/{parameter}``."""
    return {f"{name}/{key}": value for name, of in importances.items() for key, value in of.items()}


def unflat(tensors: Mapping[str, Tensor], names: Sequence[str], keys: Iterable[str]) -> Stacked:
    """What :func:`flat` made one of, estimators and parameters in the order of ``names`` and ``keys``."""
    keys = [*keys]
    return {name: {key: tensors[f"{name}/{key}"] for key in keys} for name in names}


def option(table: str) -> str:
    """What the program calls a table."""
    return table.removeprefix("explanation_")


def of_condition(condition: Condition, seeds: Sequence[int]) -> Rows:
    """Confidence and agreement under one condition."""
    names = list(condition.importances)
    where = condition.name, condition.level
    for replica, seed in enumerate(seeds):
        for quantity, values in condition.confidence.items():
            yield "explanation_confidence", (*where, quantity, seed, values[replica])
        for tensor, values in entries(of_replica(condition.importances, replica)):
            for a, b, coefficient, value in pairs(names, agreement(values)):
                yield "explanation_agreement", (tensor, a, b, coefficient, *where, seed, value)


def of_factors(importances: Stacked, seeds: Sequence[int]) -> Rows:
    """What the factors of every weight tensor explain."""
    names = list(importances)
    for replica, seed in enumerate(seeds):
        whole = of_replica(importances, replica)
        for tensor in weight_names(whole[names[0]]):
            contributions = factor_contributions(torch.stack([of[tensor] for of in whole.values()]))
            for a, b, quantity, value in pairs(names, contributions):
                yield "explanation_factors", (tensor, a, b, quantity, seed, value)


def of_signal(importances: Stacked, signal: dict[str, torch.Tensor], baseline: Replicas, seeds: Sequence[int]) -> Rows:
    """What makes the total signal correlate with every other estimator in every weight tensor."""
    others = {name: of for name, of in importances.items() if name != SIGNAL}
    for replica, seed in enumerate(seeds):
        for tensor in weight_names({key: values[replica] for key, values in signal.items()}):
            stacked = torch.stack([of[tensor][replica] for of in others.values()])
            found = signal_contributions(baseline.parameters[tensor][replica], signal[tensor][replica], stacked)
            for quantity, values in found.items():
                for name, value in zip(others, values.tolist(), strict=True):
                    yield "explanation_signal", (tensor, name, quantity, seed, value)


def of_noise(importances: Stacked, halves: Sequence[Stacked], seeds: Sequence[int]) -> Rows:
    """Reliabilities, and correlations without sampling noise."""
    names = list(importances)
    means = torch.tensor([is_mean_of_samples(registry.load(name)) for name in names])
    for replica, seed in enumerate(seeds):
        tensors = (entries(of_replica(stacked, replica)) for stacked in (importances, *halves))
        for (tensor, full), (_, first), (_, second) in zip(*tensors, strict=True):
            for coefficient in RANKED:
                reliabilities, correlations = noise(full, first, second, coefficient, means)
                for quantity, values in reliabilities.items():
                    for name, value in zip(names, values.tolist(), strict=True):
                        yield "explanation_reliability", (tensor, name, coefficient, quantity, seed, value)
                for a, b, quantity, value in pairs(names, correlations):
                    yield "explanation_noise", (tensor, a, b, coefficient, quantity, seed, value)


def of_trajectories(names: Sequence[str], reached: Mapping[str, Sequence[Stacked]], seeds: Sequence[int]) -> Rows:
    """Correlations of all estimators on the same network, and of each on its own trajectory's, after every task."""
    own = [name for name in names if name in reached]
    places = torch.tensor([names.index(name) for name in own])
    for tasks_learnt, stacks in enumerate(zip(*(reached[name] for name in own), strict=True), start=1):
        for replica, seed in enumerate(seeds):
            for parts in zip(*(entries(of_replica(stack, replica)) for stack in stacks), strict=True):
                values = torch.stack([values for _, values in parts])
                for coefficient in RANKED:
                    tensor, after = parts[0][0], (tasks_learnt, seed)
                    for a, b, _, value in pairs(names, {"": on_all_trajectories(values, coefficient)}):
                        yield "explanation_shared", (tensor, a, b, coefficient, *after, value)
                    for a, b, quantity, value in pairs(own, on_trajectories(values[:, places], coefficient)):
                        yield "explanation_trajectories", (tensor, a, b, coefficient, quantity, *after, value)


if __name__ == "__main__":
    run_program(main)
