"""Training as the workflow runs it on a CPU: one process per core with one thread and a separate stack of replicas."""

import multiprocessing
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection


def split(count: int, parts: int) -> list[range]:
    """The numbers 0, 1, ... in contiguous parts of nearly equal size; none is empty."""
    parts = min(count, parts)
    ends = [count * part // parts for part in range(parts + 1)]
    return [range(*pair) for pair in pairwise(ends)]


class Team:
    """Processes of one thread each, which run their shares of a job at the same time.

    Args:
        size: number of processes.
    """

    def __init__(self, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends: list[Connection] = []
        for _ in range(size):
            own_end, other_end = context.Pipe()
            context.Process(target=_serve, args=(other_end,), daemon=True).start()
            self._ends.append(own_end)

    def job(self, make: Callable[[Sequence[int]], Callable[[], object]], count: int) -> Callable[[], None]:
        """Make every process prepare its share; return a function that runs all shares and waits for them.

        Args:
            make: ``seeds -> run``; must be picklable.
            count: of seeds, which the processes share out.
        """
        shares = split(count, len(self._ends))
        ends = self._ends[: len(shares)]
        for end, share in zip(ends, shares, strict=True):
            end.send(partial(make, share))
        numbers = [self._answer(end) for end in ends]

        def run() -> None:
            for end, number in zip(ends, numbers, strict=True):
                end.send(number)
            for end in ends:
                self._answer(end)

        return run

    @staticmethod
    def _answer(end: Connection) -> int:
        problem, number = end.recv()
        if problem:
            raise RuntimeError(f"a process of the benchmark failed: {problem}")
        return number


def _serve(end: Connection) -> None:
    """Prepare a job when a callable arrives, and run a job when its number arrives."""
    made: list[Callable[[], object]] = []
    while True:
        try:
            asked = end.recv()
        except EOFError:  # the parent process has ended
            return
        try:
            if callable(asked):
                made.append(asked())
            else:
                made[asked]()
            end.send((None, len(made) - 1))
        except Exception as error:  # reported to the waiting process
            end.send((repr(error), -1))
