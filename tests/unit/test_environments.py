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
    canonical_names = {conda_name: package for package, conda_name in lock.CONDA_NAMES.items()}
    versions = dict(entry.split("=") if "=" in entry else (entry, "") for entry in entries)
    return {canonical_names.get(package, package): version for package, version in versions.items()}


def test_every_requirement_is_pinned():
    assert {lock.canonical(line) for line in WANTED} <= set(VERSIONS)
    assert {lock.canonical(line) for line in WANTED_BY_BENCHMARK} <= set(BENCHMARK)
    assert not set(BENCHMARK) & set(VERSIONS), "each version is in one file"


def test_conda_files_have_the_versions_of_the_lock():
    workflow = conda("workflow.yaml")
    assert workflow.pop("python") == "3.11"
    assert workflow == {name: VERSIONS[name] for name in map(lock.canonical, WANTED)}
    paper = conda("paper.yaml")
    assert (paper.pop("python"), paper.pop("latexmk")) == ("3.11", "")
    assert paper == {name: VERSIONS[name] for name in paper}


def test_the_environment_of_the_paper_has_exactly_the_imports_of_its_program():
    closure = sources.closure(str(REPOSITORY / "workflow/scripts/paper.py"), str(REPOSITORY / "src"))
    text = "\n".join(Path(file).read_text(encoding="utf-8") for file in closure)
    modules = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)) - sys.stdlib_module_names
    used = {lock.canonical(names[0]) for module, names in packages_distributions().items() if module in modules}
    assert used - {"weight-importance"} == conda("paper.yaml").keys() - {"python", "latexmk"}


@pytest.mark.parametrize("name", ["requirements.lock", "benchmark.txt"])
def test_a_lock_contains_versions_without_sources(name):
    lines = (ENVS / name).read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    pins = VERSIONS if name == "requirements.lock" else BENCHMARK
    assert lines == lock.as_lines(pins)
    assert not [line for line in lines if "://" in line or "+" in line or lock.LEFT_TO_TORCH.fullmatch(line)]


def test_the_list_has_two_parts():
    text = "# a list\nsnakemake\nPyYAML>=6 # a remark\ntorch==2.13.0\n\n# benchmark: others\nnngeometry\n"
    assert lock.parts(text) == (["snakemake", "PyYAML>=6", "torch==2.13.0"], ["nngeometry"])


def test_a_conda_file_gets_new_versions_and_keeps_other_lines():
    text = "# remark\ndependencies:\n  - python=3.11\n  - latexmk\n  - pytorch=2.12.0\n"
    renewed = lock.conda(text, {"torch": "2.13.0", "pandas": "3.1.1", "six": "1.17.0"}, ["torch", "pandas"])
    assert renewed == text.replace("2.12.0", "2.13.0") + "  - pandas=3.1.1\n"


def test_changed_versions_are_printed():
    changes = lock.changed({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"})
    assert changes == ["b: 1 -> 2", "c: 1 -> gone", "d: new -> 1"]


@pytest.mark.parametrize("fitting", [0, 1], ids=["the first list", "the second list"])
def test_without_compatible_versions_no_file_changes(tmp_path, monkeypatch, capfd, fitting):
    """With a failing mock of uv."""
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
