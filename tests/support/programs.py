"""Programs run each in a process of its own that finds PyTorch and the other libraries loaded.

Starting Python and loading libraries takes longer than most of what a test asks of a program. A server loads them once;
every run is a fork of it, with memory, environment, folder and output of its own, and with none of our modules loaded.
Whether a program also starts as ``python program.py`` is tested where the workflow runs, which starts it so.

The record of a result made here names the versions of all libraries loaded below, also of those that the program by
itself never loads: what a record says of versions is tested with programs that are started as users start them.
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
        # what torch loads when it first takes a trace, as every training does
        "torch.fx.experimental.symbolic_shapes",
        "torch._inductor.compiler_bisector",
        "torch._inductor.fx_passes.dedupe_symint_uses",
        "safetensors.torch",
        "seaborn",
        "ipykernel.kernelapp",
        "jsonschema",
        "requests",
        "snakemake.cli",
    ]
)

KERNELS = "TEST_PYTHON_OF_KERNELS"
"""The variable of the environment that names the program by which kernels of notebooks are started."""

LOCK = threading.Lock()
"""Held while a process is started or its exit status is read; neither can be done by two threads at once."""

Done = subprocess.CompletedProcess[str]
"""What a run came to: exit status, and what it printed."""


def _is_ours(path: str) -> bool:
    """Whether an entry of the path was added for the tests: one in the repository, outside its environment."""
    place = Path(path).resolve()
    return place.is_relative_to(REPOSITORY) and not place.is_relative_to(Path(sys.prefix).resolve())


LIBRARIES = [str(REPOSITORY / "src"), *(path for path in sys.path if path and not _is_ours(path))]
"""The path of a program besides its own folder: the package, Python and its environment."""


def run(
    program: str | Path, *arguments: object, cwd: str | Path | None = None, env: Mapping[str, str] | None = None
) -> Done:
    """Run a program to its end, as ``subprocess.run`` does with its output captured as text.

    Args:
        program: a Python file; of one in ``workflow/scripts`` the name without its ending suffices.
        arguments: its command line.
        cwd: the folder to run it in; by default the current one.
        env: its environment; by default the current one.
    """
    file = Path(program) if str(program).endswith(".py") else SCRIPTS / f"{program}.py"
    return _fork(partial(runpy.run_path, str(file.resolve())), str(file.resolve().parent), arguments, cwd, env)


def run_module(
    module: str, *arguments: object, cwd: str | Path | None = None, env: Mapping[str, str] | None = None
) -> Done:
    """The same for a module, as ``python -m`` runs it: with the folder on the path."""
    return _fork(partial(runpy.run_module, module, alter_sys=True), os.fspath(cwd or Path.cwd()), arguments, cwd, env)


def _fork(
    begin: Callable, path: str, arguments: Iterable[object], cwd: str | Path | None, env: Mapping[str, str] | None
) -> Done:
    """Fork, begin, and wait; ``path`` is the program's own folder, which comes first on its path."""
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
    """The program stopped with one message, which holds these words, and no stack trace."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def _become(
    begin: Callable, path: str, command: list[str], folder: str, environment: dict[str, str], outputs: list[Path]
) -> None:
    """In the fork: be the program."""
    for descriptor, output in enumerate(outputs, start=1):
        os.dup2(os.open(output, os.O_WRONLY), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    sys.executable = environment.get(KERNELS, sys.executable)
    own = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [path, *filter(None, own), *LIBRARIES]
    try:
        begin(run_name="__main__")
    finally:
        if "PYTHONPROFILEIMPORTTIME" in environment:  # by which Python itself prints every import, with its time
            names = [name for name in sys.modules if name.partition(".")[0] == "weight_importance"]
            print(*(f"import time: | {name}" for name in names), sep="\n", file=sys.stderr)
