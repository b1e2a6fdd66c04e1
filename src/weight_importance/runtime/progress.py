"""Progress of a job in lines of text: optimiser steps of training, parts of other work."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Protocol, TypeVar

Part = TypeVar("Part")

INTERVAL = 10.0
"""Seconds between lines."""


class Progress(Protocol):
    """Receives the number of finished optimiser steps."""

    def steps(self, count: int, replicas: int) -> None:
        """Count ``count`` more steps of ``replicas`` replicas."""


class ProgressLine:
    """Prints a line every few seconds: finished steps, rate in replica-steps per second, time left.

    Args:
        steps: number of steps of each task.
        replicas: number of replicas, trained together or in consecutive blocks.
        first_task: number of the first task, counted from 0.
    """

    def __init__(self, steps: Sequence[int], replicas: int, first_task: int = 0) -> None:
        self._replicas, self._first = replicas, first_task
        self._ends = list(accumulate(steps))
        self._done, self._total = 0, self._ends[-1] * replicas
        self._block_done = self._skipped = 0
        self._start = self._said = time.monotonic()

    def skip(self, replicas: int, steps: int) -> None:
        """Count ``steps`` steps of ``replicas`` replicas from an earlier run."""
        self._done += steps * replicas
        self._skipped += steps * replicas
        self._block_done = (self._block_done + steps) % self._ends[-1]

    def steps(self, count: int, replicas: int) -> None:
        self._done += count * replicas
        self._block_done += count
        now = time.monotonic()
        if now - self._said >= INTERVAL or self._done == self._total:
            self._said = now
            rate = (self._done - self._skipped) / (now - self._start)
            task = next(index for index, end in enumerate(self._ends) if self._block_done <= end)
            steps = self._ends[task] - (self._ends[task - 1] if task else 0)
            step = self._block_done - self._ends[task] + steps
            some = "" if replicas == self._replicas else f"{replicas} of {self._replicas} networks: "
            print(
                f"{some}task {self._first + task + 1}/{self._first + len(self._ends)}, step {step}/{steps}, "
                f"{rate:,.0f} replica-steps/s, {(self._total - self._done) / rate:,.0f} s left",
                file=sys.stderr,
                flush=True,
            )
        if self._block_done == self._ends[-1]:
            self._block_done = 0


def counted(parts: Iterable[Part], total: int, unit: str) -> Iterator[Part]:
    """Yield the parts; every few seconds, print the number of finished parts and the time left.

    Args:
        parts: parts of the work, each finished before the next is requested.
        total: number of parts.
        unit: name of the parts, for the line.
    """
    start = last_report = time.monotonic()
    for done, part in enumerate(parts):
        now = time.monotonic()
        if done and now - last_report >= INTERVAL:
            last_report, left = now, (now - start) / done * (total - done)
            print(f"{done}/{total} {unit}, {left:,.0f} s left", file=sys.stderr, flush=True)
        yield part
