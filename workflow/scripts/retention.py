"""Learn the later tasks of a study under consolidation, for a shard of seeds and a grid of λ at once."""

import argparse
from functools import partial
from importlib import import_module
from pathlib import Path

import pandas as pd
import torch

from weight_importance.data.image_file import common_form, load
from weight_importance.data.tasks.registry import sequences
from weight_importance.data.tasks.task import plain_task
from weight_importance.estimators import registry
from weight_importance.files import trained
from weight_importance.files.checkpoint import Checkpoint, made_from
from weight_importance.files.provenance import identity
from weight_importance.files.storage import load_tensors, write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.learning.grid import Kept, retention
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import require_fit, restore
from weight_importance.learning.retention import Weighting
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.settings import L2, UNPENALISED, RetentionJob
from weight_importance.settings.ablation_names import is_ablation, parse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--estimator", required=True, help="an estimator, an ablation, 'l2', 'none' for no penalty, or 'joint'"
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--trained", type=Path, required=True, help=trained.FILES)
    parser.add_argument(
        "--importance",
        type=Path,
        nargs="+",
        default=[],
        help="importances on the first task, of an ablation in its order",
    )
    parser.add_argument("--settings", type=RetentionJob.parse, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="output: accuracies (.csv)")
    arguments = parser.parse_args()
    job, device = arguments.settings, prepare(arguments.threads)
    name, ablation = arguments.estimator, None
    if is_ablation(name):
        ablation = parse(name)
    estimators = ablation.estimators if ablation else [] if name in UNPENALISED else [name]
    from_files = [estimator for estimator in estimators if estimator != L2]
    if len(arguments.importance) != len(from_files):
        parser.error(f"--importance needs {len(from_files)} files for {name}, found {len(arguments.importance)}")

    datasets = [load(file, job.inputs.padding) for file in arguments.data]
    stack = trained.read(arguments.trained, job.seeds)
    baseline = restore(network(job.network, *common_form(datasets), job.inputs), stack, device)
    importances = []
    files = dict(zip(from_files, arguments.importance, strict=True))
    for estimator in estimators:
        registry.load(estimator)
        if estimator == L2:
            importances.append({parameter: torch.ones_like(values) for parameter, values in stack.parameters.items()})
            continue
        importance, _ = load_tensors(files[estimator], **identity(estimator, job.seeds))
        require_fit(baseline.template, importance, f"the importances in {files[estimator]}")
        importances.append(importance)
    # import by name, so that only ablation jobs load and depend on the module
    transform = partial(import_module("weight_importance.learning.ablations").ablated, ablation) if ablation else None
    images, overlap = job.images.model_dump(), job.train_on_validation
    plain = [plain_task(dataset, **images, train_on_validation=overlap).to(device) for dataset in datasets]
    tasks = sequences(job.tasks, plain, job.seeds)
    of_one = job.model_dump(mode="json", exclude={"lambdas"})  # settings behind the results of one strength
    inputs = [*arguments.data, *trained.file_names(arguments.trained).values(), *arguments.importance]
    origin = made_from(name, of_one, job.seeds, inputs, device)
    kept = Kept(Checkpoint(arguments.output, origin), Checkpoint(arguments.output, origin, "strengths"))
    weighting = Weighting(estimators, importances, transform, joint=name == "joint")
    observations = retention(baseline, tasks, weighting, job, kept)
    rows = [
        (job.study, name, each.strength, each.seed, each.tasks_learnt, each.task, each.split, each.accuracy)
        for each in observations
    ]
    write_table(arguments.output, pd.DataFrame(rows, columns=COLUMNS["retention"]), COLUMNS["retention"])
    kept.state.remove()


if __name__ == "__main__":
    run_program(main)
