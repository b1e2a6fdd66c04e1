"""Programs as forks of a process in which PyTorch and the other libraries are loaded.

Starting Python and loading libraries takes longer than most programs in tests. A server loads the libraries once;
every run is a fork of it with separate memory, environment, folder and output, and without the project's modules. Fault
tests and ``make test-docs`` start programs as ``python program.py``.

The record of a result of such a run names the versions of all libraries loaded below, including those that the program
never loads: tests of versions in records start programs like users.
"""

import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / "workflow/scripts"

SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "torch",
        # loaded by torch when it first takes a trace, in every training
        "torch.fx.experimental.symbolic_shapes",
        "torch._inductor.compiler_bisector",
        "torch._inductor.fx_passes.dedupe_symint_uses",
        "safetensors.torch",
        "seaborn",
        "ipykernel.kernelapp",
        "jsonschema",
        "requests",
        "snakemake.cli",
        "snakemake.profiles",
        "snakemake.report.html_reporter",
        "yte",
    ]
)

LOCK = threading.Lock()
"""Held while a process is started or its exit status is read: neither is thread-safe."""

Done = subprocess.CompletedProcess[str]
"""Exit status and output of a run."""


def _is_in_repository(path: str) -> bool:
    """Whether an entry of the path is in the repository, outside its environment: added for the tests."""
    place = Path(path).resolve()
    return place.is_relative_to(REPOSITORY) and not place.is_relative_to(Path(sys.prefix).resolve())


LIBRARIES = [str(REPOSITORY / "src"), *(path for path in sys.path if path and not _is_in_repository(path))]
"""The path of a program after its folder: the package, Python and its environment."""


def run(
    program: str | Path, *arguments: object, cwd: str | Path | None = None, env: Mapping[str, str] | None = None
) -> Done:
    """Run a program to its end, as ``subprocess.run`` does with its output captured as text.

    Args:
        program: a Python file, or the name of a program in ``workflow/scripts`` without suffix.
        arguments: its command line.
        cwd: the folder of the run; by default the current one.
        env: its environment; by default the current one.
    """
    file = Path(program) if str(program).endswith(".py") else SCRIPTS / f"{program}.py"
    return _fork(partial(runpy.run_path, str(file.resolve())), str(file.resolve().parent), arguments, cwd, env)


def run_module(
    module: str, *arguments: object, cwd: str | Path | None = None, env: Mapping[str, str] | None = None
) -> Done:
    """Run a module to its end, like ``python -m``: with the folder on the path."""
    return _fork(partial(runpy.run_module, module, alter_sys=True), os.fspath(cwd or Path.cwd()), arguments, cwd, env)


def _fork(
    begin: Callable, path: str, arguments: Iterable[object], cwd: str | Path | None, env: Mapping[str, str] | None
) -> Done:
    """Fork, run and wait; ``path`` is the program's folder, which comes first on its path."""
    command = [sys.executable, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        for output in outputs:
            output.touch()
        given = (begin, path, command, os.fspath(cwd or Path.cwd()), dict(env or os.environ), outputs)
        process = SERVER.Process(target=_become, args=given)
        with LOCK:
            process.start()
        wait([process.sentinel])
        with LOCK:
            process.join()
        return Done(command, process.exitcode, *(output.read_text() for output in outputs))


def assert_refused(done: Done, *words: str) -> None:
    """Assert that the program ended with one message that contains these words, without a stack trace."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def _become(
    begin: Callable, path: str, command: list[str], folder: str, environment: dict[str, str], outputs: list[Path]
) -> None:
    """Run the program in the fork."""
    for descriptor, output in enumerate(outputs, start=1):
        os.dup2(os.open(output, os.O_WRONLY), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    own = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [path, *filter(None, own), *LIBRARIES]
    begin(run_name="__main__")
