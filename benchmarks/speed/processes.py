"""Training as the workflow runs it on a CPU: one process a core, one thread each, every one with a stack of its own."""

import multiprocessing
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection


def split(count: int, parts: int) -> list[range]:
    """The numbers 0, 1, ... in runs as equal as can be; none is empty."""
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
            here, there = context.Pipe()
            context.Process(target=_serve, args=(there,), daemon=True).start()
            self._ends.append(here)

    def job(self, make: Callable[[Sequence[int]], Callable[[], object]], count: int) -> Callable[[], None]:
        """Have every process make its share, and return what runs all shares and waits for them.

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
    """Make what can be called, and run what is numbered."""
    made: list[Callable[[], object]] = []
    while True:
        try:
            asked = end.recv()
        except EOFError:  # nobody asks any more
            return
        try:
            if callable(asked):
                made.append(asked())
            else:
                made[asked]()
            end.send((None, len(made) - 1))
        except Exception as error:  # told to the process that waits
            end.send((repr(error), -1))
