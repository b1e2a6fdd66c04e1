"""Plants each fault of ``faults.py`` in a copy of the repository and runs the tests that cover it: killed or survived?

Ends with status 1 where a fault survives for which no reason is given, or fewer than 95 % are killed.

    python tests/mutations/run.py [--workers N] [NAME ...]    NAME: part of a module's name or of a fault's original text
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from queue import Queue

import pytest

from faults import MODULES, Fault, Module

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from checkout import REPOSITORY, copy_repository  # noqa: E402 (a folder of the tests)

SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(["pytest", "torch", "torch.fx.experimental.symbolic_shapes", "pandas", "scipy.stats"])
OUTPUT = ".pytest.txt"

LEAST = 0.95
SECONDS = 600
"""That the tests of one fault may take; a fault that makes them run on is killed."""


def misplaced(modules: Sequence[Module] = MODULES, repository: Path = REPOSITORY) -> list[str]:
    """Faults whose original text does not occur exactly once in its file, or whose replacement is no Python."""
    problems = []
    for module in modules:
        for fault in module.faults:
            text = (repository / fault.file).read_text(encoding="utf-8") if (repository / fault.file).is_file() else ""
            if text.count(fault.original) != 1:
                problems.append(f"{fault.file}: '{fault.original}' occurs {text.count(fault.original)} times")
            else:
                compile(text.replace(fault.original, fault.replacement), fault.file, "exec")
    return problems


def tests_pass(folder: Path, tests: Sequence[str]) -> bool:
    """Whether the tests pass in a copy; anything else than passing or failing is an error."""
    process = SERVER.Process(target=_run, args=(folder, [*tests]))
    process.start()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        return False
    if process.exitcode not in (0, 1):
        output = (folder / OUTPUT).read_text(encoding="utf-8")
        raise SystemExit(f"pytest {' '.join(tests)} ended with status {process.exitcode}:\n{output}")
    return process.exitcode == 0


def _run(folder: Path, tests: list[str]) -> None:
    """In a process of its own, in which the libraries are loaded and the package is not."""
    output = os.open(folder / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    sys.path[:0] = [str(folder / "src")]
    sys.dont_write_bytecode = True
    sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="faults at a time")
    parser.add_argument("names", nargs="*", help="only modules or faults whose name or original text contains one")
    arguments = parser.parse_args()
    if problems := misplaced():
        sys.exit(
            "these faults of tests/mutations/faults.py no longer fit the code; adapt them:\n" + "\n".join(problems)
        )

    def wanted(module: Module, fault: Fault) -> bool:
        return not arguments.names or any(name in module.name or name in fault.original for name in arguments.names)

    planted = [(module, fault) for module in MODULES for fault in module.faults if wanted(module, fault)]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(arguments.workers) as pool:
        copies: Queue[Path] = Queue()
        for number in range(arguments.workers):
            copy_repository(Path(scratch) / str(number))
            copies.put(Path(scratch) / str(number))

        def survives(module: Module, fault: Fault | None) -> bool:
            folder = copies.get()
            try:
                if fault is None:
                    return tests_pass(folder, module.tests)
                file = folder / fault.file
                text = file.read_text(encoding="utf-8")
                file.write_text(text.replace(fault.original, fault.replacement), encoding="utf-8")
                try:
                    survived = tests_pass(folder, [*fault.tests, *module.tests])
                finally:
                    file.write_text(text, encoding="utf-8")
                print(f"{'SURVIVED' if survived else 'killed  '} {fault.file}: {fault.replacement.strip()}", flush=True)
                return survived
            finally:
                copies.put(folder)

        modules = list(dict.fromkeys(module for module, _ in planted))
        for module, whole in zip(modules, pool.map(lambda module: survives(module, None), modules), strict=True):
            if not whole:
                sys.exit(f"the tests of '{module.name}' fail without any fault: {' '.join(module.tests)}")
        survived = list(pool.map(lambda pair: survives(*pair), planted))
    sys.exit(report(planted, survived))


def report(planted: Sequence[tuple[Module, Fault]], survived: Sequence[bool]) -> int:
    """Prints the table of killed faults by module, and the survivors; returns the exit status."""
    print(f"\n{'module':32} {'planted':>8} {'killed':>8}")
    for module in dict.fromkeys(module for module, _ in planted):
        lived = [alive for (owner, _), alive in zip(planted, survived, strict=True) if owner == module]
        print(f"{module.name:32} {len(lived):8} {len(lived) - sum(lived):8}")
    print(f"{'all':32} {len(planted):8} {len(planted) - sum(survived):8}")
    survivors = [fault for (_, fault), alive in zip(planted, survived, strict=True) if alive]
    for fault in survivors:
        print(f"survived: {fault.file}: {fault.original.strip()} -> {fault.replacement.strip()}")
        print(f"          {fault.survives or 'no reason is known: a test is missing'}")
    stale = [fault for (_, fault), alive in zip(planted, survived, strict=True) if fault.survives and not alive]
    for fault in stale:
        print(f"killed after all, remove its reason: {fault.file}: {fault.original.strip()}")
    enough = len(survivors) <= (1 - LEAST) * len(planted)
    return int(bool(stale) or not enough or not all(fault.survives for fault in survivors))


if __name__ == "__main__":
    main()
