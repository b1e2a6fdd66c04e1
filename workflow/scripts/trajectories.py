"""Learn later tasks under each estimator's penalty, and correlate the accumulated importances by all estimators."""

import argparse
from pathlib import Path

import pandas as pd
import torch

from weight_importance.analysis.trajectories import trajectories
from weight_importance.data.image_file import common_form, load
from weight_importance.data.samples import once_each
from weight_importance.data.tasks.registry import sequences
from weight_importance.data.tasks.task import plain_task
from weight_importance.files import trained
from weight_importance.files.checkpoint import Checkpoint, made_from, tables_tensor, tensor_tables
from weight_importance.files.storage import write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.learning.heads import heads
from weight_importance.learning.importance import path_importances, stacked_importances
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import restore
from weight_importance.learning.retention import Run, Weighting
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.runtime.progress import counted
from weight_importance.settings import TrajectoriesJob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--trained", type=Path, required=True, help=trained.FILES)
    parser.add_argument("--settings", type=TrajectoriesJob.parse, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--trajectories", type=Path, required=True, help="output: explanation_trajectories (.csv)")
    parser.add_argument("--shared", type=Path, required=True, help="output: explanation_shared (.csv)")
    arguments = parser.parse_args()
    job, device = arguments.settings, prepare(arguments.threads)

    datasets = [load(file, job.inputs.padding) for file in arguments.data]
    stack = trained.read(arguments.trained, job.seeds)
    baseline = restore(network(job.network, *common_form(datasets), job.inputs), stack, device)
    baseline.require_finite()
    plain = [plain_task(dataset, training=job.images).to(device) for dataset in datasets]
    tasks = sequences(job.tasks, plain, job.seeds)
    first_tasks = [each[0] for each in tasks]
    samples = once_each(lambda task: task.training.last(job.samples), first_tasks)
    of_path = path_importances(job.estimators, trained.read_path(arguments.trained, job.seeds))
    with heads(baseline, first_tasks) as headed, torch.no_grad():
        first = stacked_importances(job.estimators, headed, samples, (0,), of_path)
    runs = {
        name: Run(
            baseline.take(range(len(baseline))),
            tasks,
            [strength] * len(baseline),
            Weighting([name], [first[name]]),
            job,
            observers=first,
        )
        for name, strength in job.strengths.items()
    }

    files = [*arguments.data, *trained.file_names(arguments.trained).values()]
    checkpoint = Checkpoint(
        arguments.trajectories, made_from("trajectories", job.model_dump(mode="json"), job.seeds, files, device)
    )
    kept = checkpoint.load()
    if kept:
        for name, run in runs.items():
            run.resume(trained.under(name, kept))
        tables = tensor_tables(kept["tables"])
    else:
        for run in runs.values():
            run.begin()
        tables = reached(job, runs, 1)
    learnt = next(iter(runs.values())).learnt
    steps = [(task, name) for task in range(learnt + 1, job.tasks.count + 1) for name in runs]
    for task, name in counted(steps, len(steps), "tasks of a trajectory"):
        runs[name].learn_next()
        runs[name].replicas.require_finite()
        if name == [*runs][-1]:
            further = reached(job, runs, task)
            tables = {table: pd.concat([rows, further[table]], ignore_index=True) for table, rows in tables.items()}
            if task == job.tasks.count:
                break
            states = {f"{key}/{part}": value for key, run in runs.items() for part, value in run.state().items()}
            checkpoint.save(states | {"tables": tables_tensor(tables)})
    for name, table in tables.items():
        write_table(getattr(arguments, name), table, COLUMNS[f"explanation_{name}"])
    checkpoint.remove()


def reached(job: TrajectoriesJob, runs: dict[str, Run], tasks_learnt: int) -> dict[str, pd.DataFrame]:
    """Rows of both tables after ``tasks_learnt`` tasks."""
    own, shared = trajectories(
        job.study, tasks_learnt, {name: run.accumulated for name, run in runs.items()}, job.seeds
    )
    return {"trajectories": own, "shared": shared}


if __name__ == "__main__":
    run_program(main)
