"""Check every result against its seal (a checksum) and its provenance record; set damaged results aside.

A damaged result is renamed to NAME.altered, in case a person has edited it; the next run makes the result again.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

from weight_importance.files.integrity import judged
from weight_importance.files.provenance import record_of
from weight_importance.runtime.errors import run_program
from weight_importance.runtime.lock import RunLock

RESULTS, LOCK = Path("results"), ".snakemake/run.lock"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    RunLock(LOCK).acquire()  # a run may be replacing a result
    results = [*sealed(RESULTS)]
    damaged = {file: problem for file in results if (problem := damage(file))}
    for file, problem in damaged.items():
        aside = set_aside(file)
        print(f"{file}: {problem}; renamed to {aside.name}", file=sys.stderr)
    if damaged:
        sys.exit(
            f"{len(damaged)} of {len(results)} results are damaged and were set aside; "
            "repeat the command of the run to recompute them."
        )
    print(f"All {len(results)} results match their checksums.")


def sealed(folder: Path) -> Iterator[Path]:
    """Results in a folder with a seal, except checkpoints, which their jobs check."""
    for seal in sorted(folder.rglob(".*.sha256")):
        file = seal.with_name(seal.name.removeprefix(".").removesuffix(".sha256"))
        if file.is_file() and file.suffix != ".checkpoint":
            yield file


def damage(file: Path) -> str | None:
    """The problem with a result or its provenance record; ``None`` if there is none."""
    sha256, problem = judged(file)
    if problem:
        return problem
    record = record_of(file)
    try:
        recorded = json.loads(record.read_text(encoding="utf-8"))["sha256"]
    except FileNotFoundError:
        return f"its origin is unknown ({record.name} is missing)"
    except (OSError, ValueError, KeyError, TypeError):
        return f"its origin is unknown ({record.name} is damaged)"
    return None if recorded == sha256 else f"its origin is unknown ({record.name} describes other content)"


def set_aside(file: Path) -> Path:
    """Rename a damaged result to ``NAME.altered``, or to ``NAME.2.altered`` and so on if that exists."""
    names = chain([""], (f".{number}" for number in count(2)))
    candidates = (file.with_name(f"{file.name}{number}.altered") for number in names)
    aside = next(candidate for candidate in candidates if not candidate.exists())
    file.rename(aside)
    if file.suffix == ".ipynb":  # Snakemake makes this log again only if its page is missing
        file.with_suffix(".html").unlink(missing_ok=True)
    return aside


if __name__ == "__main__":
    run_program(main)
