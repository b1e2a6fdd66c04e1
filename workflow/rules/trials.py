"""Trial of the user's own estimators before a run; see :mod:`weight_importance.estimators.trial`.

A trial loads PyTorch, which takes seconds; ``.snakemake/tried`` lists hashes of files that passed, so each content is
tried once.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from weight_importance.runtime.own_estimators import VARIABLE

TRIED = Path(".snakemake/tried")


def require(own: Mapping[str, str]) -> None:
    """End the program with one message if an estimator fails; ``own`` names the files."""
    passed = set(TRIED.read_text(encoding="utf-8").split()) if TRIED.is_file() else set()
    hashes = {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in own.values()}
    new = [os.path.abspath(file) for file, digest in hashes.items() if digest not in passed]
    if not new:
        return
    command = [sys.executable, "-m", "weight_importance.estimators.trial"]
    trial = subprocess.run(
        command, env=os.environ | {VARIABLE: os.pathsep.join(new)}, capture_output=True, text=True, check=False
    )
    if trial.returncode:
        sys.exit(trial.stderr.strip() or f"error: the trial of {', '.join(new)} ended with status {trial.returncode}")
    TRIED.parent.mkdir(exist_ok=True)
    TRIED.write_text("\n".join(sorted({*passed, *hashes.values()})), encoding="utf-8")
