"""Before anything is planned: what killed runs left is cleared away, a damaged result is set aside, to be made anew."""

import fcntl
import os
import re
import shutil
import socket
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from weight_importance.integrity import damage

# Snakemake's options with which nothing is run: then nothing is renamed either
ONLY_TELLS = re.compile(
    "--(dry-?run|lint|report|dag|rulegraph|filegraph|d3dag|list.*|l[tcipu]|summary|detailed-summary|unlock|touch|archive|"
    "generate-unit-tests|containerize|export-cwl|cleanup-.*|cm|conda-.*|delete-.*|print-compilation)(=.*)?|"
    "-[a-zA-Z]*n[a-zA-Z]*|-[lSDt]"
)


# Those of them that tell what would be run
PLANS = re.compile(
    "--(dry-?run|dag|rulegraph|filegraph|d3dag|summary|detailed-summary)(=.*)?|-[a-zA-Z]*n[a-zA-Z]*|-[SD]"
)

LEAST_FREE = 2 * 2**20
"""Bytes of the disk below which nothing is begun."""

ALIVE = "run.lock"
"""A file in Snakemake's folder that every run holds a shared lock on; it is gone with the run, however that dies."""

_held: list[TextIO] = []
"""Open for as long as this process lives."""


def take_over(state: str | Path, results: str | Path, arguments: Sequence[str]) -> None:
    """Clear away what runs left that were killed, unless one is still alive here; nothing where nothing will run.

    These are Snakemake's locks, by which it would refuse to go on, and half-written files.

    Args:
        state: Snakemake's folder.
        results: the folder of results.
        arguments: Snakemake's command line.

    Raises:
        SystemExit: the disk is as good as full.
    """
    if _only_tells(arguments):
        return
    refuse_full_disk(results)
    alive = Path(state) / ALIVE
    known = alive.exists()
    alive.parent.mkdir(exist_ok=True)
    file = open(alive, "a+", encoding="utf-8")  # noqa: SIM115 (held to the end)
    _held.append(file)
    here = socket.gethostname()
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        print(f"another run is at work here ({file.read().strip()})", file=sys.stderr)
    except OSError:
        return  # a file system without such locks: Snakemake's own decide
    else:
        file.seek(0)
        last = file.read()
        # a lock seen from one machine only, as on some network disks, says nothing about runs on others
        if known and last.endswith(f" on {here}\n"):
            _clear(Path(state), Path(results))
        file.truncate(0)
        file.write(f"process {os.getpid()} on {here}\n")
        file.flush()
    fcntl.flock(file, fcntl.LOCK_SH)


def _clear(state: Path, results: Path) -> None:
    """Remove the locks and half-written files of runs that are dead."""
    locks = state / "locks"
    if locks.is_dir() and any(locks.iterdir()):
        print(f"{locks}: left by a run that was killed; removed", file=sys.stderr)
        shutil.rmtree(locks)
    for file in results.rglob(".*.partial"):
        print(f"{file}: left half-written by a run that was killed; removed", file=sys.stderr)
        file.unlink(missing_ok=True)


def refuse_full_disk(results: str | Path) -> None:
    """Stop with a message where the disk has no room for a run."""
    place = Path(results).resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE:
        while not os.path.ismount(place):
            place = place.parent
        raise SystemExit(
            f"error: {results} cannot be written: the disk mounted at {place} is full ({free / 2**20:.1f} MB free). "
            "Make space on it, then run the same command again; finished results are kept."
        )


def _only_tells(arguments: Sequence[str]) -> bool:
    return any(ONLY_TELLS.fullmatch(argument) for argument in arguments)


def set_damaged_aside(results: str | Path, arguments: Sequence[str]) -> None:
    """Name every damaged file on standard error and rename it to ``NAME.altered``, in case a person wrote into it.

    Where Snakemake will run nothing it is only named, and where it plans (a dry run) counted as absent, as in the run
    itself.

    Args:
        results: the folder of results.
        arguments: Snakemake's command line.
    """
    only_tells = _only_tells(arguments)
    gone: set[Path] = set()
    for file, problem in damaged(results):
        if file.suffix == ".checkpoint":  # nobody wrote into it: its job was killed while it wrote it
            if not only_tells:
                file.unlink()
            continue
        aside = file.with_name(f"{file.name}.altered")
        told = "would be renamed" if only_tells else "renamed"
        print(f"{file}: {problem}: {told} to {aside.name}; made anew when needed", file=sys.stderr)
        gone.add(file)
        page = file.with_suffix(".html")
        if file.suffix == ".ipynb":  # an executed notebook is a log: it is its page that is made anew
            gone.add(page)
        if not only_tells:
            file.replace(aside)
            if page in gone:
                page.unlink(missing_ok=True)
    if gone and any(PLANS.fullmatch(argument) for argument in arguments):
        count_as_absent(gone)


def count_as_absent(files: Collection[Path]) -> None:
    """Have Snakemake, in this process, plan as if ``files`` were not there; it has no option for that."""
    from snakemake.io import _IOFile

    names, exists = {str(file) for file in files}, _IOFile.exists_local

    async def exists_local(file: _IOFile) -> bool:
        return str(file) not in names and await exists(file)

    _IOFile.exists_local = exists_local


def damaged(results: str | Path) -> Iterator[tuple[Path, str]]:
    """Results that are not what was written, with what is wrong with each; files without a seal are not ours."""
    for seal in sorted(Path(results).rglob(".*.sha256")):
        file = seal.with_name(seal.name.removeprefix(".").removesuffix(".sha256"))
        problem = damage(file) if file.is_file() else None
        if problem:
            yield file, problem
