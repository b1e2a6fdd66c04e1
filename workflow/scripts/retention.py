"""Learn the later tasks of a study under consolidation, for a shard of seeds and a grid of λ at once."""

import argparse
from importlib import import_module
from pathlib import Path

import pandas as pd

from weight_importance.data.image_file import load
from weight_importance.data.tasks import PUBLISHED, task_sequence
from weight_importance.estimators import registry
from weight_importance.files.checkpoint import Checkpoint, made_from
from weight_importance.files.provenance import identity
from weight_importance.files.storage import load_tensors, write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.files.trained import unpack
from weight_importance.settings.ablation_names import is_ablation, parse
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import require_fit, restore
from weight_importance.learning.retention import Learning, retention
from weight_importance.runtime.arguments import json_object
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--estimator", required=True, help="an estimator, an ablation, or 'none' for no penalty")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--parameters", type=Path, required=True, help="weights of the baseline (.safetensors)")
    parser.add_argument("--state", type=Path, required=True, help="buffers and Adam's state of the baseline")
    parser.add_argument(
        "--importance",
        type=Path,
        nargs="+",
        default=[],
        help="importances on the first task, of an ablation in its order",
    )
    parser.add_argument("--settings", type=json_object, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="output: accuracies (.csv)")
    arguments = parser.parse_args()
    settings, device = arguments.settings, prepare(arguments.threads)
    name, ablation = arguments.estimator, None
    if is_ablation(name):
        ablation = parse(name)
    estimators = ablation.estimators if ablation else [] if name == "none" else [name]
    if len(arguments.importance) != len(estimators):
        parser.error(f"--importance needs {len(estimators)} files for {name}, found {len(arguments.importance)}")

    strengths = settings["lambdas"]
    seeds = settings["seeds"]
    parameters, _ = load_tensors(arguments.parameters, **identity("baseline", seeds))
    state, _ = load_tensors(arguments.state, **identity("baseline state", seeds))
    buffers, adam = unpack(state)
    baseline = restore(network(settings["network"]), parameters, buffers, device)
    importances = []
    for estimator, file in zip(estimators, arguments.importance, strict=True):
        importance, _ = load_tensors(file, **identity(estimator, seeds))
        require_fit(baseline.template, importance, f"the importances in {file}")
        importances.append(importance)
    # by its name, so that only jobs of ablations load, and depend on, the module
    transform = ablation and import_module("weight_importance.learning.ablations").transform(ablation)
    for estimator in estimators:
        registry.load(estimator)
    files = [*arguments.data, arguments.parameters, arguments.state, *arguments.importance]
    checkpoint = Checkpoint(arguments.output, made_from(name, settings, seeds, files, device))
    observations = retention(
        baseline,
        seeds,
        strengths,
        estimators,
        importances,
        task_sequence(settings, [load(file) for file in arguments.data], device),
        Learning(
            samples=settings["importance"]["samples"],
            published=settings["protocol"] == PUBLISHED,
            **settings["training"] | settings["retention"],
        ),
        adam,
        ablation=transform,
        checkpoint=checkpoint,
    )
    rows = [
        (
            settings["study"],
            name,
            strengths[seen.replica % len(strengths)],
            seeds[seen.replica // len(strengths)],
            seen.tasks_learnt,
            seen.task,
            seen.split,
            seen.accuracy,
        )
        for seen in observations
    ]
    write_table(arguments.output, pd.DataFrame(rows, columns=COLUMNS["retention"]), COLUMNS["retention"])
    checkpoint.remove()


if __name__ == "__main__":
    run_program(main)
