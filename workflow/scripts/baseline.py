"""Train the first task of a study for a shard of seeds, recording the optimiser's path."""

import argparse
from pathlib import Path

import pandas as pd

from weight_importance.data.image_file import load
from weight_importance.data.tasks import PUBLISHED, task_sequence
from weight_importance.estimators.path import PathRecorder
from weight_importance.files.checkpoint import Checkpoint, made_from
from weight_importance.files.provenance import metadata
from weight_importance.files.storage import save_tensors, write_table
from weight_importance.files.tables import COLUMNS
from weight_importance.files.trained import pack, pack_path
from weight_importance.learning.evaluation import accuracy
from weight_importance.learning.loop import train_by_epochs
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import initialise
from weight_importance.runtime.arguments import json_object
from weight_importance.runtime.device import prepare
from weight_importance.runtime.errors import run_program
from weight_importance.runtime.progress import ProgressLine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the study's data sets (.safetensors)")
    parser.add_argument("--settings", type=json_object, required=True, help="the stage's settings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--parameters", type=Path, required=True, help="output: weights (.safetensors)")
    parser.add_argument(
        "--state", type=Path, required=True, help="output: buffers, and Adam's state if it is carried on"
    )
    parser.add_argument("--path", type=Path, required=True, help="output: what is recorded of the path")
    parser.add_argument("--accuracy", type=Path, required=True, help="output: accuracies (.csv)")
    arguments = parser.parse_args()
    settings, device = arguments.settings, prepare(arguments.threads)

    seeds = settings["seeds"]
    tasks = task_sequence(settings, [load(file) for file in arguments.data], device)
    replicas = initialise(network(settings["network"]), seeds, device)
    recorder = PathRecorder(settings["records"])
    training = settings["training"]
    data = tasks.part(0, "training")
    progress = ProgressLine([len(data) // training["batch_size"] * training["epochs"]], len(seeds))
    checkpoint = Checkpoint(arguments.parameters, made_from("baseline", settings, seeds, arguments.data, device))
    adam = train_by_epochs(replicas, seeds, data, 0, recorder, checkpoint, progress=progress, **training)

    rows = [
        (settings["study"], seed, split, value)
        for split in ("validation", "test")
        for seed, value in zip(seeds, accuracy(replicas, tasks.part(0, split)), strict=True)
    ]
    about = {"settings": settings, "seeds": seeds}
    save_tensors(arguments.parameters, replicas.parameters, metadata("baseline", **about))
    carried = adam if settings["protocol"] == PUBLISHED else None
    save_tensors(arguments.state, pack(replicas.buffers, carried), metadata("baseline state", **about))
    save_tensors(arguments.path, pack_path(recorder.recorded()), metadata("baseline path", **about))
    write_table(arguments.accuracy, pd.DataFrame(rows, columns=COLUMNS["baseline"]), COLUMNS["baseline"])
    checkpoint.remove()


if __name__ == "__main__":
    run_program(main)
