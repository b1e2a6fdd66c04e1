"""Compute one estimator's importances on the first task for a shard of seeds."""

import argparse
from pathlib import Path

import torch

from weight_importance.data.image_file import load
from weight_importance.data.tasks import task_sequence
from weight_importance.estimators import registry
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.path import importance
from weight_importance.files.provenance import identity, metadata
from weight_importance.files.storage import load_tensors, save_tensors
from weight_importance.files.trained import unpack, unpack_path
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import restore
from weight_importance.learning.retention import stacked_importance
from weight_importance.runtime.arguments import json_object
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--estimator", required=True, help="the estimator's name")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument(
        "--part",
        choices=("training", "test"),
        default="training",
        help="images to compute it on: the last training images, or all test images",
    )
    parser.add_argument("--parameters", type=Path, required=True, help="weights of the baseline (.safetensors)")
    parser.add_argument("--state", type=Path, required=True, help="buffers of the baseline (.safetensors)")
    parser.add_argument("--path", type=Path, required=True, help="what was recorded of the baseline's path")
    parser.add_argument("--settings", type=json_object, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="output: importances (.safetensors)")
    arguments = parser.parse_args()
    settings, device = arguments.settings, prepare(arguments.threads)

    parameters, _ = load_tensors(arguments.parameters, **identity("baseline", settings["seeds"]))
    estimator = registry.load(arguments.estimator)
    if isinstance(estimator, PathEstimator):
        path, _ = load_tensors(arguments.path, **identity("baseline path", settings["seeds"]))
        values = importance(estimator, unpack_path(path))
    else:
        state, _ = load_tensors(arguments.state, **identity("baseline state", settings["seeds"]))
        buffers, _ = unpack(state)
        replicas = restore(network(settings["network"]), parameters, buffers, device)
        tasks = task_sequence(settings, [load(file) for file in arguments.data], device)
        part = tasks.part(0, arguments.part)
        samples = part if arguments.part == "test" else part.last(settings["importance"]["samples"])
        with torch.no_grad():
            values = stacked_importance(arguments.estimator, replicas, samples, settings["seeds"], 0)
    save_tensors(arguments.output, values, metadata(arguments.estimator, settings, settings["seeds"]))


if __name__ == "__main__":
    run_program(main)
