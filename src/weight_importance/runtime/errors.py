"""Errors that a user can fix: their exception class, and the wrapper in which every command-line program runs.

Independent of Snakemake and of all stages.
"""

import errno
import os
import resource
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from types import FrameType

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and an exhausted quota."""

LEAST_FREE = 2 * 2**20
"""Free disk space (bytes) that a run needs to start."""

RUN = "IMPORTANCE_ATLAS_RUN"
"""Environment variable: the process of the run that started a program. A program ends with its run."""

GRACE = 10.0
"""Seconds for a program to clean up after its run ends."""


class UserError(Exception):
    """An error that the user can fix; its text states the problem, the allowed values and where to fix it."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Error for a name not in ``known``, with the nearest known name as a hint."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UserError(f"unknown {kind} '{name}'.{hint} Known: {', '.join(known)}.")


def full_disk(path: str | Path) -> UserError:
    """Error for a file that cannot be written because the disk is full."""
    place = Path(path).resolve()
    while not os.path.ismount(place):
        place = place.parent
    free = shutil.disk_usage(place).free / 2**20
    return UserError(
        f"cannot write {path}: the disk mounted at {place} is full ({free:.1f} MB free, or a quota is used up). Make "
        "space on it, then run the same command again; finished results are kept."
    )


def require_space(path: str | Path) -> None:
    """Raise an error if less than :data:`LEAST_FREE` bytes are free on the disk of a file or folder."""
    place = Path(path).resolve()
    while not place.exists():
        place = place.parent
    if shutil.disk_usage(place).free < LEAST_FREE:
        raise full_disk(path)


def run_program(main: Callable[[], None]) -> None:
    """Run ``main``; print an error that the user can fix as one message and exit with status 1.

    The program cleans up and ends on SIGTERM, and when the process named by :data:`RUN` or its own parent dies.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _end_with_run()
        start = time.monotonic(), _processor_seconds()
        main()
        if RUN in os.environ:
            _print_cost(*start)
    except UserError as error:
        sys.exit(f"error: {error}")
    except SystemExit as error:
        if error.code == 2:  # argparse has printed the error
            print(f"'python {sys.argv[0]} --help' describes each option.", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        sys.exit("interrupted: no half-written file was kept; the same command continues")
    except (MemoryError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno in FULL:  # an error without a file name is from the log
            sys.exit(f"error: {full_disk(error.filename or '.')}")
        if isinstance(error, OSError) or not _is_about_memory(error):
            raise
        sys.exit(
            f"error: memory ran out ({error}). Run fewer jobs in parallel (--cores 1), or put fewer networks into a "
            "job (shard_size in the config), then run the same command again: it continues from the finished results."
        )


def _print_cost(start: float, processor: float) -> None:
    """Print how long a job ran since ``start``, its processor time, and the largest memory of its processes."""
    seconds, processor = time.monotonic() - start, _processor_seconds() - processor
    memory = max(part.ru_maxrss for part in _usage()) / 2**10
    with suppress(OSError):  # a full disk: the results are complete
        print(f"{seconds:.1f} s, processor {processor:.1f} s, memory {memory:.0f} MB", file=sys.stderr)


def _processor_seconds() -> float:
    return sum(part.ru_utime + part.ru_stime for part in _usage())


def _usage() -> list[resource.struct_rusage]:
    """Resources that this process and its finished child processes have used."""
    return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]


def _is_about_memory(error: Exception) -> bool:
    """Whether memory ran out; torch reports this only in the text of its errors."""
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def this_run() -> str:
    """Value of :data:`RUN` for this process: its process ID and the namespace of this ID."""
    return f"{os.getpid()} {_namespace()}"


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _end_with_run() -> None:
    """End this program when its run or its parent dies, if the system can report their death (Linux)."""
    run, _, namespace = os.environ.get(RUN, "").partition(" ")
    if not run.isdecimal() or namespace != _namespace() or not hasattr(os, "pidfd_open"):
        return
    death = select.poll()
    try:
        for process in (int(run), os.getppid()):
            death.register(os.pidfd_open(process), select.POLLIN)
    except ProcessLookupError:
        raise KeyboardInterrupt from None  # the run or parent died while this program was loading
    except OSError:
        return  # an older system

    main = threading.get_ident()

    def wait() -> None:
        death.poll()
        signal.pthread_kill(main, signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
