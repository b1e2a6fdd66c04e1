"""The pages for people agree with what is there: commands, code, links, names of files, and names in the code.

Which test runs which command is written in one table, tests/docs/commands.yaml.
"""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

import documents
import programs
from documents import COMMAND, FILE, PAGES, REPOSITORY, TABLE, WAYS
from weight_importance.estimators.registry import load

MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


# Commands


def test_every_command_of_the_pages_is_tested_in_a_known_way():
    known = {command for way in WAYS for command in documents.table()[way]}
    found = documents.commands()
    unknown = {command: place for command, place in found.items() if command not in known}
    assert not unknown, f"say in {TABLE} how these are tested: {unknown}"
    gone = known - set(found)
    assert not gone, f"in no page: take them out of {TABLE}: {gone}"


def test_every_line_of_a_block_of_commands_is_one():
    for code in documents.blocks():
        if COMMAND.match(code.lines[0]):
            strange = [line for line in code.lines if not COMMAND.match(line)]
            assert not strange, f"{code.place}: is this a command? Then documents.PROGRAMS lacks its program: {strange}"


def test_all_other_code_of_the_pages_is_known():
    assert set(documents.other_code()) == set(documents.table()["other_code"])
    for where in documents.table()["other_code"].values():
        assert (REPOSITORY / where).is_file(), where


def test_what_is_tested_elsewhere_has_a_test_there():
    for command, where in documents.table()["elsewhere"].items():
        if where.startswith("make "):
            assert where.removeprefix("make ") in TARGETS, command
        else:
            words = re.findall(r"[\w/-]{4,}", command.partition(" ")[2].partition("=")[0])
            test = (REPOSITORY / where).read_text(encoding="utf-8")
            assert any(word in test for word in words), f"{where} has nothing of '{command}'"


def test_what_nobody_ran_is_said_to_be_so():
    for command, words in documents.table()["not_run"].items():
        name = documents.commands()[command].partition(",")[0]
        assert words in " ".join(documents.page(name).split()), f"{name} has to say of '{command}': {words}"


@pytest.mark.parametrize("command", documents.to_run("checkout"), ids=lambda command: command.name[:60])
def test_commands_run_in_a_checkout(fresh, command):
    program, *arguments = command.words
    if program == "snakemake":
        run = programs.run_module(program, *arguments, cwd=fresh.folder)
    else:
        assert program == "python"
        run = programs.run(fresh.folder / arguments[0], *arguments[1:], cwd=fresh.folder)
    command.assert_done(run)


def test_targets_are_those_that_make_help_lists():
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert phony and set(phony[1].replace("\\\n", " ").split()) == TARGETS
    listed = re.findall(r"^\t@echo 'make ([a-z-]+)", MAKEFILE, re.MULTILINE)
    assert set(listed) == TARGETS - {"help", "benchmark-environment"}
    asked = {found[1] for text in map(documents.page, PAGES) for found in re.finditer(r"`make ([a-z-]+)", text)}
    asked |= {command.split()[1] for command in documents.commands() if command.startswith("make ")}
    assert asked <= TARGETS


# Code in Python


