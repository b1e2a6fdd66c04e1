"""Compute the importances of a shard's networks on the first task, by one estimator."""

import argparse
from pathlib import Path

import torch

from weight_importance.data.image_file import common_form, load
from weight_importance.data.samples import once_each
from weight_importance.data.tasks.registry import first_tasks
from weight_importance.data.tasks.task import plain_task
from weight_importance.estimators import registry
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.path import importance
from weight_importance.files import trained
from weight_importance.files.provenance import metadata
from weight_importance.files.storage import save_tensors
from weight_importance.learning.heads import heads
from weight_importance.learning.importance import Stacked, stacked_importances
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import restore
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.settings import ImportanceJob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--estimator", required=True, help="the estimator's name")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--trained", type=Path, required=True, help=trained.FILES)
    parser.add_argument("--settings", type=ImportanceJob.parse, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="output: importances (.safetensors)")
    arguments = parser.parse_args()
    job, device = arguments.settings, prepare(arguments.threads)

    estimator = registry.load(arguments.estimator)
    if isinstance(estimator, PathEstimator):
        values: Stacked = importance(estimator, trained.read_path(arguments.trained, job.seeds))
    else:
        stack = trained.read(arguments.trained, job.seeds)
        datasets = [load(file, job.inputs.padding) for file in arguments.data]
        plain = plain_task(datasets[0], **{job.part: job.images}).to(device)
        tasks = first_tasks(job.first_task, plain, job.seeds)
        samples = once_each(lambda task: task.part(job.part), tasks)
        samples = once_each(lambda part: part.last(job.samples), samples)
        replicas = restore(network(job.network, *common_form(datasets), job.inputs), stack, device)
        with heads(replicas, tasks) as headed, torch.no_grad():
            values = stacked_importances([arguments.estimator], headed, samples, (0,))[arguments.estimator]
    save_tensors(arguments.output, values, metadata(arguments.estimator, job.model_dump(mode="json"), job.seeds))


if __name__ == "__main__":
    run_program(main)
