"""Published results of Kutalev and Lapina (2021) under this repository's names, and the settings behind them.

Knows the columns of the two files; their README documents their origin. Comparisons are in ``reproduction``.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from weight_importance.files.derivation import Rows, Values, rows
from weight_importance.files.provenance import note_input
from weight_importance.runtime.errors import UserError
from weight_importance.settings import KUTALEV_LAPINA, FullyConnected, Study, described

LAMBDA_SWEEP = "kutalev-lapina-2021-lambda-sweep"
PRUNING_BY_LAYER = "kutalev-lapina-2021-pruning-by-layer"

STUDIES = {"fc": "mlp_permuted_mnist", "conv": "cnn_mnist_fashion"}
ESTIMATORS = {
    "fisher": "fisher_empirical",
    "fis": "fisher_empirical",
    "mas": "mas",
    "si": "si",
    "sig": "total_signal",
    "w": "magnitude",
}
SETUPS = {
    "mlp_permuted_mnist": (
        (("network",), "mlp", "network"),
        (("datasets",), ("mnist",), "data sets"),
        (("tasks", "kind"), "permuted", "tasks"),
    ),
    "cnn_mnist_fashion": (
        (("network",), "cnn", "network"),
        (("datasets",), ("mnist", "fashion_mnist"), "data sets"),
        (("tasks", "kind"), "rotated", "tasks"),
    ),
}
"""By study: path of keys in its settings, published value, and name of the setting in words."""

PROTOCOL = {
    "train_on_validation": "validation images in training",
    "carry_adam": "state of Adam carried from task to task",
    "reused_adam": "state of Adam carried from network to network",
    "select_lambda_on": "selection of the penalty strength on",
    "pruning_importance_on": "importances for pruning on",
    "penalised_path": "penalty in the gradient of path estimators",
}
SETUP = (
    *((("protocol", key), getattr(KUTALEV_LAPINA, key), words) for key, words in PROTOCOL.items()),
    (("images", "training"), None, "training images"),
    (("images", "test"), None, "test images"),
    (("training", "epochs"), 6, "epochs for the first task"),
    (("training", "batch_size"), 100, "images per step"),
    (("training", "learning_rate"), 0.001, "step size"),
    (("importance", "samples"), 5000, "images for importances"),
    (("retention", "images"), None, "training images of each later task"),
    (("retention", "epochs"), 6, "epochs for each later task"),
    (("retention", "penalty"), "plain", "penalty"),
    (("retention", "batch_norm"), "running", "statistics of batch normalisation"),
    (("retention", "accumulation"), "sum", "accumulation of importances over tasks"),
    (("retention", "clamp_negative"), False, "negative importances counted as zero"),
    (("retention", "earlier_test_images"), None, "test images before the last task"),
)
"""The same for both studies; of the published files, the repository has only those of the plain penalty."""

LATER = ("carry_adam", "select_lambda_on", "penalised_path", "tasks", "retention")
"""Keys of settings that matter only after the first task."""

IMAGES = 60_000
"""Number of training plus validation images in each published data set."""


SWEEP = {
    "network": str,
    "estimator": str,
    "stabilised": bool,
    "lambda": float,
    "tasks_learnt": int,
    "runs": int,
    "mean_accuracy": float,
    "sd": float,
}
PRUNING = {"scope": str, "criterion": str, "proportion": float, "runs": int, "accuracy": float, "sd": float}
"""Columns of the two files."""


def retention(folder: str | Path) -> pd.DataFrame:
    """Mean test accuracy over the tasks learnt so far, with 95 % t intervals over runs.

    Returns:
        columns ``study``, ``estimator``, ``lambda``, ``tasks_learnt``, ``mean``, ``low``, ``high``, ``n``.
    """
    frame = read(folder, LAMBDA_SWEEP, SWEEP)
    frame = frame[~frame["stabilised"]].reset_index(drop=True)
    table = pd.DataFrame(
        {"study": frame["network"].map(STUDIES), "estimator": frame["estimator"].map(ESTIMATORS)}
        | {name: frame[name] for name in ("lambda", "tasks_learnt")}
    )
    return table.join(intervals_of_runs(frame["mean_accuracy"], frame["sd"], frame["runs"]))


def pruning(folder: str | Path) -> pd.DataFrame:
    """Test accuracy after pruning the same fraction of each weight matrix, with 95 % t intervals over runs.

    Returns:
        columns ``study``, ``scope``, ``criterion``, ``fraction``, ``mean``, ``low``, ``high``, ``n``.
    """
    frame = read(folder, PRUNING_BY_LAYER, PRUNING)
    table = pd.DataFrame(
        {
            "study": STUDIES["fc"],
            "scope": "tensor",
            "criterion": frame["criterion"].map(ESTIMATORS),
            "fraction": frame["proportion"],
        }
    )
    return table.join(intervals_of_runs(frame["accuracy"], frame["sd"], frame["runs"]))


def retention_rows(study: str, estimator: str | None = None, strength: float | None = None) -> Rows:
    """Rows of the authors' file behind :func:`retention` for a study; ``none`` uses the rows with λ = 0."""
    where: dict[str, Values] = {"study": study, "network": [name for name, own in STUDIES.items() if own == study]}
    if estimator not in (None, "none"):
        where["estimator"] = [name for name, own in ESTIMATORS.items() if own == estimator]
    if strength is not None:
        where["lambda"] = strength
    return rows(LAMBDA_SWEEP, **where)


