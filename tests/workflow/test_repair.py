"""Damaged results are named and set aside before planning; whole ones, and what is not ours, are left alone."""

import pytest

import repair
from weight_importance.storage import write_text

RESULTS = [
    "data/a.safetensors",
    "summary/a.csv",
    "notebooks/a.ipynb",
    "figures/a.pdf",
    "tables/a.tex",
    "paper/numbers.tex",
    "runs/study/importance/mas/seeds-0-0.safetensors",
]
DAMAGE = {
    "cut off within a line": lambda content: content[:-3],
    "cut off after a line": lambda content: content[: content.index(b"\n") + 1],
    "altered": lambda content: content.replace(b"1", b"2"),
    "emptied": lambda content: b"",
}


def results(folder):
    for name in RESULTS:
        write_text(folder / name, "x,y\n1,2\n3,4\n")
    return folder


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", RESULTS)
def test_a_damaged_file_is_named_and_set_aside(name, damage, tmp_path, capsys):
    file = results(tmp_path) / name
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    found = file.read_bytes()
    repair.set_damaged_aside(tmp_path, ["--cores", "2"])
    assert capsys.readouterr().err.startswith(f"{file}: is not what was written")
    assert [other for other in RESULTS if not (tmp_path / other).exists()] == [name]
    assert file.with_name(f"{file.name}.altered").read_bytes() == found


def test_with_a_damaged_notebook_goes_its_page(tmp_path):
    write_text(tmp_path / "a.ipynb", "{}")
    write_text(tmp_path / "a.html", "<html></html>")
    (tmp_path / "a.ipynb").write_text("{")
    repair.set_damaged_aside(tmp_path, [])
    assert not (tmp_path / "a.html").exists()


def test_whole_results_and_files_of_others_are_left_alone(tmp_path, capsys):
    results(tmp_path)
    (tmp_path / "summary" / "notes.csv").write_text("")
    repair.set_damaged_aside(tmp_path, [])
    assert capsys.readouterr().err == ""
    assert all((tmp_path / name).exists() for name in [*RESULTS, "summary/notes.csv"])


@pytest.mark.parametrize(
    "option", ["-n", "-np", "--dry-run", "--dryrun", "--lint", "--report=x.html", "--dag", "--unlock"]
)
def test_where_nothing_runs_nothing_is_renamed(option, tmp_path, capsys):
    (results(tmp_path) / RESULTS[0]).write_text("x")
    repair.set_damaged_aside(tmp_path, ["--cores", "all", option])
    assert capsys.readouterr().err.count("would be renamed") == 1
    assert all((tmp_path / name).exists() for name in RESULTS)


@pytest.mark.parametrize("option", ["-F", "--forceall", "-R", "--keep-going", "--report-after-run"])
def test_where_something_runs_damage_is_set_aside(option, tmp_path):
    (results(tmp_path) / RESULTS[0]).write_text("x")
    repair.set_damaged_aside(tmp_path, ["--cores", "all", option])
    assert not (tmp_path / RESULTS[0]).exists()
