"""The lists of packages agree: direct dependencies, the lock, the benchmark's additions, the conda files.

``make lint`` checks that the lock is installed (uv) and that the list of direct dependencies fits the imports (deptry).
"""

import re
import shutil
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

import lock
import sources

ENVS = lock.ENVS
REPOSITORY = ENVS.parent
WANTED, WANTED_BY_BENCHMARK = lock.parts(lock.LIST.read_text(encoding="utf-8"))
VERSIONS = lock.pins((ENVS / "requirements.lock").read_text(encoding="utf-8"))
BENCHMARK = lock.pins((ENVS / "benchmark.txt").read_text(encoding="utf-8"))


def conda(name: str) -> dict[str, str]:
    """Versions in a conda file, by the names of the lock."""
    entries = yaml.safe_load((ENVS / name).read_text(encoding="utf-8"))["dependencies"]
    ours = {conda_name: package for package, conda_name in lock.CONDA_NAMES.items()}
    found = dict(entry.split("=") if "=" in entry else (entry, "") for entry in entries)
    return {ours.get(package, package): version for package, version in found.items()}


def test_everything_wanted_is_pinned():
    assert {lock.canonical(line) for line in WANTED} <= set(VERSIONS)
    assert {lock.canonical(line) for line in WANTED_BY_BENCHMARK} <= set(BENCHMARK)
    assert not set(BENCHMARK) & set(VERSIONS), "one place for each version"


def test_conda_users_get_the_same_versions_of_everything_used_directly():
    workflow = conda("workflow.yaml")
    assert workflow.pop("python") == "3.11"
    assert workflow == {name: VERSIONS[name] for name in map(lock.canonical, WANTED)}
    paper = conda("paper.yaml")
    assert (paper.pop("python"), paper.pop("latexmk")) == ("3.11", "")
    assert paper == {name: VERSIONS[name] for name in paper}


def test_latex_s_environment_has_what_its_program_loads_and_no_more():
    closure = sources.closure(str(REPOSITORY / "workflow/scripts/paper.py"), str(REPOSITORY / "src"))
    text = "\n".join(Path(file).read_text(encoding="utf-8") for file in closure)
    modules = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)) - sys.stdlib_module_names
    used = {lock.canonical(names[0]) for module, names in packages_distributions().items() if module in modules}
    assert used - {"weight-importance"} == conda("paper.yaml").keys() - {"python", "latexmk"}


@pytest.mark.parametrize("name", ["requirements.lock", "benchmark.txt"])
def test_a_lock_holds_versions_and_nothing_of_where_they_come_from(name):
    lines = (ENVS / name).read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    pins = VERSIONS if name == "requirements.lock" else BENCHMARK
    assert lines == lock.as_lines(pins)
    assert not [line for line in lines if "://" in line or "+" in line or lock.LEFT_TO_TORCH.fullmatch(line)]


def test_the_list_has_two_parts():
    text = "# a list\nsnakemake\nPyYAML>=6 # a remark\ntorch==2.13.0\n\n# benchmark: others\nnngeometry\n"
    assert lock.parts(text) == (["snakemake", "PyYAML>=6", "torch==2.13.0"], ["nngeometry"])


def test_new_versions_enter_a_conda_file_which_keeps_other_lines():
    text = "# remark\ndependencies:\n  - python=3.11\n  - latexmk\n  - pytorch=2.12.0\n"
    renewed = lock.conda(text, {"torch": "2.13.0", "pandas": "3.1.1", "six": "1.17.0"}, ["torch", "pandas"])
    assert renewed == text.replace("2.12.0", "2.13.0") + "  - pandas=3.1.1\n"


def test_changed_versions_are_printed():
    changes = lock.changed({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"})
    assert changes == ["b: 1 -> 2", "c: 1 -> gone", "d: new -> 1"]


@pytest.mark.parametrize("fitting", [0, 1], ids=["the first list", "the second list"])
def test_if_no_versions_fit_nothing_changes(tmp_path, monkeypatch, capfd, fitting):
    """A program that fails takes the place of uv."""
    envs = tmp_path / "envs"
    shutil.copytree(ENVS, envs, ignore=shutil.ignore_patterns("__pycache__"))
    failing = tmp_path / "uv"
    calls = tmp_path / "calls"
    failing.write_text(
        f"#!/bin/sh\necho >> {calls}\n[ $(wc -l < {calls}) -gt {fitting} ] || exit 0\n"
        "echo 'no version of a' >&2\nexit 1\n",
        encoding="utf-8",
    )
    failing.chmod(0o755)
    monkeypatch.setattr(lock, "uv", lambda: str(failing))
    monkeypatch.setattr(lock, "ENVS", envs)
    monkeypatch.setattr(lock, "LIST", envs / lock.LIST.name)
    monkeypatch.setattr(sys, "argv", ["lock.py", "--upgrade"])
    before = {file: file.read_bytes() for file in envs.iterdir() if file.is_file()}
    with pytest.raises(SystemExit, match="no compatible versions exist"):
        lock.main()
    assert "no version of a" in capfd.readouterr().err
    assert len(calls.read_text().splitlines()) == fitting + 1
    assert {file: file.read_bytes() for file in envs.iterdir() if file.is_file()} == before
