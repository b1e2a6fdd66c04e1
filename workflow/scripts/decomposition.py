"""Decompose the correlations of a shard's importances into factors, the total signal's terms, and sampling noise."""

import argparse
from pathlib import Path

import torch

from weight_importance.analysis.factors import factors
from weight_importance.analysis.noise import reliabilities
from weight_importance.analysis.signal import TOTAL_SIGNAL, signal
from weight_importance.data.image_file import common_form, load
from weight_importance.data.samples import once_each
from weight_importance.data.tasks.registry import first_tasks
from weight_importance.data.tasks.task import plain_task
from weight_importance.estimators import registry
from weight_importance.estimators.kinds import is_mean_of_samples
from weight_importance.files import trained
from weight_importance.files.storage import write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.learning.heads import heads
from weight_importance.learning.importance import importances_on_halves, path_importances, stacked_importances
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import restore
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.settings import DecompositionJob

TABLES = ("factors", "signal", "reliability", "noise")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--trained", type=Path, required=True, help=trained.FILES)
    parser.add_argument("--settings", type=DecompositionJob.parse, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    for table in TABLES:
        parser.add_argument(f"--{table}", type=Path, required=True, help=f"output: explanation_{table} (.csv)")
    arguments = parser.parse_args()
    job, device = arguments.settings, prepare(arguments.threads)

    means = [is_mean_of_samples(registry.load(name)) for name in job.estimators]
    datasets = [load(file, job.inputs.padding) for file in arguments.data]
    stack = trained.read(arguments.trained, job.seeds)
    baseline = restore(network(job.network, *common_form(datasets), job.inputs), stack, device)
    baseline.require_finite()
    tasks = first_tasks(job.first_task, plain_task(datasets[0], training=job.images).to(device), job.seeds)
    samples = once_each(lambda task: task.training.last(job.samples), tasks)
    of_path = path_importances(job.estimators, trained.read_path(arguments.trained, job.seeds))
    with heads(baseline, tasks) as headed, torch.no_grad():
        with_signal = [*dict.fromkeys([*job.estimators, TOTAL_SIGNAL])]
        importances = stacked_importances(with_signal, headed, samples, (0,), of_path)
        halves = importances_on_halves(job.estimators, headed, samples)
    explained = {name: importances[name] for name in job.estimators}
    reliability, noise = reliabilities(job.study, explained, halves, means, job.seeds)
    tables = {
        "factors": factors(job.study, explained, job.seeds),
        "signal": signal(job.study, baseline.parameters, importances, job.seeds),
        "reliability": reliability,
        "noise": noise,
    }
    for name, table in tables.items():
        write_table(getattr(arguments, name), table, COLUMNS[f"explanation_{name}"])


if __name__ == "__main__":
    run_program(main)
