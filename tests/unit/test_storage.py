"""A results file is complete or refused by name; a failed write keeps the old file."""

import json
import os
import resource
import signal

import pandas as pd
import pytest
import torch

from weight_importance.files.integrity import judged
from weight_importance.files.storage import atomic_path, load_tensors, read_table, save_tensors, write_table, write_text
from weight_importance.runtime.errors import UserError

COLUMNS = ("seed", "value")


def table(rows=50):
    return pd.DataFrame({"seed": range(rows), "value": [1 / (i + 3) for i in range(rows)]})


def test_tensors_round_trip_with_metadata(tmp_path):
    tensors = {"w": torch.randn(2, 3, 4).transpose(1, 2), "b": torch.randn(2)}
    save_tensors(tmp_path / "new" / "x.safetensors", tensors, {"seeds": "[0, 1]"})
    loaded, metadata = load_tensors(tmp_path / "new" / "x.safetensors")
    assert metadata == {"seeds": "[0, 1]"}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    hidden = [".x.safetensors.provenance.json", ".x.safetensors.sha256"]
    assert sorted(os.listdir(tmp_path / "new")) == [*hidden, "x.safetensors"]


def test_the_keys_of_a_header_are_sorted(tmp_path):
    """The library writes metadata in an order that differs between runs."""
    save_tensors(tmp_path / "x.safetensors", {"w": torch.zeros(1)}, {name: name for name in "hgfedcba"})
    content = (tmp_path / "x.safetensors").read_bytes()
    header = content[8 : 8 + int.from_bytes(content[:8], "little")].decode().rstrip()
    assert header == json.dumps(json.loads(header), sort_keys=True, separators=(",", ":"))


def test_tables_round_trip_exactly_with_nan(tmp_path):
    frame = table()
    frame.loc[3, "value"] = float("nan")
    write_table(tmp_path / "t.csv", frame, COLUMNS)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv", COLUMNS), frame)
    assert "3,nan\n" in (tmp_path / "t.csv").read_text()


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (lambda path: save_tensors(path, {"w": torch.randn(5)}, {"a": "b"}), load_tensors),
        (lambda path: write_table(path, table(), COLUMNS), lambda path: read_table(path, COLUMNS)),
    ],
    ids=["tensors", "table"],
)
def test_every_truncation_is_detected(tmp_path, write, read):
    path = tmp_path / "result"
    write(path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert judged(path)[1], length
        with pytest.raises(UserError, match=r"result.*same command again"):
            read(path)


def test_a_table_from_another_program_needs_no_seal(tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv", COLUMNS), table())


@pytest.mark.parametrize("name", ["x.safetensors", "t.csv"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(UserError, match=name):
        load_tensors(tmp_path / name) if name.startswith("x") else read_table(tmp_path / name, COLUMNS)


def test_a_directory_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write .*file/t\.csv.*writable"):
        write_table(tmp_path / "file" / "t.csv", table(), COLUMNS)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_text(path, "x" * 100_000),
        lambda path: write_table(path, table(20_000), COLUMNS),
        lambda path: save_tensors(path, {"w": torch.zeros(100_000)}, {}),
    ],
    ids=["text", "table", "tensors"],
)
def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(tmp_path, write):
    """A limit on file size fails writes half-way, like a full disk; in a child process, because it is permanent."""
    path = tmp_path / "result"
    path.write_text("old")
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            write(path)
        except UserError as error:
            os._exit(0 if "cannot write" in str(error) and "free space" in str(error) else 2)
        except BaseException:
            os._exit(3)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result"]


def test_an_interrupted_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "result"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result"]


def test_all_files_are_flushed_before_the_first_is_renamed(tmp_path, monkeypatch):
    """Between renames, files and seals do not fit, and flushing may take long."""
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *what, name=name, real=real: done.append(name) or real(*what))
    write_text(tmp_path / "a.tex", "one")
    assert done == ["fsync"] * 3 + ["replace"] * 3


def test_a_changed_file_is_detected_until_it_is_written_again(tmp_path):
    path = tmp_path / "a.tex"
    write_text(path, "one")
    assert judged(path)[1] is None
    path.write_text("two")
    assert judged(path)[1]
    write_text(path, "two")
    assert judged(path)[1] is None
