"""`make verify` names damaged results and sets them aside; intact results and other files are unchanged."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import verify
from weight_importance.files.provenance import record_of
from weight_importance.files.storage import write_text
from weight_importance.runtime.lock import RunLock

RESULTS = ["data/a.safetensors", "summary/a.csv", "figures/a.pdf", "runs/study/importance/mas/seeds-0-0.safetensors"]
CONTENT = "x,y\n1,2\n3,4\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose results are on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    monkeypatch.chdir(tmp_path)
    for name in RESULTS:
        write_text(f"results/{name}", CONTENT)
    return tmp_path / "results"


def run():
    """Exit status and output of the program."""
    done = subprocess.run([sys.executable, verify.__file__], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_intact_results_and_other_files_are_unchanged(folder):
    (folder / "summary/notes.csv").write_text("")
    (folder / "summary/.b.csv.sha256").write_text("of a result that is not there")
    assert run() == (0, f"All {len(RESULTS)} results match their checksums.\n")
    assert all((folder / name).exists() for name in [*RESULTS, "summary/notes.csv"])


def test_damaged_results_are_named_and_set_aside(folder):
    cuts = {name: CONTENT[: 4 * number] for number, name in enumerate(RESULTS[1:])}
    for name, cut in cuts.items():
        (folder / name).write_text(cut)
    status, output = run()
    assert status == 1
    assert "3 of 4 results are damaged and were set aside; repeat the command of the run to recompute them." in output
    for name, cut in cuts.items():
        assert f"results/{name}: has changed since it was written (truncated or altered); renamed to" in output
        assert not (folder / name).exists() and (folder / f"{name}.altered").read_text() == cut
    assert run() == (0, "All 1 results match their checksums.\n")


RECORD_DAMAGE = {
    "is missing": lambda record: record.unlink(),
    "is damaged": lambda record: record.write_bytes(record.read_bytes()[:-5]),
    "describes other content": lambda record: record.write_text(json.dumps({"sha256": "0"})),
}


@pytest.mark.parametrize("damage", RECORD_DAMAGE)
def test_a_result_needs_its_record(damage, folder):
    file = Path("results/summary/a.csv")
    RECORD_DAMAGE[damage](record_of(file))
    assert verify.damage(file) == f"its origin is unknown (.a.csv.provenance.json {damage})"


def test_an_earlier_edit_is_never_overwritten(tmp_path):
    for name in ("a.csv.altered", "a.csv.2.altered", "a.csv.3.altered"):
        (tmp_path / "a.csv").write_text(f"an edit, kept as {name}")
        assert verify.set_aside(tmp_path / "a.csv").name == name
    assert all(file.name in file.read_text() for file in tmp_path.iterdir())


def test_the_page_of_a_damaged_notebook_is_removed(tmp_path):
    (tmp_path / "a.ipynb").write_text("{")
    (tmp_path / "a.html").write_text("<html></html>")
    verify.set_aside(tmp_path / "a.ipynb")
    assert not (tmp_path / "a.html").exists()


def test_nothing_is_checked_during_a_run(folder):
    lock = RunLock(verify.LOCK)
    lock.acquire()
    shutil.rmtree(folder / "summary")
    status, output = run()
    assert status == 1 and output.startswith("error: another run is at work in this folder (process ")
    lock.release()
