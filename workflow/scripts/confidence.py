"""Correlate importances and measure the networks' confidence at several levels of one condition."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
from torch import Tensor

from weight_importance.analysis.confidence import agreements, confidence
from weight_importance.data.image_file import common_form, load
from weight_importance.data.samples import once_each
from weight_importance.data.tasks.registry import first_tasks
from weight_importance.data.tasks.task import plain_task
from weight_importance.estimators import registry
from weight_importance.files import trained
from weight_importance.files.checkpoint import Checkpoint, made_from, tables_tensor, tensor_tables
from weight_importance.files.storage import write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.learning.conditions import FurtherNetworks, Observation, observe
from weight_importance.learning.importance import path_importances
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import initialise, restore
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.runtime.progress import counted
from weight_importance.settings import ConfidenceJob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--trained", type=Path, help=f"for the condition temperature: {trained.FILES}")
    parser.add_argument("--settings", type=ConfidenceJob.parse, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--confidence", type=Path, required=True, help="output: explanation_confidence (.csv)")
    parser.add_argument("--agreement", type=Path, required=True, help="output: explanation_agreement (.csv)")
    arguments = parser.parse_args()
    job, device = arguments.settings, prepare(arguments.threads)
    if (job.training is None) != (arguments.trained is not None):
        parser.error("--trained belongs to the condition temperature, and to no other")

    for name in job.estimators:
        registry.load(name)
    datasets = [load(file, job.inputs.padding) for file in arguments.data]
    build = network(job.network, *common_form(datasets), job.inputs)
    tasks = first_tasks(job.first_task, plain_task(datasets[0], training=job.images).to(device), job.seeds)
    files = [*arguments.data, *(trained.file_names(arguments.trained).values() if arguments.trained else ())]
    origin = made_from(f"confidence {job.condition}", job.model_dump(mode="json"), job.seeds, files, device)

    def training_checkpoint(label_smoothing: float) -> Checkpoint:
        return Checkpoint(arguments.confidence, origin | {"label smoothing": repr(label_smoothing)})

    if job.training:
        small_tasks = once_each(lambda task: replace(task, training=task.training.at_most(job.training.images)), tasks)
        further = FurtherNetworks(lambda: initialise(build, job.seeds, device), small_tasks, job, training_checkpoint)
        at_level: Callable[[float], Observation] = (
            further.smoothed if job.condition == "label_smoothing" else lambda level: further.after(int(level))
        )
    else:
        baseline = restore(build, trained.read(arguments.trained, job.seeds), device)
        of_path = path_importances(job.estimators, trained.read_path(arguments.trained, job.seeds))
        samples = once_each(lambda task: task.training.last(job.samples), tasks)
        at_level = partial(observe, job.estimators, baseline, tasks, samples, of_path)

    finished = Checkpoint(arguments.confidence, origin, "levels")

    def tables_at(level: float) -> dict[str, pd.DataFrame]:
        return tensor_tables(finished.once(repr(level), lambda: tables_of(at_level(level), level, job))["tables"])

    results = [tables_at(level) for level in counted(job.levels, len(job.levels), "levels")]
    for table in ("confidence", "agreement"):
        rows = pd.concat([tables[table] for tables in results], ignore_index=True)
        write_table(getattr(arguments, table), rows, COLUMNS[f"explanation_{table}"])
    finished.remove()
    training_checkpoint(0.0).remove()


def tables_of(observation: Observation, level: float, job: ConfidenceJob) -> dict[str, Tensor]:
    """Rows of both tables; the largest number of epochs also gives level 0 of label smoothing."""
    conditions: list[dict[str, str | float]] = [{"study": job.study, "condition": job.condition, "level": float(level)}]
    if job.unsmoothed and level == max(job.levels):
        conditions.append({"study": job.study, "condition": "label_smoothing", "level": 0.0})
    confidences = [confidence(keys, observation.confidence, job.seeds) for keys in conditions]
    agreement = [agreements(keys, observation.importances, job.seeds) for keys in conditions]
    return {"tables": tables_tensor({"confidence": pd.concat(confidences), "agreement": pd.concat(agreement)})}


if __name__ == "__main__":
    run_program(main)