@pytest.fixture
def example(tmp_path: Path) -> Callable[[str], None]:
    """Runs a piece of Python with the library on the path, as the README says, and an estimator of one's own."""
    own = tmp_path / "my_estimator.py"
    own.write_text(documents.block("README.md", "# my_estimator.py").text, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": "workflow/scripts", "IMPORTANCE_ATLAS_ESTIMATORS": str(own)}

    def run(code: str) -> None:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return run


def test_the_library_does_what_the_readme_shows_and_what_its_remarks_say(example):
    code = documents.block("README.md", "import torch").text
    example(
        code
        + """
assert {name: value.shape for name, value in importance.items()} == {
    name: parameter.shape for name, parameter in network.named_parameters()
}
assert set(both) == {"fisher_exact", "mas"}
assert all(torch.allclose(both["fisher_exact"][name], value) for name, value in importance.items())

# README.md: the estimator there is E|g|, g the gradient of log p at the true label
def gradients(image, label):
    return torch.autograd.grad(network(image[None]).log_softmax(1)[0, label], list(network.parameters()))

expected = [torch.stack(of).abs().mean(0) for of in zip(*map(gradients, inputs, labels))]
own = estimate("my_estimator", network, inputs, labels)
assert all(torch.allclose(own[name], value, rtol=1e-4, atol=1e-7)
           for (name, _), value in zip(network.named_parameters(), expected))
"""
    )


# Links and names


def test_links_lead_somewhere():
    for name, target in documents.links():
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        place = os.path.normpath(Path(name).parent / file) if file else name
        assert place in documents.present(), f"{name} links to {target}"
        if anchor:
            assert anchor in documents.anchors(place), f"{name} links to {target}"


KINDS = (".py", ".smk", ".yaml", ".sh", ".toml", ".in", ".ipynb", ".js", ".csv", "Snakefile", "Makefile", "submit")


@cache
def words_of_the_code() -> frozenset[str]:
    """Every word of code, configuration, schema and tests, but for the table."""
    texts = (REPOSITORY / name for name in documents.present() if name.endswith(KINDS) and name != TABLE)
    return frozenset(word for file in texts for word in re.findall(r"[\w-]+", file.read_text(encoding="utf-8")))


def is_there(name: str) -> bool:
    """Whether the repository has a file or folder whose path ends so, or its code all the words of a name."""
    if FILE.fullmatch(name):
        return documents.among(name, documents.present())
    words = re.findall(r"(?<!\w)[^\W\d][\w-]*", re.sub(r"=/\S*", "", name))  # but for the paths given to a variable
    return all(word in words_of_the_code() for word in words)


def test_every_page_is_linked_from_the_readme():
    linked = {target for name, target in documents.links() if name == "README.md"}
    assert set(PAGES) - {"README.md"} <= linked


def test_names_in_the_pages_are_those_of_files_and_of_the_code():
    """What was given another name, or went, is noticed here: a file, key, column, class, option, variable."""
    others = documents.table()["others"]
    found = documents.names()
    here = {name: place for name, place in found.items() if not name.startswith("results/")}
    strange = {name: place for name, place in here.items() if name not in others and not is_there(name)}
    assert not strange, f"neither in the repository nor in {TABLE}: {strange}"
    gone = set(others) - set(found)
    assert not gone, f"in no page: take them out of {TABLE}: {gone}"


# Tables


def rows(name: str, head: str) -> list[list[str]]:
    """The cells of the table of a page whose first line begins so, without its two first lines."""
    text = documents.page(name)
    lines = text[text.index(f"\n| {head}") + 1 :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_method_s_table_of_moments_has_the_powers_of_the_code():
    for name, _, _, power in rows("docs/method.md", "estimator"):
        assert load(name.strip("`")).power == int(power), name


def test_the_columns_of_the_benchmark_are_those_of_its_table():
    with open(REPOSITORY / "benchmarks/results/cpu/benchmark.csv", newline="", encoding="utf-8") as file:
        header = next(csv.reader(file))
    described = re.findall(r"`(\w+)`", " ".join(cells[0] for cells in rows("benchmarks/README.md", "column of")))
    assert sorted(described) == sorted(header)


def test_the_profiles_of_the_page_are_those_there_are():
    described = [cells[0].strip("`") for cells in rows("docs/cluster.md", "profile")]
    assert set(described) == {f"profiles/{folder.name}" for folder in (REPOSITORY / "profiles").iterdir()}


def test_rules_that_ask_for_a_gpu_are_those_of_the_page():
    asking = set()
    for file in (REPOSITORY / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^(?:use )?rule ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            if "gpu=GPUS" in rule:
                asking.add(rule.partition(":")[0])
    said = re.search(r"the rules that\s+compute \(([^)]*)\)", documents.page("docs/cluster.md"))
    assert said and set(re.findall(r"\w+", said[1])) == asking


def test_every_list_of_packages_is_on_the_page_of_environments():
    cells = " ".join(cells[0] for cells in rows("docs/environments.md", "file"))
    files = (file.name for file in (REPOSITORY / "envs").iterdir() if file.is_file())
    lists = {name for name in files if not name.endswith((".sh", ".py"))}
    assert set(re.findall(r"`envs/([\w.]+)`", cells)) == lists


def test_a_pinned_python_is_the_one_of_the_page():
    text = documents.page("docs/environments.md")
    python = yaml.safe_load((REPOSITORY / "envs/workflow.yaml").read_text(encoding="utf-8"))["dependencies"][0]
    lock = (REPOSITORY / "envs/lock.py").read_text(encoding="utf-8")
    oldest = re.search(r'^OLDEST_PYTHON = "([\d.]+)"', lock, re.MULTILINE)
    assert oldest and f"Python {oldest[1]}" in text and oldest[1].startswith(python.removeprefix("python="))
