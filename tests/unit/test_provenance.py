"""Records of the origin of results: complete, consistent with the files, and reproducible."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from weight_importance.files import provenance
from weight_importance.files.integrity import checksum
from weight_importance.files.storage import load_tensors, save_tensors, write_text

PROGRAM = """
import sys, torch
from weight_importance.files.provenance import metadata
from weight_importance.runtime.process import note_device
from weight_importance.files.storage import load_tensors, save_tensors
torch.set_num_threads(1)
note_device("cpu")
given, _ = load_tensors(sys.argv[4])
save_tensors(sys.argv[5], given, metadata("mas", {"study": "a", "lambda": 1}, [3, 4]))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a program that reads one file of tensors and writes another."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "program.py").write_text(PROGRAM)
    save_tensors(folder / "given.safetensors", {"w": torch.ones(2)}, {})
    run(folder, "made.safetensors")
    return folder


def run(folder: Path, output: str) -> None:
    settings = '{"study": "a", "seeds": [3, 4], "lambda": 1}'
    command = [sys.executable, "program.py", "--settings", settings, "--data", "given.safetensors", output]
    scripts = Path(provenance.__file__).parents[2]
    subprocess.run(command, cwd=folder, check=True, env={"PYTHONPATH": str(scripts)})


def test_a_record_names_inputs_code_settings_and_versions(made):
    about = json.loads(provenance.record_of(made / "made.safetensors").read_text())
    assert about["sha256"] == checksum(made / "made.safetensors")
    assert about["program"] == "program.py" and about["arguments"][-1] == "made.safetensors"
    assert about["settings"]["lambda"] == 1 and about["seeds"] == [3, 4]
    assert about["inputs"] == {"given.safetensors": checksum(made / "given.safetensors")}
    assert about["code"]["files"]["program.py"] == checksum(made / "program.py")
    assert any(file.endswith("src/weight_importance/files/storage.py") for file in about["code"]["files"])
    assert about["versions"]["torch"] == torch.__version__
    assert about["device"]["device"] == "cpu" and about["device"]["threads"] == 1
    assert set(about["device"]) == {"device", "processor", "threads", "precision"}


def test_metadata_of_tensors_agree_with_the_record(made):
    _, metadata = load_tensors(made / "made.safetensors")
    about = json.loads(provenance.record_of(made / "made.safetensors").read_text())
    assert json.loads(metadata["device"]) == about["device"]
    computing = {name: about["versions"][name] for name in ("python", "torch", "numpy", "safetensors")}
    assert json.loads(metadata["versions"]) == computing
    assert metadata["code"] == about["code"]["sha256"]


def test_the_same_result_has_the_same_record(made):
    first = provenance.record_of(made / "made.safetensors").read_bytes()
    result = (made / "made.safetensors").read_bytes()
    run(made, "made.safetensors")
    assert (made / "made.safetensors").read_bytes() == result
    assert provenance.record_of(made / "made.safetensors").read_bytes() == first


def test_later_inputs_are_not_in_earlier_records(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "THIS", provenance.Process())
    monkeypatch.chdir(tmp_path)
    Path("late.csv").write_text("a\n")
    write_text("first.tex", "1")
    provenance.note_input("late.csv")
    write_text("second.tex", "2")
    inputs = [
        json.loads(provenance.record_of(Path(name)).read_text())["inputs"] for name in ("first.tex", "second.tex")
    ]
    assert inputs == [{}, {"late.csv": checksum(Path("late.csv"))}]


EDITED = """
import sys
from pathlib import Path
from weight_importance.files.storage import write_text
for file in sys.argv[1:]:  # like a user during a long job
    Path(file).write_text(Path(file).read_text() + "# edited\\n")
from weight_importance.files import tables
from weight_importance.estimators.catalogue import magnitude  # loaded after the edit
write_text("made.tex", "1")
"""


def test_a_record_names_the_code_as_it_ran(tmp_path):
    """Not the code on the disk when the result is written, which may be newer."""
    scripts = tmp_path / "src"
    shutil.copytree(Path(provenance.__file__).parents[2], scripts, ignore=shutil.ignore_patterns("__pycache__"))
    package = scripts / "weight_importance"
    (scripts / "program.py").write_text(EDITED)
    early = [
        scripts / "program.py",
        package / "files/storage.py",
        package / "files/tables.py",
    ]  # storage imports tables
    late = package / "estimators/catalogue/magnitude.py"
    before = {str(file.relative_to(tmp_path)): checksum(file) for file in early}
    subprocess.run([sys.executable, *map(str, [early[0], *early, late])], cwd=tmp_path, check=True)
    files = json.loads(provenance.record_of(tmp_path / "made.tex").read_text())["code"]["files"]
    assert {name: files[name] for name in before} == before
    assert all(checksum(tmp_path / name) != was for name, was in before.items())
    assert files[str(late.relative_to(tmp_path))] == checksum(late)


def test_files_outside_the_checkout_are_named_without_their_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "THIS", provenance.Process())
    (tmp_path / "here").mkdir()
    (tmp_path / "data.csv").write_text("a\n")
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "disk").mkdir()
    Path("results").symlink_to(tmp_path / "disk")
    Path("results/x.csv").write_text("b\n")
    for file in (tmp_path / "data.csv", "results/x.csv", provenance.CHECKOUT / "README.md"):
        provenance.note_input(file)
    write_text("made.tex", "1")
    text = provenance.record_of(Path("made.tex")).read_text()
    assert sorted(json.loads(text)["inputs"]) == [f"{provenance.ELSEWHERE}/data.csv", "README.md", "results/x.csv"]
    assert str(tmp_path) not in text


def test_the_checksum_is_that_of_the_content_read(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "THIS", provenance.Process())
    monkeypatch.chdir(tmp_path)
    Path("page.js").write_text("1")
    read = provenance.read_noted(Path("page.js"))
    Path("page.js").write_text("2")
    assert read == b"1" and provenance.THIS.inputs == {"page.js": hashlib.sha256(b"1").hexdigest()}


def test_code_from_standard_input_has_no_file():
    code = "import weight_importance.files.provenance as provenance; print(len(provenance.code_hash()))"
    environment = os.environ | {"PYTHONPATH": str(provenance.CHECKOUT / "src")}
    command = [sys.executable, "-"]
    run = subprocess.run(command, input=code, env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "64\n"), run.stderr
