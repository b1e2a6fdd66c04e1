"""An environment is created again if its lists or its Python change; if that fails, the old one is kept.

A mock of Python creates folders in place of environments, and exits like pip with or without a network.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "envs/install-python.sh"
PYTHON = """#!{real}
import os, pathlib, shutil, sys
match sys.argv[1:]:
    case ["-c", text, *rest]:
        sys.argv, sys.version_info, sys._base_executable = ["-c", *rest], {version}, __file__
        exec(text)
    case ["-m", "venv", folder]:
        (pathlib.Path(folder) / "bin").mkdir(parents=True)
        shutil.copy(__file__, pathlib.Path(folder) / "bin/python")
    case ["-m", "pip", "install", *_]:
        if os.environ.get("OFFLINE") == "killed":
            os.kill(os.getppid(), 9)
        sys.exit("no network" if "OFFLINE" in os.environ else 0)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "envs").mkdir()
    shutil.copy(SCRIPT, tmp_path / "envs")
    (tmp_path / "envs/requirements.lock").write_text("a==1\n")
    for version in ((3, 11, 2), (3, 12, 0), (3, 10, 0)):
        python = tmp_path / "python{}.{}".format(*version)
        python.write_text(PYTHON.format(real=sys.executable, version=version))
        python.chmod(0o755)
    return tmp_path


def install(folder, python="python3.11", **environment):
    """Exit status, output, and whether the environment was kept: a new one has no mark."""
    run = subprocess.run(
        ["sh", "envs/install-python.sh"],
        cwd=folder,
        env=os.environ | {"PYTHON": str(folder / python)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    mark = folder / ".venv/mark"
    kept = mark.exists()
    if (folder / ".venv").is_dir():
        mark.touch()
    return run.returncode, run.stdout + run.stderr, kept


def test_it_is_created_once_and_again_if_its_lists_or_its_python_change(folder):
    assert install(folder)[0] == 0
    assert install(folder) == (0, "", True)
    (folder / "envs/requirements.lock").write_text("a==2\n")
    status, output, kept = install(folder)
    assert (status, kept) == (0, False) and "Creating .venv" in output
    status, output, kept = install(folder, "python3.12")
    assert (status, kept) == (0, False) and "Creating .venv" in output
    assert install(folder, "python3.12") == (0, "", True)
    assert sorted(path.name for path in folder.glob(".venv*")) == [".venv"]


@pytest.mark.parametrize("offline", ["yes", "killed"])
def test_without_a_network_it_is_unchanged(offline, folder):
    install(folder)
    (folder / "envs/requirements.lock").write_text("a==2\n")
    status, output, _ = install(folder, OFFLINE=offline)
    assert status == (1 if offline == "yes" else -9)
    if offline == "yes":
        assert "no network" in output and "error: cannot install the packages of envs/requirements.lock" in output
    (folder / "envs/requirements.lock").write_text("a==1\n")
    if offline == "killed":
        (folder / ".venv/mark").unlink()
    assert install(folder, OFFLINE="yes") == (0, "", True)
    assert sorted(path.name for path in folder.glob(".venv*")) == [".venv"]


def test_an_older_python_is_refused(folder):
    status, output, _ = install(folder, "python3.10")
    assert status == 1 and "is Python 3.10.0" in output and not (folder / ".venv").exists()
