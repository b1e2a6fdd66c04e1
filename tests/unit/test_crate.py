"""The RO-Crate of a run and the shelf of its results: members of the run and their description."""

import base64
import json
import sys
from pathlib import Path

import pytest
from rocrate.rocrate import ROCrate

import crate
import shelf
from shelf import Shelf
from weight_importance.files.integrity import checksum
from weight_importance.files.provenance import ELSEWHERE, record_of
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.own_estimators import VARIABLE

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGURATION = {"studies": {"small": {"seeds": 2}}}
MINE = f"{ELSEWHERE}/mine.py"


class Checkout:
    """A checkout with results and with records like those of programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for file in (*crate.DOCUMENTS, crate.WORKFLOW):
            self.write(file, (REPOSITORY / file).read_text(encoding="utf-8"))
        self.data = self.make("results/data/mnist_subset.safetensors", "dataset")
        self.table = self.make("results/summary/pruning.csv", "summary", read=[self.data])
        figure = ["results/figures/a-small.pdf"]
        self.figure, self.page = self.notebook("small", figure)
        self.make("results/paper/numbers.tex", "paper_numbers", read=[self.table], settings=CONFIGURATION)
        self.make("results/paper/main.pdf", "paper", read=["results/paper/numbers.tex", self.figure])
        self.make("results/explorer.html", "explorer", read=[self.data, self.write("workflow/explorer/page.js", "1")])

    def notebook(self, study: str, figures: list[str]) -> tuple[str, str]:
        page = f"results/notebooks/a-{study}.html"
        for file in (*figures, page):
            self.make(file, "notebook", read=[self.table], arguments=["--html", page])
        return figures[0], page

    def write(self, file: str, text: str) -> str:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return file

    def make(self, file: str, program: str, read=(), settings=None, arguments=None, code=None, inputs=None) -> str:
        """Write a result with its record."""
        self.write(file, f"content of {file}")
        script = f"workflow/scripts/{program}.py"
        if not (self.folder / script).exists():
            self.write(script, f'"""Make {program}."""\n')
        record = {
            "sha256": checksum(self.folder / file),
            "program": script,
            "arguments": arguments or ["--output", file],
            "settings": settings or {},
            "seeds": None,
            "device": None,
            "versions": {"python": "3.11"},
            "code": {"sha256": "0" * 64, "files": {script: checksum(self.folder / script)} | (code or {})},
            "inputs": {name: checksum(self.folder / name) for name in read} | (inputs or {}),
        }
        record_of(self.folder / file).write_text(json.dumps(record), encoding="utf-8")
        return file


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Checkout:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    return Checkout(tmp_path)


def described(checkout: Checkout, monkeypatch) -> dict[str, dict]:
    """The entities that ``make provenance`` writes, by identifier."""
    monkeypatch.setattr(sys, "argv", ["crate.py"])
    crate.main()
    text = (checkout.folder / crate.METADATA).read_text(encoding="utf-8")
    assert ROCrate(checkout.folder).mainEntity.id == crate.WORKFLOW
    return {entity["@id"]: entity for entity in json.loads(text)["@graph"]}


def test_the_run_consists_of_the_inputs_of_paper_and_explorer(checkout, monkeypatch, capsys):
    leftover, page = checkout.notebook("other", ["results/figures/a-other.pdf"])
    checkpoint = checkout.make("results/runs/small/baseline/.seeds-0-0.safetensors.checkpoint", "baseline")
    unrecorded = checkout.write("results/summary/mine.csv", "a\n")
    entities = described(checkout, monkeypatch)
    assert {checkout.data, checkout.table, checkout.figure, checkout.page, *shelf.PAPER} <= entities.keys()
    assert not {leftover, page, checkpoint, unrecorded} & entities.keys()
    assert len([1 for name in entities if name.startswith("#job/")]) == 6
    output = capsys.readouterr().out
    parts = output.partition("have no provenance record")
    assert f"  {leftover}" in parts[0] and f"  {page}" in parts[0] and unrecorded not in parts[0]
    assert f"  {unrecorded}\n" in parts[2] and checkpoint not in output


def test_a_leftover_of_a_job_is_named_and_omitted(checkout, monkeypatch, capsys):
    """A figure that the notebook no longer draws, from code that has changed."""
    gone = checkout.make(
        "results/figures/gone-small.pdf", "notebook", read=[checkout.table], arguments=["--html", checkout.page],
        code={crate.WORKFLOW: "1" * 64},
    )  # fmt: skip
    assert gone not in described(checkout, monkeypatch)
    assert gone in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("results/summary/pruning.csv", "has changed since it was read"),
        ("results/notebooks/a-small.html", "has changed since it was written"),
        ("workflow/scripts/paper.py", "was made by code that has changed since: workflow/scripts/paper.py"),
        ("workflow/explorer/page.js", "has changed since"),
    ],
)
def test_a_run_that_differs_from_its_records_is_refused(checkout, monkeypatch, spoil, message):
    with open(checkout.folder / spoil, "a", encoding="utf-8") as file:
        file.write("#")
    with pytest.raises(UserError, match=message):
        described(checkout, monkeypatch)
    assert not (checkout.folder / crate.METADATA).exists()


def test_missing_and_truncated_records_are_reported_with_a_remedy(checkout, monkeypatch):
    record = record_of(checkout.folder / checkout.table)
    whole = record.read_text()
    for text in (whole[: len(whole) // 2], "[]", "{}"):
        record.write_text(text)
        with pytest.raises(
            UserError, match=r"(?s)\.pruning\.csv\.provenance\.json.*truncated or altered.*Delete results"
        ):
            described(checkout, monkeypatch)
    record.unlink()
    with pytest.raises(UserError, match=r"(?s)pruning\.csv has no provenance record.*makes these results again"):
        described(checkout, monkeypatch)


def test_without_a_finished_run_the_first_step_is_reported(checkout, monkeypatch):
    (checkout.folder / "results/paper/main.pdf").unlink()
    with pytest.raises(UserError, match=r"results/paper/main\.pdf is missing. Run the workflow first"):
        described(checkout, monkeypatch)


def test_the_crate_contains_only_recorded_facts(checkout, monkeypatch):
    """No agent, command or configuration files; the configuration itself is recorded."""
    entities = described(checkout, monkeypatch)
    assert not [name for name, entity in entities.items() if "agent" in entity]
    assert "description" not in entities["#run"] and "publisher" not in entities["./"]
    assert json.loads(entities["#configuration"]["value"]) == CONFIGURATION
    assert {"@id": "#configuration"} in entities["#run"]["object"]
    assert {"@id": "config.yaml"} not in entities["#run"]["object"]


def test_every_file_has_the_licence_of_the_table(checkout, monkeypatch):
    published = checkout.write("workflow/resources/published/x.csv", "a\n")
    checkout.make(
        "results/paper/numbers.tex", "paper_numbers", read=[checkout.table, published], settings=CONFIGURATION
    )
    checkout.make("results/paper/main.pdf", "paper", read=["results/paper/numbers.tex", checkout.figure])
    entities = described(checkout, monkeypatch)
    licences = {name: entity.get("license", {}).get("@id") for name, entity in entities.items()}
    assert licences[checkout.data] == "https://creativecommons.org/licenses/by-sa/3.0/"
    assert licences[checkout.figure] == licences["README.md"] == "https://creativecommons.org/licenses/by/4.0/"
    assert licences["workflow/scripts/paper.py"] == licences[crate.WORKFLOW] == "https://spdx.org/licenses/MIT"
    assert licences[published] is None and "none stated" in entities[published]["description"]
    assert licences["./"] == crate.LICENCES
    assert all(identifier in entities for identifier in licences.values() if identifier)


def test_every_data_set_of_the_repository_is_in_the_table_of_licences():
    stated = crate.licences((REPOSITORY / crate.LICENCES).read_text(encoding="utf-8"))
    own = {name for name, (_, address) in stated.items() if address is None or "by/4.0" not in address}
    for folder in (REPOSITORY / "workflow/resources").iterdir():
        assert [name for name in own if name.startswith(f"workflow/resources/{folder.name}/")], folder
    for name in ("mnist", "mnist_subset", "fashion_mnist", "fashion_mnist_subset"):
        assert f"results/data/{name}.safetensors" in own


def test_an_estimator_outside_the_repository_has_name_and_checksum(checkout, monkeypatch, tmp_path_factory):
    mine = tmp_path_factory.mktemp("elsewhere") / "mine.py"
    mine.write_text("ESTIMATOR = 1\n")
    table = checkout.make("results/summary/pruning.csv", "summary", read=[checkout.data], code={MINE: checksum(mine)})
    checkout.notebook("small", [checkout.figure])
    checkout.make("results/paper/numbers.tex", "paper_numbers", read=[table], settings=CONFIGURATION)
    checkout.make("results/paper/main.pdf", "paper", read=["results/paper/numbers.tex", checkout.figure])
    entities = described(checkout, monkeypatch)
    [entity] = [entity for entity in entities.values() if entity.get("name") == "mine.py"]
    assert entity["sha256"] == checksum(mine)
    assert str(mine.parent) not in (checkout.folder / crate.METADATA).read_text()
    for action in ("#run", f"#job/{table.removeprefix('results/')}"):
        assert {"@id": entity["@id"]} in entities[action]["object"]
    monkeypatch.setenv(VARIABLE, str(mine))
    assert not Shelf(checkout.folder).problems(table)
    mine.write_text("ESTIMATOR = 2\n")
    [problem] = Shelf(checkout.folder).problems(table)
    assert "was made by code that has changed since" in problem and "mine.py" in problem


def test_files_of_one_name_outside_the_repository_are_distinct(checkout, monkeypatch):
    """For example the files of two data sets in a user's folders."""
    images = f"{ELSEWHERE}/train-images-idx3-ubyte"
    checkout.make(checkout.data, "dataset", inputs={images: "1" * 64})
    other = checkout.make("results/data/mnist.safetensors", "dataset", inputs={images: "2" * 64})
    checkout.make("results/explorer.html", "explorer", read=[checkout.data, other])
    checkout.make(checkout.table, "summary", read=[checkout.data])
    checkout.notebook("small", [checkout.figure])
    checkout.make("results/paper/numbers.tex", "paper_numbers", read=[checkout.table], settings=CONFIGURATION)
    checkout.make("results/paper/main.pdf", "paper", read=["results/paper/numbers.tex", checkout.figure])
    entities = described(checkout, monkeypatch)
    named = {entity["sha256"] for entity in entities.values() if entity.get("name") == "train-images-idx3-ubyte"}
    assert named == {"1" * 64, "2" * 64}


def test_a_truncated_record_of_snakemake_is_ignored(checkout, monkeypatch):
    monkeypatch.setattr("shelf.SNAKEMAKE", Path("noted"))
    (checkout.folder / "noted").mkdir()
    name = base64.urlsafe_b64encode(checkout.data.encode()).decode()
    (checkout.folder / "noted" / name).write_text('{"rule": "data')
    assert Shelf(checkout.folder).job(checkout.data) == {}
