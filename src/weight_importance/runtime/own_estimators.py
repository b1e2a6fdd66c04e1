"""The user's own estimators: an environment variable lists their files, one estimator each.

All programs and notebooks of a workflow share them in this way.
"""

import os
from pathlib import Path

VARIABLE = "IMPORTANCE_ATLAS_ESTIMATORS"
"""The environment variable; files are separated as in ``PATH``."""


def own_files() -> dict[str, Path]:
    """The files by name of the estimator, sorted, so that the order does not depend on the configuration."""
    files = (Path(file) for file in os.environ.get(VARIABLE, "").split(os.pathsep) if file)
    return {file.stem: file for file in sorted(files, key=lambda file: file.stem)}
