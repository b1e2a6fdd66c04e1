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
    """Processes that each make something to run once, and run it whenever all are told to.

    Args:
        make: ``seeds -> run``, called in every process with its own seeds; must be picklable.
        seeds: of every process.
    """

    def __init__(self, make: Callable[[Sequence[int]], Callable[[], object]], seeds: Sequence[Sequence[int]]) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends: list[Connection] = []
        for own in seeds:
            here, there = context.Pipe()
            context.Process(target=_serve, args=(partial(make, own), there), daemon=True).start()
            self._ends.append(here)
        self._wait()

    def __call__(self) -> None:
        for end in self._ends:
            end.send(True)
        self._wait()

    def close(self) -> None:
        """End the processes."""
        for end in self._ends:
            end.send(False)

    def _wait(self) -> None:
        for end in self._ends:
            problem = end.recv()
            if problem:
                raise RuntimeError(f"a process of the benchmark failed: {problem}")


def _serve(make: Callable[[], Callable[[], object]], end: Connection) -> None:
    try:
        run = make()
        end.send(None)
        while end.recv():
            run()
            end.send(None)
    except Exception as error:  # told to the process that waits
        end.send(repr(error))
