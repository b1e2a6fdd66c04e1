"""Write the explorer: one self-contained page that compares any two estimators, layer by layer."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from weight_importance.analysis.correlation import ALL
from weight_importance.analysis.densities import Axis, Density, axis, density
from weight_importance.explorer.page import contents, fill
from weight_importance.figures.style import in_order
from weight_importance.files.provenance import read_noted
from weight_importance.files.storage import load_tensors, read_table, write_text
from weight_importance.files.tables import COLUMNS
from weight_importance.findings.tensors import tensor_order
from weight_importance.runtime.arguments import json_object
from weight_importance.runtime.errors import UserError, run_program

TABLES = ("correlation", "correlation_null", "retention", "selected_lambda", "pruning")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--template", type=Path, nargs="+", required=True, help="page.html, and the style and scripts that are inserted"
    )
    parser.add_argument("--tables", type=Path, nargs="*", default=[], help=f"tables (.csv) among {', '.join(TABLES)}")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs, which contains importances")
    parser.add_argument("--settings", type=json_object, required=True, help="JSON: study → settings, shards")
    parser.add_argument("--output", type=Path, required=True, help="output: the page (.html)")
    arguments = parser.parse_args()
    for path in arguments.tables:
        if path.stem not in TABLES:
            raise UserError(f"--tables takes {', '.join(TABLES)}, found '{path}'. Give those only.")
    paths = {path.stem: path for path in arguments.tables}
    tables = {
        name: read_table(paths[name], COLUMNS[name]) if name in paths else pd.DataFrame(columns=list(COLUMNS[name]))
        for name in TABLES
    }
    densities = {
        study: study_densities(arguments.runs / study / "importance", study, settings)
        for study, settings in arguments.settings.items()
        if settings["shards"]
    }
    texts = {path.name: read_template(path) for path in arguments.template}
    write_text(arguments.output, fill(texts, *contents(arguments.settings, tables, densities)))


def read_template(path: Path) -> str:
    """A part of the page."""
    try:
        return read_noted(path).decode("utf-8")
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; --template takes page.html and the files that it includes. "
            "They are part of the repository: restore them with\n  git checkout -- workflow/explorer"
        ) from error


def study_densities(folder: Path, study: str, settings: Mapping) -> dict[str, tuple[tuple[int, ...], Density]]:
    """Shape in one network, and densities, of every tensor and of all together."""
    axes: dict[str, list[Axis]] = {}
    shapes: dict[str, tuple[int, ...]] = {ALL: ()}
    for estimator in in_order(settings["estimators"]):
        shards = [load_importance(folder / estimator / f"{shard}.safetensors", study) for shard in settings["shards"]]
        parts = {name: np.concatenate([shard[name].ravel() for shard in shards]) for name in sorted(shards[0])}
        for name, values in (parts | {ALL: np.concatenate(list(parts.values()))}).items():
            axes.setdefault(name, []).append(axis(values))
        shapes |= {name: tensor.shape[1:] for name, tensor in shards[0].items()}
    return {name: (shapes[name], density(axes[name])) for name in tensor_order(axes)}


def load_importance(path: Path, study: str) -> dict[str, np.ndarray]:
    """Load importances, ``(R, ...)`` by parameter; check that they belong to the study."""
    tensors, _ = load_tensors(path, study=study)
    return {name: tensor.numpy() for name, tensor in tensors.items()}


if __name__ == "__main__":
    run_program(main)
