"""Damaged results are named and removed before planning; whole ones, and what is not ours, are left alone."""

import pytest

import repair

WHOLE = {
    "summary/a.csv": "x,y\n1,2\n",
    "notebooks/a.ipynb": "{}\n",
    "notebooks/a.html": "<html></html>\n",
    "figures/a.pdf": "%PDF\n%%EOF\n",
    "tables/a.tex": "text\n",
}
DAMAGED = {
    "summary/a.csv": "x,y\n1",
    "notebooks/a.ipynb": '{"cells": [',
    "notebooks/a.html": "<html>",
    "figures/a.pdf": "%PDF\n",
    "tables/a.tex": "",
    "runs/study/importance/mas/seeds-0-0.safetensors": "\x10",
}


def written(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named_and_removed(name, tmp_path, capsys):
    written(tmp_path, WHOLE | {name: DAMAGED[name]})
    repair.remove_damaged(tmp_path, ["--cores", "2"])
    assert capsys.readouterr().err.startswith(f"{tmp_path / name}: is ")
    gone = {name} | ({"notebooks/a.html"} if name.endswith(".ipynb") else set())
    assert {file for file in WHOLE | DAMAGED if not (tmp_path / file).exists()} & (WHOLE.keys() | {name}) == gone


def test_whole_results_are_left_alone(tmp_path, capsys):
    written(tmp_path, WHOLE)
    repair.remove_damaged(tmp_path, [])
    assert capsys.readouterr().err == ""
    assert all((tmp_path / name).exists() for name in WHOLE)


@pytest.mark.parametrize("option", ["-n", "-np", "--dry-run", "--dryrun"])
def test_a_dry_run_only_tells(option, tmp_path, capsys):
    written(tmp_path, DAMAGED)
    repair.remove_damaged(tmp_path, ["--cores", "all", option])
    assert capsys.readouterr().err.count("would be removed") == len(DAMAGED)
    assert all((tmp_path / name).exists() for name in DAMAGED)


@pytest.mark.parametrize("name", ["logs/a.csv", "mine.csv", "paper/build/main.pdf", "runs/.a.csv.x1.partial", ".a.csv"])
def test_logs_scratch_and_files_being_written_are_not_looked_at(name, tmp_path):
    written(tmp_path, {name: ""})
    repair.remove_damaged(tmp_path, [])
    assert (tmp_path / name).exists()
