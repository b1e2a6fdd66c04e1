"""Paths of the workflow's own files: relative if it runs in its own folder, absolute in any other folder.

Results are always relative to the folder that the workflow runs in (``snakemake --directory``).
"""

import os
from pathlib import Path

ROOT = Path(__file__).absolute().parents[2]
"""The folder that contains the workflow, the package, the notebooks and the text of the paper."""


def source(path: str) -> str:
    """A file or folder of the workflow."""
    return path if ROOT.samefile(os.curdir) else str(ROOT / path)


def name(path: str) -> str:
    """The same path relative to the workflow's folder, wherever the workflow runs."""
    return str(Path(path).relative_to(ROOT)) if Path(path).is_relative_to(ROOT) else path
