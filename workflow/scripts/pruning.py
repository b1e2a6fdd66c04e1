"""Accuracy of a shard of baseline networks as their least important weights are removed."""

import argparse
from itertools import product
from pathlib import Path

import pandas as pd
import torch

from weight_importance.data.image_file import load
from weight_importance.data.tasks import task_sequence
from weight_importance.files.provenance import identity
from weight_importance.files.storage import load_tensors, write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.files.trained import unpack
from weight_importance.learning.evaluation import accuracy
from weight_importance.learning.networks import network
from weight_importance.learning.pruning import SCOPES, prune
from weight_importance.learning.replicas import Replicas, require_fit, restore
from weight_importance.runtime.arguments import json_object
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.runtime.progress import counted
from weight_importance.runtime.seeding import generator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--criterion", required=True, help="the estimator's name, or 'random'")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--parameters", type=Path, required=True, help="weights of the baseline (.safetensors)")
    parser.add_argument("--state", type=Path, required=True, help="buffers of the baseline (.safetensors)")
    parser.add_argument("--importance", type=Path, help="importances on the first task; not with 'random'")
    parser.add_argument("--settings", type=json_object, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="output: accuracies (.csv)")
    arguments = parser.parse_args()
    settings, device = arguments.settings, prepare(arguments.threads)
    is_random = arguments.criterion == "random"
    if is_random != (arguments.importance is None):
        parser.error("--importance goes with every estimator and not with 'random'")

    seeds = settings["seeds"]
    parameters, _ = load_tensors(arguments.parameters, **identity("baseline", seeds))
    state, _ = load_tensors(arguments.state, **identity("baseline state", seeds))
    buffers, _ = unpack(state)
    replicas = restore(network(settings["network"]), parameters, buffers, device)
    if is_random:
        importance = random_scores(parameters, seeds)
    else:
        importance, _ = load_tensors(arguments.importance, **identity(arguments.criterion, seeds))
        require_fit(replicas.template, importance, f"the importances in {arguments.importance}")
    test = task_sequence(settings, [load(file) for file in arguments.data], device).part(0, "test")
    fractions = settings["pruning"]["fractions"]
    rows = []
    cases = list(product(SCOPES, enumerate(seeds)))
    for scope, (index, seed) in counted(cases, len(cases), "networks and scopes"):
        own = {name: tensor[index] for name, tensor in replicas.parameters.items()}
        scores = {name: importance[name][index].to(device) for name in own}
        pruned = [prune(own, scores, fraction, scope) for fraction in fractions]
        stacked = {name: torch.stack([one[name] for one in pruned]) for name in own}
        shared = {name: buffer[[index] * len(pruned)] for name, buffer in replicas.buffers.items()}
        accuracies = accuracy(Replicas(replicas.template, stacked, shared), test)
        rows += [
            (settings["study"], scope, arguments.criterion, seed, fraction, value)
            for fraction, value in zip(fractions, accuracies, strict=True)
        ]
    write_table(arguments.output, pd.DataFrame(rows, columns=COLUMNS["pruning"]), COLUMNS["pruning"])


def random_scores(parameters: dict[str, torch.Tensor], seeds: list[int]) -> dict[str, torch.Tensor]:
    """Scores drawn at random per seed: the reference that every criterion has to beat."""
    draws = [generator("random pruning", seed) for seed in seeds]
    return {
        name: torch.stack([torch.rand(tensor.shape[1:], generator=draw) for draw in draws])
        for name, tensor in parameters.items()
    }


if __name__ == "__main__":
    run_program(main)
