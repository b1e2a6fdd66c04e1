"""Record of the presets behind the results in a folder, so that another preset does not replace them unnoticed."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import places
from weight_importance.runtime.errors import UserError
from weight_importance.settings import Configuration

RECORD = Path("results/.presets.json")


def claim(configuration: Configuration, files: Iterable[str | Path]) -> None:
    """Record the presets of a run; ignore other files and changed settings.

    Args:
        configuration: the settings of the run.
        files: its configuration files.

    Raises:
        UserError: the results have other presets with other settings.
    """
    folder = (places.ROOT / "presets").resolve()
    names = [f"presets/{Path(file).name}" for file in files if Path(file).resolve().parent == folder]
    digest = hashlib.sha256(configuration.sorted_json().encode()).hexdigest()
    if RECORD.is_file():
        before = json.loads(RECORD.read_text(encoding="utf-8"))
        if before["presets"] != names and before["configuration"] != digest:
            raise UserError(
                f"results/ contains results of {_named(before['presets'])}, and this run, of {_named(names)}, would "
                "replace some of them. To keep both, run in another folder: add --directory FOLDER. To replace them, "
                f"delete {RECORD}, then run the same command again."
            )
    RECORD.parent.mkdir(exist_ok=True)
    partial = RECORD.with_suffix(".partial")
    partial.write_text(json.dumps({"presets": names, "configuration": digest}), encoding="utf-8")
    os.replace(partial, RECORD)


def _named(presets: list[str]) -> str:
    return " with ".join(["config.yaml", *presets])
