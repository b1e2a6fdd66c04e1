"""Looking over existing results before anything is planned: a damaged one is removed, and so made anew."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from weight_importance.integrity import damage

# Folders of results; what else lies there (logs, the report, a user's own files) is left alone
CHECKED = ("data", "runs", "summary", "notebooks", "figures", "tables", "paper")
SCRATCH = "build"  # LaTeX's


def remove_damaged(results: str | Path, arguments: Sequence[str]) -> None:
    """Name every damaged file on standard error and remove it; only name it in a dry run.

    Args:
        results: the folder of results.
        arguments: Snakemake's command line.
    """
    dry = any(re.fullmatch("--dry-?run|-[a-zA-Z]*n[a-zA-Z]*", argument) for argument in arguments)
    for file, problem in damaged(results):
        print(f"{file}: {problem}: {'would be ' if dry else ''}removed, to be made anew", file=sys.stderr)
        if not dry:
            for victim in (file, file.with_suffix(".html")) if file.suffix == ".ipynb" else (file,):
                victim.unlink(missing_ok=True)  # an executed notebook is a log: it is its page that is made anew


def damaged(results: str | Path) -> Iterator[tuple[Path, str]]:
    """Results that are visibly not whole, with what is wrong with each."""
    for folder in CHECKED:
        for file in sorted(Path(results, folder).rglob("*")):
            # a hidden file is one that a program is writing at this moment
            if file.is_file() and SCRATCH not in file.parts and not file.name.startswith("."):
                problem = damage(file)
                if problem:
                    yield file, problem
