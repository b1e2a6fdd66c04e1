"""Any file, name or setting is read correctly or refused, without any other error."""

import argparse
import gzip
import hashlib
import io
import tarfile

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weight_importance.data import image_file
from weight_importance.data.sources.content import DataFile, parse_idx, read_archive
from weight_importance.data.sources.reasons import SourceError
from weight_importance.files.integrity import judged, seal_of
from weight_importance.files.storage import load_tensors, read_table, save_tensors, write_table, write_text
from weight_importance.files.tables import COLUMNS
from weight_importance.runtime import device
from weight_importance.runtime.arguments import json_object
from weight_importance.runtime.errors import UserError
from weight_importance.settings.ablation_names import parse

# the same examples in every run, so that failures come from changes
settings.register_profile("fixed", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("fixed")
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
DTYPES = {torch.float32: 4, torch.float64: 8, torch.int64: 8, torch.uint8: 1, torch.bool: 1}


@st.composite
def tensors(draw):
    """A small tensor of any shape with any bits."""
    dtype, shape = draw(st.sampled_from(list(DTYPES))), draw(st.lists(st.integers(0, 4), max_size=3))
    count = torch.Size(shape).numel()
    if dtype == torch.bool:
        return torch.tensor(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=dtype).reshape(shape)
    if not count:
        return torch.zeros(shape, dtype=dtype)
    size = count * DTYPES[dtype]
    return torch.frombuffer(bytearray(draw(st.binary(min_size=size, max_size=size))), dtype=dtype).reshape(shape)


def bits(tensor):
    return tensor.dtype, tensor.shape, tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@in_one_folder
@given(
    named=st.dictionaries(TEXT.filter(lambda name: name != "__metadata__"), tensors(), max_size=3),
    metadata=st.dictionaries(TEXT, TEXT, max_size=3),
)
def test_tensors_are_restored_bit_by_bit(named, metadata, tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, named, metadata)
    loaded, about = load_tensors(path)
    assert about == metadata
    assert {name: bits(tensor) for name, tensor in loaded.items()} == {name: bits(one) for name, one in named.items()}
    before = path.read_bytes()
    save_tensors(path, dict(reversed(named.items())), dict(reversed(metadata.items())))
    assert path.read_bytes() == before, "equal results have equal bytes"


NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=8)
SHARES = st.floats(0, 1) | st.just(float("nan"))
ANY = st.floats() | st.sampled_from([5e-324, 0.1 + 0.2, 1e23])


ROWS = st.tuples(NAMES, NAMES, ANY, st.integers(0, 2**62), st.integers(1, 99), st.integers(1, 99), NAMES, SHARES)


@in_one_folder
@given(rows=st.lists(ROWS, min_size=1, max_size=5))
def test_tables_are_restored_bit_by_bit(rows, tmp_path):
    columns = COLUMNS["retention"]
    write_table(tmp_path / "t.csv", pd.DataFrame(rows, columns=columns), columns)
    back = read_table(tmp_path / "t.csv", columns)
    assert repr(list(back.itertuples(index=False, name=None))) == repr(rows)


@in_one_folder
@given(text=st.text(st.characters(codec="utf-8"), max_size=200), position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_a_cut_and_an_addition_are_detected(text, position, bit, tmp_path):
    path = tmp_path / "x.tex"
    write_text(path, text)
    whole = path.read_bytes()
    assert judged(path)[1] is None
    for altered in (
        flipped(whole, position, bit),
        whole[: position % (len(whole) + 1)],
        whole + bytes([position % 256]),
    ):
        path.write_bytes(altered)
        assert (judged(path)[1] is None) == (altered == whole)
    path.write_bytes(whole)
    seal = seal_of(path)
    seal.write_bytes(flipped(seal.read_bytes(), position % 64, bit))
    assert judged(path)[1], "an altered seal fits no file"


def flipped(content, position, bit):
    """Content with one bit changed; empty content is unchanged."""
    if not content:
        return content
    position %= len(content)
    return content[:position] + bytes([content[position] ^ 1 << bit]) + content[position + 1 :]


@in_one_folder
@given(content=st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
def test_files_of_any_bytes_are_read_or_refused(content, tmp_path):
    """The files have no seals."""
    path = tmp_path / "x"
    path.write_bytes(content)
    for read in (
        load_tensors,
        image_file.load,
        lambda file: read_table(file, COLUMNS["baseline"]),
        lambda file: read_table(file, COLUMNS["retention"]),
    ):
        with pytest.raises(UserError, match="x"):
            read(path)


HEADER = b"study,seed,split,accuracy\n"


@in_one_folder
@given(rows=st.binary(max_size=60) | st.text('a,0.19\n"-eE', max_size=40).map(str.encode))
def test_tables_of_any_rows_are_read_as_numbers_or_refused(rows, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(HEADER + rows)
    try:
        table = read_table(path, COLUMNS["baseline"])
    except UserError as error:
        assert "t.csv" in str(error) and "same command again" in str(error)
    else:
        assert table.empty or (table["accuracy"].dropna().between(0, 1).all() and (table["seed"] % 1 == 0).all())


@given(content=st.binary(max_size=40) | st.binary(max_size=20).map(lambda rest: b"\0\0\x08\x01\0\0\0\x02" + rest))
def test_any_bytes_are_idx_or_refused(content):
    try:
        values = parse_idx(content)
    except ValueError as error:
        assert "IDX" in str(error)
    else:
        assert content.endswith(values.tobytes())


CONTENT = bytes(range(256)) * 4
FILES = {"images": DataFile("images", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())}


def archive(name):
    """A gzipped tar of one file."""
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w:gz", compresslevel=1) as tar:
        member = tarfile.TarInfo(name)
        member.size = len(CONTENT)
        tar.addfile(member, io.BytesIO(CONTENT))
    return stored.getvalue()


@in_one_folder
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.integers(0, 10**6), packed=st.booleans())
def test_a_damaged_archive_gives_the_pinned_content_or_nothing(position, bit, cut, packed, tmp_path):
    path = tmp_path / "package.tgz"
    whole = archive("folder/images") if packed else gzip.decompress(archive("folder/images"))
    path.write_bytes(flipped(whole, position, bit)[: len(whole) - cut % 64])
    try:
        contents = read_archive(path, "folder", FILES)
    except SourceError as error:
        assert "package.tgz" in str(error)
    else:
        assert contents == {"images": CONTENT}


@given(TEXT | st.text("()_abmsulniforwe0.", max_size=20))
def test_any_name_is_an_ablation_or_refused(name):
    try:
        assert parse(name).name == name
    except UserError as error:
        assert name in str(error) or "unknown ablation" in str(error)


@given(TEXT | st.text("cudap:019", max_size=8))
def test_any_text_is_a_device_or_refused(wanted):
    try:
        assert str(device.choose(wanted)).split(":")[0] in ("cpu", "cuda")
    except UserError as error:
        assert f"{device.VARIABLE} is '{wanted}'" in str(error)


@given(TEXT | st.text('{}[]":,0a', max_size=20))
def test_any_text_is_settings_or_refused(text):
    try:
        settings_read = json_object(text)
    except argparse.ArgumentTypeError as error:
        assert text in str(error)
    else:
        with pytest.raises(UserError, match="the settings lack 'absent'"):
            settings_read["absent"]
