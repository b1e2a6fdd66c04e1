"""Before anything is planned: what killed runs left is cleared away, a damaged result is set aside, to be made anew."""

import fcntl
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import TextIO

from command_line import LOCAL, Asked, asked
from weight_importance.files.integrity import judged, seal_of
from weight_importance.files.provenance import record_of

LEAST_FREE = 2 * 2**20
"""Bytes of the disk below which nothing is begun."""

ALIVE = "run.lock"
"""A file in Snakemake's folder that every run holds a shared lock on; it is gone with the run, however that dies."""

LAST = re.compile(r"process \d+ on (?P<host>.*), executor (?P<executor>.*)\n")
"""What stands in it: the last run that was alone."""

WHOLE = "whole.json"
"""A file in Snakemake's folder: by what marks results were found whole, so that they need not be read again."""

SETTLED = 2 * 10**9
"""Nanoseconds after which a change gets another date, however coarse a file system's dates are."""

Marks = dict[str, list]
"""Of files: size, dates and number of each, of its seal and of its record."""

_held: list[TextIO] = []
"""Open for as long as this process lives."""


def begin(state: str | Path, results: str | Path, arguments: Sequence[str]) -> None:
    """Clear up before anything is planned; beside a run that may live, or where nothing is run, nothing is touched.

    Args:
        state: Snakemake's folder.
        results: the folder of results.
        arguments: Snakemake's command line.

    Raises:
        SystemExit: the disk is as good as full.
    """
    wanted = asked(arguments)
    if not wanted.runs or take_over(state, results, wanted.executor):
        set_damaged_aside(state, results, wanted)


