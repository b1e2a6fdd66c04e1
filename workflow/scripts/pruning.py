"""Accuracy of a shard of baseline networks as their least important weights are removed."""

import argparse
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import pandas as pd
import torch

from weight_importance.data.image_file import common_form, load
from weight_importance.data.tasks.registry import first_tasks
from weight_importance.data.tasks.task import plain_task
from weight_importance.estimators.registry import load as load_estimator
from weight_importance.files import trained
from weight_importance.files.provenance import identity
from weight_importance.files.storage import load_tensors, write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.learning.evaluation import accuracy
from weight_importance.learning.heads import heads
from weight_importance.learning.networks import network
from weight_importance.learning.pruning import SCOPES, WITHIN_OUTPUTS, prune
from weight_importance.learning.replicas import Replicas, require_fit, restore
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.runtime.progress import counted
from weight_importance.runtime.seeding import generator
from weight_importance.settings import PruningJob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--criterion", required=True, help="the estimator's name, or 'random'")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--trained", type=Path, required=True, help=trained.FILES)
    parser.add_argument("--importance", type=Path, help="importances on the first task; not with 'random'")
    parser.add_argument("--settings", type=PruningJob.parse, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="output: accuracies (.csv)")
    arguments = parser.parse_args()
    job, device = arguments.settings, prepare(arguments.threads)
    is_random = arguments.criterion == "random"
    if is_random != (arguments.importance is None):
        parser.error("--importance goes with every estimator and not with 'random'")

    datasets = [load(file, job.inputs.padding) for file in arguments.data]
    stack = trained.read(arguments.trained, job.seeds)
    replicas = restore(network(job.network, *common_form(datasets), job.inputs), stack, device)
    within_outputs = False
    if is_random:
        importance = random_scores(stack.parameters, job.seeds)
    else:
        importance, _ = load_tensors(arguments.importance, **identity(arguments.criterion, job.seeds))
        require_fit(replicas.template, importance, f"the importances in {arguments.importance}")
        within_outputs = getattr(load_estimator(arguments.criterion), "compared_within_outputs", False)
    tasks = first_tasks(job.first_task, plain_task(datasets[0], test=job.images).to(device), job.seeds)
    rows = []
    known: dict[tuple[int, str, float], float] = {}  # accuracies that do not depend on the scope are measured once
    cases = list(product(SCOPES, range(len(job.seeds))))
    for scope, index in counted(cases, len(cases), "networks and scopes"):
        ranked = WITHIN_OUTPUTS if within_outputs else scope
        keys = {fraction: (index, ranked if fraction else "", fraction) for fraction in job.fractions}
        new = [fraction for fraction in job.fractions if keys[fraction] not in known]
        if new:
            pruned = prune_by_all(replicas, index, importance, new, ranked)
            with heads(pruned, [tasks[index]] * len(pruned)) as headed:
                accuracies = accuracy(headed, [tasks[index].test] * len(pruned))
            known |= {keys[fraction]: value for fraction, value in zip(new, accuracies, strict=True)}
        rows += [
            (job.study, scope, arguments.criterion, job.seeds[index], fraction, known[keys[fraction]])
            for fraction in job.fractions
        ]
    write_table(arguments.output, pd.DataFrame(rows, columns=COLUMNS["pruning"]), COLUMNS["pruning"])


def prune_by_all(
    replicas: Replicas, index: int, importance: Mapping[str, torch.Tensor], fractions: Sequence[float], scope: str
) -> Replicas:
    """Stack copies of one replica, each with a different fraction of weights removed."""
    copies = replicas.take([index] * len(fractions))
    own = {name: tensor[index] for name, tensor in replicas.parameters.items()}
    scores = {name: importance[name][index].to(replicas.device) for name in own}
    copies.parameters = prune(own, scores, fractions, scope)
    return copies


def random_scores(parameters: Mapping[str, torch.Tensor], seeds: Sequence[int]) -> dict[str, torch.Tensor]:
    """Random scores per seed: the reference that every criterion must beat."""
    draws = [generator("random pruning", seed) for seed in seeds]
    return {
        name: torch.stack([torch.rand(tensor.shape[1:], generator=draw) for draw in draws])
        for name, tensor in parameters.items()
    }


if __name__ == "__main__":
    run_program(main)
