"""Plant each fault of ``faults.py`` in a copy of the repository, and report which faults its tests detect (kill).

Exits with status 1 if a fault survives without a stated reason, or if fewer than 95 % are killed.

    python tests/mutations/plant.py [--workers N] [NAME ...]

NAME is a part of a module's name or of a fault's original text; by default all faults are planted.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from queue import Queue

import pytest
from faults import MODULES, Fault, Module

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from checkout import REPOSITORY, copy_repository

SERVER = get_context("forkserver")
LOADED = ("pytest", "torch", "safetensors.torch", "pandas", "scipy.stats", "pydantic")
FOR_TRACES = (  # loaded by torch when it first takes a trace, in every training
    "torch.fx.experimental.symbolic_shapes", "torch._inductor.compiler_bisector",
    "torch._inductor.fx_passes.dedupe_symint_uses",
)  # fmt: skip
SERVER.set_forkserver_preload([*LOADED, *FOR_TRACES])
OUTPUT = ".pytest.txt"

LEAST = 0.95
SECONDS = 1200
"""Time limit for the tests of one fault; a fault that exceeds it counts as killed."""


def misplaced(modules: Sequence[Module] = MODULES, repository: Path = REPOSITORY) -> list[str]:
    """Faults whose original text does not occur exactly once; raises SyntaxError if a replacement is no Python."""
    problems = []
    for module in modules:
        for fault in module.faults:
            text = (repository / fault.file).read_text(encoding="utf-8") if (repository / fault.file).is_file() else ""
            if text.count(fault.original) != 1:
                problems.append(f"{fault.file}: '{fault.original}' occurs {text.count(fault.original)} times")
            else:
                compile(text.replace(fault.original, fault.replacement), fault.file, "exec")
    return problems


def tests_pass(folder: Path, file: str) -> bool:
    """Whether a file of tests passes in a copy; any outcome other than pass or fail is an error."""
    process = SERVER.Process(target=_run, args=(folder, file))
    process.start()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        return False
    if process.exitcode not in (0, 1):
        output = (folder / OUTPUT).read_text(encoding="utf-8")
        raise SystemExit(f"pytest {file} ended with status {process.exitcode}:\n{output}")
    return process.exitcode == 0


def _run(folder: Path, file: str) -> None:
    """Run pytest in a separate process, with the libraries loaded and the package not loaded."""
    output = os.open(folder / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    own_paths = (str(REPOSITORY / "src"), str(REPOSITORY / "tests"))
    sys.path[:] = [str(folder / "src"), *(path for path in sys.path if not path.startswith(own_paths))]
    for name in ("checkout", "faults"):  # of the repository, not of the copy
        sys.modules.pop(name, None)
    sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", file]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="faults at a time")
    parser.add_argument("names", nargs="*", help="only modules or faults whose name or original text contains one")
    arguments = parser.parse_args()
    if problems := misplaced():
        sys.exit("\n".join(["adapt tests/mutations/faults.py to the code:", *problems]))

    def wanted(module: Module, fault: Fault) -> bool:
        return not arguments.names or any(name in module.name or name in fault.original for name in arguments.names)

    planted = [(module, fault) for module in MODULES for fault in module.faults if wanted(module, fault)]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(arguments.workers) as pool:
        copies: Queue[Path] = Queue()
        for number in range(arguments.workers):
            copy_repository(Path(scratch) / str(number))
            copies.put(Path(scratch) / str(number))
        files = list(dict.fromkeys(file for module, _ in planted for file in module.tests))
        for file, passed in zip(files, pool.map(lambda file: unplanted(copies, file), files), strict=True):
            if not passed:
                sys.exit(f"{file} fails without any fault")
        survived = list(pool.map(lambda pair: survives(copies, *pair), planted))
    sys.exit(report(planted, survived))


def unplanted(copies: Queue[Path], file: str) -> bool:
    """Whether a file of tests passes in an unchanged copy; otherwise it would appear to kill every fault."""
    folder = copies.get()
    try:
        return tests_pass(folder, file)
    finally:
        copies.put(folder)


def survives(copies: Queue[Path], module: Module, fault: Fault) -> bool:
    """Whether the tests of a module pass with a fault."""
    folder = copies.get()
    file = folder / fault.file
    text = file.read_text(encoding="utf-8")
    try:
        _write(file, text.replace(fault.original, fault.replacement))
        survived = all(tests_pass(folder, test) for test in module.tests)
    finally:
        _write(file, text)
        copies.put(folder)
    print(f"{'survived' if survived else 'killed  '} {fault.file}: {fault.replacement.strip()}", flush=True)
    return survived


_times = count(1)


def _write(file: Path, text: str) -> None:
    """Write a file with a new modification time: Python recompiles a module if its time or size changes."""
    file.write_text(text, encoding="utf-8")
    moment = next(_times)
    os.utime(file, (moment, moment))


def report(planted: Sequence[tuple[Module, Fault]], survived: Sequence[bool]) -> int:
    """Print the table of killed faults by module, and the survivors; return the exit status."""
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