def take_over(state: str | Path, results: str | Path, executor: str) -> bool:
    """Clear away what runs left that were killed, if none can be alive that has to do with it.

    These are Snakemake's locks, by which it would refuse to go on, and half-written files.

    Args:
        state: Snakemake's folder.
        results: the folder of results.
        executor: what will run this run's jobs.

    Returns:
        whether this run is alone: no other writes results.

    Raises:
        SystemExit: the disk is as good as full.
    """
    refuse_full_disk(results)
    state = Path(state)
    state.mkdir(exist_ok=True)
    file = open(state / ALIVE, "a+", encoding="utf-8")  # noqa: SIM115 (held to the end)
    _held.append(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        print(f"another run is at work here ({file.read().strip()})", file=sys.stderr)
        fcntl.flock(file, fcntl.LOCK_SH)
        return False
    except OSError:
        return not _locks(state)  # a file system without such locks: Snakemake's own decide
    file.seek(0)
    last, here = LAST.fullmatch(file.read()), socket.gethostname()
    if last and last["executor"] != LOCAL:
        if _locks(state):
            print(_jobs_may_live(state, last), file=sys.stderr)
    # a lock seen from one machine only, as on some network disks, says nothing about runs on others
    elif last and last["host"] == here:
        _clear(state, Path(results))
    alone = not _locks(state)
    if alone:  # else the file goes on to say whose Snakemake's locks are
        file.truncate(0)
        file.write(f"process {os.getpid()} on {here}, executor {executor}\n")
        file.flush()
    fcntl.flock(file, fcntl.LOCK_SH)
    return alone


def _locks(state: Path) -> list[Path]:
    """Snakemake's own locks."""
    return [*(state / "locks").glob("*")]


def _jobs_may_live(state: Path, last: re.Match) -> str:
    """What to do where a run was killed whose jobs are no processes of this machine."""
    return (
        f"{state / 'locks'}: left by a run that was killed, or is still at work ({last[0].strip()}). Its jobs may "
        "still write here: nothing is cleared away. See to it that neither the run nor any of its jobs is left (Slurm: "
        "squeue --me, then scancel), unlock the folder by 'snakemake --unlock', then run the same command again."
    )


def _clear(state: Path, results: Path) -> None:
    """Remove the locks and half-written files of runs that are dead."""
    if _locks(state):
        print(f"{state / 'locks'}: left by a run that was killed; removed", file=sys.stderr)
        shutil.rmtree(state / "locks")
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


def set_damaged_aside(state: str | Path, results: str | Path, wanted: Asked) -> None:
    """Name every damaged file on standard error and rename it to ``NAME.altered``, in case a person wrote into it.

    Where Snakemake will run nothing it is only named, and where it plans (a dry run) counted as absent, as in the run
    itself.

    Args:
        state: Snakemake's folder.
        results: the folder of results.
        wanted: what is asked of Snakemake.
    """
    remembered = _remembered(Path(state) / WHOLE)
    whole: Marks = {}
    gone: set[Path] = set()
    for file, problem in damaged(results, remembered, whole):
        if file.suffix == ".checkpoint":  # nobody wrote into it: its job was killed while it wrote it
            if wanted.runs:
                file.unlink()
            continue
        aside = _aside(file)
        told = "renamed" if wanted.runs else "would be renamed"
        print(f"{file}: {problem}: {told} to {aside.name}; made anew when needed", file=sys.stderr)
        gone.add(file)
        page = file.with_suffix(".html")
        if file.suffix == ".ipynb":  # an executed notebook is a log: it is its page that is made anew
            gone.add(page)
        if wanted.runs:
            file.replace(aside)
            if page in gone:
                page.unlink(missing_ok=True)
    if whole != remembered:
        _remember(Path(state) / WHOLE, whole)
    if gone and wanted.plans:
        count_as_absent(gone)


def _aside(file: Path) -> Path:
    """Where a damaged file goes: ``NAME.altered``, or, lest an earlier one is lost, ``NAME.2.altered`` and so on."""
    names = (f"{file.name}{number}.altered" for number in chain([""], map(".{}".format, count(2))))
    return next(aside for aside in map(file.with_name, names) if not aside.exists())


def count_as_absent(files: Collection[Path]) -> None:
    """Have Snakemake, in this process, plan as if ``files`` were not there; it has no option for that."""
    from snakemake.io import _IOFile

    names, exists = {str(file) for file in files}, _IOFile.exists_local

    async def exists_local(file: _IOFile) -> bool:
        return str(file) not in names and await exists(file)

    _IOFile.exists_local = exists_local


def damaged(results: str | Path, remembered: Marks, whole: Marks) -> Iterator[tuple[Path, str]]:
    """Results that are not what was written, or lack their record, and what is wrong; without a seal they are not ours.

    Args:
        results: the folder of results.
        remembered: marks of files that were found whole earlier; these are not read again.
        whole: is given the marks of all files that are whole.
    """
    for seal in sorted(Path(results).rglob(".*.sha256")):
        file = seal.with_name(seal.name.removeprefix(".").removesuffix(".sha256"))
        if not file.is_file():
            continue
        now, marks = time.time_ns(), _marks(file)
        if remembered.get(str(file)) != marks:
            sha256, problem = judged(file)
            problem = problem or _record_damage(file, sha256)
            if problem:
                yield file, problem
                continue
            if max(mark[1] for mark in marks) > now - SETTLED:  # a change right now might leave the same marks
                continue
        whole[str(file)] = marks


def _record_damage(file: Path, sha256: str) -> str | None:
    """What is wrong with the record of a file that is whole."""
    record = record_of(file)
    try:
        of = json.loads(record.read_text(encoding="utf-8"))["sha256"]
    except FileNotFoundError:
        return f"what it was made from is not known ({record.name} is gone)"
    except (OSError, ValueError, KeyError, TypeError):
        return f"what it was made from is not known ({record.name} is damaged)"
    return None if of == sha256 else f"what it was made from is not known ({record.name} is of other content)"


def _marks(file: Path) -> list[list[int]]:
    """What no change leaves as it is, of a file, its seal and its record: size, both dates, number; nothing of none."""
    states = [path.stat() for path in (file, seal_of(file), record_of(file)) if path.exists()]
    return [[state.st_size, state.st_ctime_ns, state.st_mtime_ns, state.st_ino] for state in states]


def _remembered(file: Path) -> Marks:
    """What :func:`_remember` kept; nothing where that cannot be read."""
    with suppress(OSError, ValueError):
        kept = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(kept, dict):
            return kept
    return {}


def _remember(file: Path, whole: Marks) -> None:
    """Keep marks for the next start; where that cannot be, it reads all files again."""
    temporary = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        try:
            temporary.write_text(json.dumps(whole), encoding="utf-8")
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
