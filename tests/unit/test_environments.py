"""The lists of packages agree: what the project uses directly, the lock, the benchmark's additions, the conda files."""

import re
import shutil
import sys
from importlib.metadata import distributions, packages_distributions
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


def test_the_installed_packages_are_those_of_the_lock():
    """What is tested is what is pinned; a build suffix of torch (+cpu) is no other version."""
    assert differing({found.name: found.version for found in distributions()}) == {}


def differing(installed: dict[str, str]) -> dict[str, str]:
    """Packages of the lock that are not installed in its version: what there is instead."""
    there = {lock.canonical(name): version.partition("+")[0] for name, version in installed.items()}
    return {name: there.get(name, "nothing") for name, version in VERSIONS.items() if there.get(name) != version}


def test_a_package_that_is_missing_or_of_another_version_is_noticed():
    lacking = {name: version for name, version in VERSIONS.items() if name != "pandas"}
    assert differing(VERSIONS | {"torch": f"{VERSIONS['torch']}+cpu"}) == {}
    assert differing(lacking) == {"pandas": "nothing"}
    assert differing(lacking | {"Pandas": "0.1"}) == {"pandas": "0.1"}


TEXT = """# a list
snakemake
PyYAML>=6 # a remark
torch==2.13.0

# benchmark: others
nngeometry
"""


def test_the_list_has_two_parts():
    assert lock.parts(TEXT) == (["snakemake", "PyYAML>=6", "torch==2.13.0"], ["nngeometry"])


def test_a_renewed_conda_file_keeps_what_is_no_package_of_ours():
    text = "# remark\ndependencies:\n  - python=3.11\n  - latexmk\n  - pytorch=2.12.0\n"
    renewed = lock.conda(text, {"torch": "2.13.0", "pandas": "3.1.1", "six": "1.17.0"}, ["torch", "pandas"])
    assert renewed == text.replace("2.12.0", "2.13.0") + "  - pandas=3.1.1\n"


def test_changes_are_told_by_name():
    assert lock.told({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == [
        "b: 1 -> 2", "c: 1 -> gone", "d: new -> 1",
    ]  # fmt: skip


@pytest.mark.parametrize("fitting", [0, 1], ids=["the first list", "the second list"])
def test_where_nothing_fits_nothing_is_changed(tmp_path, monkeypatch, capfd, fitting):
    """The resolver is stood in for by a program that fails, as uv does; it is asked for nothing over the network."""
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
    with pytest.raises(SystemExit, match="no versions were found that fit together"):
        lock.main()
    assert "no version of a" in capfd.readouterr().err
    assert len(calls.read_text().splitlines()) == fitting + 1
    assert {file: file.read_bytes() for file in envs.iterdir() if file.is_file()} == before
