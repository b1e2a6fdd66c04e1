"""Importances in a safetensors file: one tensor per parameter, and a header that describes them.

Any program that reads safetensors can load the file; loading executes no code.
"""

import json
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from weight_importance.runtime.errors import UserError

FORMAT = "weight-importance 1"
"""Value of the header's entry ``format``."""


def save_importance(
    path: str | Path, importance: Mapping[str, Tensor], *, estimator: str, data: str = "", samples: int | None = None
) -> None:
    """Write an importance with a header, atomically: the file appears only when complete.

    Args:
        path: file to write, ``.safetensors``.
        importance: parameter name → tensor of any shape.
        estimator: name of the estimator.
        data: description of the data.
        samples: number of samples.

    Raises:
        UserError: the folder does not exist.
    """
    header = {
        "format": FORMAT,
        "estimator": estimator,
        "data": data,
        "samples": "" if samples is None else str(samples),
        "versions": json.dumps({"weight-importance": _version(), "torch": torch.__version__}, sort_keys=True),
    }
    path = Path(path)
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file({name: value.detach().cpu().contiguous() for name, value in importance.items()}, unfinished, header)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_importance(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read an importance and its header: ``estimator``, ``data``, ``samples``, ``versions``.

    Args:
        path: file written by :func:`weight_importance.save_importance`.

    Returns:
        parameter name → tensor; and the header, key → text.

    Raises:
        UserError: the file does not exist, or contains no importance.
    """
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            importance = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read importances from {path}: {error}") from error
    if header.get("format") != FORMAT:
        raise UserError(
            f"{path} contains no importances: its header has the format {header.get('format')!r}, not {FORMAT!r}"
        )
    return importance, header


def _version() -> str:
    try:
        return version("weight-importance")
    except PackageNotFoundError:
        return "not installed"
