"""Lock on a folder of results: one run at a time. Independent of Snakemake and of the computations.

The operating system releases the lock (flock) whenever the process ends, so a killed run leaves nothing to unlock.
Only cluster jobs outlive their run; the lock file records that there are such jobs.
"""

import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import TextIO

from weight_importance.runtime.errors import UserError

CLUSTER = "with jobs on a cluster"


class RunLock:
    """The lock of one run.

    Args:
        path: the lock file; its content describes the process that holds the lock.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: TextIO | None = None

    def acquire(self, cluster: bool = False) -> None:
        """Hold the lock until :meth:`release` or the end of this process.

        Args:
            cluster: whether the run's jobs are on a cluster and may outlive the run.

        Raises:
            UserError: another run holds the lock, or a killed run may have left jobs on a cluster.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 (open until the lock is released)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another run is at work in this folder ({_content(file)}). Wait until it ends, or stop it; then run "
                "the same command again."
            ) from None
        except OSError as error:
            print(
                f"warning: cannot lock {self.path}: {error.strerror}. Make sure that no other run works here.",
                file=sys.stderr,
            )
        if CLUSTER in _content(file):
            raise UserError(
                f"the last run in this folder ({_content(file)}) was killed, and its jobs may still write results. "
                f"Cancel them (Slurm: squeue --me, then scancel), delete {self.path}, then run the same command again."
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}" + f", {CLUSTER}" * cluster)
        file.flush()
        self._file = file

    def release(self) -> None:
        """Release the lock if it is held."""
        if self._file:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def _content(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip()