def pruning_rows() -> Rows:
    """Rows of the authors' file behind :func:`pruning`: all."""
    return rows(PRUNING_BY_LAYER)


def read(folder: str | Path, name: str, columns: Mapping[str, type]) -> pd.DataFrame:
    """Read a published table.

    Raises:
        UserError: the file is missing or is not a table with these columns.
    """
    path = Path(folder) / f"{name}.csv"
    remedy = "It is part of the repository: restore it with\n  git checkout -- workflow/resources/published"
    try:
        frame = pd.read_csv(path, dtype=dict(columns))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}; expected a table of {', '.join(columns)}. {remedy}") from error
    if list(frame.columns) != list(columns):
        raise UserError(f"{path} has columns {list(frame.columns)}, expected {list(columns)}. {remedy}")
    note_input(path)
    return frame


def last_task(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`retention` after each study's last task."""
    last = frame.groupby("study")["tasks_learnt"].transform("max")
    return frame[frame["tasks_learnt"] == last]


def differing(settings: Study, setup: Iterable[tuple[tuple[str, ...], object, str]]) -> list[str]:
    """Settings in which a study departs from published ones: ``epochs for each later task: 1 instead of 6``.

    Args:
        settings: settings of the study.
        setup: path of keys in the settings, published value (a range: any of these), and name of the setting in words.
    """
    differences = []
    for path, published, words in setup:
        value = reduce(getattr, path, settings)
        if value != published and not (isinstance(published, range) and value in published):
            other = {"epochs": "given in iterations", "iterations": "given in epochs"}
            own = other[path[-1]] if value is None and path[-1] in other else _shown(value)
            differences.append(f"{words}: {own} instead of {_shown(published)}")
    return differences


def _shown(value: object) -> str:
    if isinstance(value, FullyConnected):
        return described(value)
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, range):
        return f"{value[0]} to {value[-1]}"
    if isinstance(value, str):
        return value.replace("_", " ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "all" if value is None else f"{value:g}"


def intervals_of_runs(mean: pd.Series, sd: pd.Series, runs: pd.Series) -> pd.DataFrame:
    """Means with 95 % t intervals over runs, from standard deviations."""
    half = stats.t.ppf(0.975, runs - 1) * sd / np.sqrt(runs)
    return pd.DataFrame({"mean": mean, "low": mean - half, "high": mean + half, "n": runs})
