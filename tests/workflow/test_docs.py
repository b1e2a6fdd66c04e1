"""The documentation pages agree with the repository: commands and examples run, links have targets.

The table tests/docs/commands.yaml lists which test runs which command.
"""

import csv
import re

import pytest
import torch
import yaml

import documents
import programs
from documents import COMMAND, PAGES, REPOSITORY, TABLE, WAYS
from weight_importance.estimators.registry import load

MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


# Commands


def test_every_command_of_the_pages_is_tested_in_a_known_way():
    known = {command for way in WAYS for command in documents.table()[way]}
    commands = documents.commands()
    unknown = {command: place for command, place in commands.items() if command not in known}
    assert not unknown, f"{TABLE} does not say how these are tested: {unknown}"
    assert known <= commands.keys(), f"in no page, remove from {TABLE}: {known - commands.keys()}"
    for code in documents.blocks():
        if COMMAND.match(code.text):
            strange = [line for line in code.lines if not COMMAND.match(line)]
            assert not strange, f"{code.place}: if these are commands, add their program to PROGRAMS: {strange}"


def test_tests_elsewhere_exist():
    for command, test in documents.table()["elsewhere"].items():
        assert test.removeprefix("make ") in TARGETS or (REPOSITORY / test).is_file(), command


def test_the_pages_name_the_commands_that_no_test_runs():
    for command, words in documents.table()["not_run"].items():
        name = documents.commands()[command].partition(",")[0]
        assert words in " ".join(documents.page(name).split()), f"{name} must say of '{command}': {words}"


@pytest.mark.parametrize("command", documents.to_run("checkout"), ids=lambda command: command.name[:60])
def test_commands_run_in_a_checkout(fresh, command):
    program, *arguments = command.words
    if program == "snakemake":
        run = programs.run_module(program, *arguments, cwd=fresh.folder)
    else:
        assert program == "python"
        run = programs.run(fresh.folder / arguments[0], *arguments[1:], cwd=fresh.folder)
    command.assert_done(run)


def test_make_help_lists_all_targets():
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert phony and set(phony[1].replace("\\\n", " ").split()) == TARGETS
    listed = re.findall(r"^\t@echo 'make ([a-z-]+)", MAKEFILE, re.MULTILINE)
    assert set(listed) == TARGETS - {"help", "benchmark-environment"}
    asked = {match[1] for text in map(documents.page, PAGES) for match in re.finditer(r"`make ([a-z-]+)", text)}
    asked |= {command.split()[1] for command in documents.commands() if command.startswith("make ")}
    assert asked <= TARGETS


# Examples


def test_the_example_of_the_readme_runs_and_gives_its_results(tmp_path, monkeypatch):
    own = tmp_path / "my_estimator.py"
    own.write_text(documents.block("README.md", "# my_estimator.py").text, encoding="utf-8")
    monkeypatch.setenv("IMPORTANCE_ATLAS_ESTIMATORS", str(own))
    names: dict = {}
    exec(documents.block("README.md", "import torch").text, names)
    network, inputs, labels = names["network"], names["inputs"], names["labels"]
    parameters = dict(network.named_parameters())
    importance, both = names["importance"], names["both"]
    assert {name: value.shape for name, value in importance.items()} == {n: p.shape for n, p in parameters.items()}
    assert set(both) == {"fisher_exact", "mas"}
    torch.testing.assert_close(both["fisher_exact"], importance)

    def gradients(image, label):  # of log p at the true label
        return torch.autograd.grad(network(image[None]).log_softmax(1)[0, label], list(parameters.values()))

    expected = [torch.stack(each).abs().mean(0) for each in zip(*map(gradients, inputs, labels), strict=True)]
    mean_absolute = names["estimate"]("my_estimator", network, inputs, labels)
    torch.testing.assert_close(mean_absolute, dict(zip(parameters, expected, strict=True)), rtol=1e-4, atol=1e-7)


def test_every_block_of_code_for_extensions_is_tested():
    """tests/workflow/test_addition.py looks up each block by the beginning of its first line."""
    test = (REPOSITORY / "tests/workflow/test_addition.py").read_text(encoding="utf-8")
    beginnings = [match[2] for match in re.finditer(r"""block\((['"])(.+?)\1\)""", test)]
    code = [code for code in documents.other_code() if code.page == "docs/extending.md"]
    assert [block.place for block in code if not any(block.text.startswith(each) for each in beginnings)] == []


# Links


def test_links_have_targets():
    for name, target in documents.links():
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = (REPOSITORY / name).parent / file if file else REPOSITORY / name
        assert linked.exists(), f"{name} links to {target}"
        page = str(linked.resolve().relative_to(REPOSITORY))
        assert not anchor or anchor in documents.anchors(page), f"{name} links to {target}"


def test_every_page_is_linked_from_the_readme():
    assert set(PAGES) - {"README.md"} <= {target for name, target in documents.links() if name == "README.md"}


# Tables


def rows(name: str, head: str) -> list[list[str]]:
    """The cells of the table of a page whose first line begins with ``head``, without its first two lines."""
    text = documents.page(name)
    lines = text[text.index(f"\n| {head}") + 1 :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_method_s_table_of_moments_has_the_powers_of_the_code():
    for name, _, _, power in rows("docs/method.md", "estimator"):
        assert load(name.strip("`")).power == int(power), name


def test_the_page_describes_the_columns_of_the_benchmark():
    with open(REPOSITORY / "benchmarks/results/cpu/benchmark.csv", newline="", encoding="utf-8") as file:
        header = next(csv.reader(file))
    described = re.findall(r"`(\w+)`", " ".join(cells[0] for cells in rows("benchmarks/README.md", "column of")))
    assert sorted(described) == sorted(header)


def test_the_page_lists_all_profiles():
    described = [cells[0].strip("`") for cells in rows("docs/cluster.md", "profile")]
    assert set(described) == {f"profiles/{folder.name}" for folder in (REPOSITORY / "profiles").iterdir()}


def test_the_page_lists_the_rules_that_request_a_gpu():
    asking = set()
    for file in (REPOSITORY / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^(?:use )?rule ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            if "gpu=GPUS" in rule:
                asking.add(rule.partition(":")[0])
    rules = re.search(r"the\s+rules\s+that\s+compute \(([^)]*)\)", documents.page("docs/cluster.md"))
    assert rules and set(re.findall(r"\w+", rules[1])) == asking


def test_the_page_of_environments_lists_every_list_of_packages():
    cells = " ".join(cells[0] for cells in rows("docs/environments.md", "file"))
    files = (file.name for file in (REPOSITORY / "envs").iterdir() if file.is_file())
    lists = {name for name in files if not name.endswith((".sh", ".py"))}
    assert set(re.findall(r"`envs/([\w.]+)`", cells)) == lists


def test_the_page_states_the_pinned_python():
    text = documents.page("docs/environments.md")
    python = yaml.safe_load((REPOSITORY / "envs/workflow.yaml").read_text(encoding="utf-8"))["dependencies"][0]
    lock = (REPOSITORY / "envs/lock.py").read_text(encoding="utf-8")
    oldest = re.search(r'^OLDEST_PYTHON = "([\d.]+)"', lock, re.MULTILINE)
    assert oldest and f"Python {oldest[1]}" in text and oldest[1].startswith(python.removeprefix("python="))
