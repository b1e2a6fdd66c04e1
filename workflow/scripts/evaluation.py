"""Accuracy of the trained networks of a shard on validation and test images of the first task."""

import argparse
from operator import methodcaller
from pathlib import Path

import pandas as pd

from weight_importance.data.image_file import common_form, load
from weight_importance.data.samples import once_each
from weight_importance.data.tasks.registry import first_tasks
from weight_importance.data.tasks.task import plain_task
from weight_importance.files import trained
from weight_importance.files.storage import write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.learning.evaluation import accuracy
from weight_importance.learning.heads import heads
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import restore
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.settings import EvaluationJob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--trained", type=Path, required=True, help=trained.FILES)
    parser.add_argument("--settings", type=EvaluationJob.parse, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="output: accuracies (.csv)")
    arguments = parser.parse_args()
    job, device = arguments.settings, prepare(arguments.threads)

    datasets = [load(file, job.inputs.padding) for file in arguments.data]
    plain = plain_task(datasets[0], **job.images.model_dump(), train_on_validation=job.train_on_validation).to(device)
    tasks = first_tasks(job.first_task, plain, job.seeds)
    stack = trained.read(arguments.trained, job.seeds)
    rows = []
    with heads(restore(network(job.network, *common_form(datasets), job.inputs), stack, device), tasks) as replicas:
        for split in ("validation", "test"):
            samples = once_each(methodcaller("part", split), tasks)
            accuracies = accuracy(replicas, samples)
            rows += [(job.study, seed, split, value) for seed, value in zip(job.seeds, accuracies, strict=True)]
    write_table(arguments.output, pd.DataFrame(rows, columns=COLUMNS["baseline"]), COLUMNS["baseline"])


if __name__ == "__main__":
    run_program(main)
