"""Learn the published tasks with Adam's state at the end of another run of all tasks, as in the authors' code.

python reference/consecutive_runs.py fisher_empirical 41 --networks 5

Reads results/data/mnist.safetensors (snakemake --cores all results/data/mnist.safetensors) and adds the test accuracies
to reference/published/consecutive-runs.csv. The other run, of a network with another seed, starts with a new state.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml
from snakemake.utils import update_config

from weight_importance.data.image_file import common_form, load
from weight_importance.data.tasks.registry import sequences
from weight_importance.data.tasks.task import Task, plain_task
from weight_importance.estimators.path import PathRecorder
from weight_importance.files.tables import COLUMNS
from weight_importance.files.trained import AdamState
from weight_importance.learning.first_task import learn_first_task
from weight_importance.learning.importance import stacked_importances
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import Replicas, initialise
from weight_importance.learning.retention import Run, Weighting, observed
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.settings import RetentionJob, TrainingJob, reading

ROOT = Path(__file__).parents[1]
DATA = ROOT / "results/data/mnist.safetensors"
FILE = ROOT / "reference/published/consecutive-runs.csv"
STUDY = "mlp_permuted_mnist_published"
OTHERS = 1_000_000
"""Difference of seeds between the networks of the first run and those of the second."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("estimator")
    parser.add_argument("strength", type=float, help="λ")
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--configfile", nargs="*", default=[], help="configuration files in addition to config.yaml")
    arguments = parser.parse_args()
    name, seeds, device = arguments.estimator, (*range(arguments.networks),), prepare(1)
    config: dict = {}
    for file in (ROOT / "config.yaml", *arguments.configfile):
        update_config(config, yaml.safe_load(Path(file).read_text(encoding="utf-8")))
    study = reading.read(config, ["config.yaml", *arguments.configfile]).studies[STUDY]
    first = TrainingJob.of(STUDY, study, seeds, ())
    later = RetentionJob.of(STUDY, study, seeds, name).model_copy(update={"lambdas": (arguments.strength,)})
    images = load(DATA, first.inputs.padding)
    task = plain_task(images, **later.images.model_dump(), train_on_validation=later.train_on_validation).to(device)
    build = network(first.network, *common_form([images]), first.inputs)

    adam = None
    for others in (OTHERS, 0):
        replicas = initialise(build, [seed + others for seed in seeds], device)
        replicas.adam = adam
        tasks = sequences(later.tasks, [task], replicas.seeds)
        adam, accuracies = learn(name, replicas, tasks, first, later)

    rows = [
        (STUDY, name, arguments.strength, seed, tasks_learnt, number, split, values[place])
        for place, (tasks_learnt, number, split) in enumerate(observed(later.tasks.count, True))
        for seed, values in zip(seeds, accuracies, strict=True)
        if split == "test"
    ]
    new = pd.DataFrame(rows, columns=COLUMNS["retention"])
    both = pd.concat([pd.read_csv(FILE), new]) if FILE.is_file() else new
    both.to_csv(FILE, index=False, float_format="%.7g")


def learn(
    name: str, replicas: Replicas, tasks: Sequence[Sequence[Task]], first: TrainingJob, later: RetentionJob
) -> tuple[AdamState | None, list[list[float]]]:
    """Learn all tasks; return Adam's state after the last one, and the accuracies of every network."""
    starts = [task[0] for task in tasks]
    learn_first_task(replicas, starts, PathRecorder(), duration=first.duration, optimisation=first.optimisation)
    samples = starts[0].training.last(later.samples)
    importance = stacked_importances([name], replicas, [samples] * len(replicas), (0,))[name]
    weighting = Weighting([name], [importance])
    names = observed(later.tasks.count, True)
    run = Run(replicas, tasks, [later.lambdas[0]] * len(replicas), weighting, later, observed=names)
    run.begin()
    while run.learnt < later.tasks.count:
        run.learn_next()
        print(f"{run.learnt} tasks learnt", flush=True)
    return replicas.adam, run.accuracies


if __name__ == "__main__":
    run_program(main)
