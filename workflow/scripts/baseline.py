"""Train the networks of a shard on the first task, recording the optimiser's path."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from weight_importance.data.image_file import common_form, load
from weight_importance.data.tasks.registry import first_tasks
from weight_importance.data.tasks.task import Task, plain_task
from weight_importance.estimators.path import PathRecorder
from weight_importance.files import trained
from weight_importance.files.checkpoint import Checkpoint, made_from
from weight_importance.files.trained import AdamState
from weight_importance.learning.first_task import learn_first_task
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import initialise
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.settings import TrainingJob

OTHERS = 1_000_000
"""Difference of seeds between the networks whose Adam state is reused and the networks of a study."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--settings", type=TrainingJob.parse, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--trained", type=Path, required=True, help=f"output: {trained.FILES}")
    arguments = parser.parse_args()
    job, device = arguments.settings, prepare(arguments.threads)

    datasets = [load(file, job.inputs.padding) for file in arguments.data]
    plain = plain_task(datasets[0], training=job.images).to(device)
    tasks = first_tasks(job.first_task, plain, job.seeds)
    build = network(job.network, *common_form(datasets), job.inputs)
    replicas = initialise(build, job.seeds, device)
    recorder = PathRecorder(job.records)
    settings = job.model_dump(mode="json")
    origin = made_from("baseline", settings, job.seeds, arguments.data, device)
    checkpoint = Checkpoint(arguments.trained, origin)
    if job.reused_adam and not checkpoint.load():
        replicas.adam = adam_of_others(build, tasks, job, device)
    learn_first_task(
        replicas, tasks, recorder, duration=job.duration, optimisation=job.optimisation, checkpoint=checkpoint
    )
    adam = replicas.adam if job.carry_adam else None
    stack = trained.Trained(replicas.seeds, replicas.parameters, replicas.buffers, adam)
    trained.write(arguments.trained, stack, recorder.recorded(), settings)
    checkpoint.remove()


def adam_of_others(
    build: Callable[[], nn.Module], tasks: Sequence[Task], job: TrainingJob, device: torch.device
) -> AdamState | None:
    """Train other networks on the first task, and return their Adam state."""
    others = initialise(build, [seed + OTHERS for seed in job.seeds], device)
    learn_first_task(others, tasks, PathRecorder(), duration=job.duration, optimisation=job.optimisation)
    return others.adam


if __name__ == "__main__":
    run_program(main)
