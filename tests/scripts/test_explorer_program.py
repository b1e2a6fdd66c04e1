"""The program ``explorer.py``: a page of given importances and tables, or one error message."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from weight_importance.files.integrity import checksum
from weight_importance.files.storage import save_tensors, write_table
from weight_importance.files.tables import COLUMNS

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
TEMPLATE = sorted((SCRIPTS.parent / "explorer").iterdir())
SETTINGS = {
    "networks_of": None, "network": "mlp", "datasets": ["mnist"], "protocol": {}, "seeds": 3,
    "estimators": ["mas", "si"], "tasks": {"kind": "permuted", "count": 2}, "shards": ["seeds-0-1", "seeds-2-2"],
    "retention": {"seeds": None, "penalty": "plain", "batch_norm": "running"},
}  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Importances of two estimators, in a shard of two networks and one of one."""
    for estimator in SETTINGS["estimators"]:
        for shard, networks in zip(SETTINGS["shards"], (2, 1), strict=True):
            tensors = {"fc1.weight": torch.rand(networks, 30, 40), "fc1.bias": torch.rand(networks, 30)}
            path = tmp_path / f"runs/tiny/importance/{estimator}/{shard}.safetensors"
            save_tensors(path, tensors, {"study": "tiny", "estimator": estimator})
    return tmp_path / "runs"


def run(folder: Path, *tables: Path, study: str = "tiny") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPTS / "explorer.py", "--template", *TEMPLATE, "--tables", *tables]
    command += [
        "--runs",
        folder / "runs",
        "--settings",
        json.dumps({study: SETTINGS}),
        "--output",
        folder / "page.html",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_page_contains_every_weight_of_all_shards(runs, tmp_path):
    rows = [("tiny", "mas", 1.0, seed, 2, task, "test", 0.9) for seed in range(3) for task in (1, 2)]
    table = tmp_path / "retention.csv"
    write_table(table, pd.DataFrame(rows, columns=list(COLUMNS["retention"])), COLUMNS["retention"])
    result = run(tmp_path, table)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"\{\{\w+\}\}", page)
    (study,) = json.loads(re.search('id="data">(.*?)</script>', page)[1])["studies"]
    assert [(tensor["name"], tensor["shape"], tensor["entries"], tensor["few"]) for tensor in study["tensors"]] == [
        ("fc1.weight", [30, 40], 3600, False),
        ("fc1.bias", [30], 90, True),
        ("all", [], 3690, False),
    ]
    assert study["retention"]["mas"][0][:2] == [1, 0.9]
    inputs = json.loads((tmp_path / ".page.html.provenance.json").read_text())["inputs"]
    assert {file: inputs.get(f"workflow/explorer/{file.name}") for file in TEMPLATE} == {
        file: checksum(file) for file in TEMPLATE
    }


def test_importances_of_another_study_are_refused(runs, tmp_path):
    (runs / "tiny").rename(runs / "other")
    result = run(tmp_path, study="other")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "is of study tiny, expected other" in result.stderr and not (tmp_path / "page.html").exists()
