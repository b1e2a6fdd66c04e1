"""Nothing that is read can run code, be unpacked outside a folder, or have come from the network unverified."""

import ast
import gzip
import inspect
import io
import json
import os
import pickle
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pytest
import torch

from weight_importance import datasets, image_file
from weight_importance.data_sources import content, folders, mirrors, packages
from weight_importance.data_sources.content import read_archive
from weight_importance.data_sources.limits import file_size_limit
from weight_importance.data_sources.reasons import SourceError
from weight_importance.errors import UserError
from weight_importance.storage import load_tensors, read_table, save_tensors, write_table
from weight_importance.tables import COLUMNS

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = [
    *(file for folder in ("workflow", "benchmarks") for file in sorted((REPOSITORY / folder).rglob("*.py"))),
    *sorted((REPOSITORY / "notebooks").glob("*.ipynb")),
]
ON_THE_NETWORK = {"mirrors.py", "packages.py"}
"""The modules that may reach the network: their classes give what ``content.read_checked`` let pass, no more."""

RUN_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
REACH_OUT = {"urllib.request", "http.client", "requests", "httpx", "socket", "ftplib"}
DOWNLOAD = {"urlopen", "urlretrieve", "download_url"}
UNPACK = {"extractall", "extract", "unpack_archive"}


def code(file):
    """A source's syntax tree; of a notebook, that of all its cells."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".ipynb":
        cells = (cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
        lines = (line for cell in cells for line in "".join(cell["source"]).splitlines())
        text = "\n".join(line for line in lines if not line.startswith(("%", "!")))
    return ast.parse(text)


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def calls(tree):
    """What is called, as ``(dotted name, keyword → value's source)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_no_source_loads_code_from_data(file):
    tree = code(file)
    assert not set(imported(tree)) & RUN_CODE
    for name, keywords in calls(tree):
        last = name.rsplit(".", 1)[-1]
        assert name not in ("torch.load", "eval", "exec") and last not in ("read_pickle", "to_pickle", "read_hdf"), name
        assert name not in ("np.load", "numpy.load") or keywords.get("allow_pickle", "False") == "False", name
        assert last not in ("unsafe_load", "full_load", *UNPACK), name
        if name == "yaml.load":
            assert file.name == "places.py", "only where the loader is the safe one"


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_only_the_sources_of_data_reach_the_network(file):
    tree = code(file)
    found = set(imported(tree)) & REACH_OUT
    downloads = [name for name, _ in calls(tree) if name.rsplit(".", 1)[-1] in DOWNLOAD]
    allowed = ON_THE_NETWORK | {"limits.py"}
    assert not (found or downloads) or file.name in allowed, (found, downloads)


def test_every_source_of_data_gives_checked_content_only():
    """Each returns what one of the readers returns that compare size and SHA-256 with what is pinned."""
    classes = {
        found
        for module in (folders, mirrors, packages)
        for _, found in inspect.getmembers(module, inspect.isclass)
        if found.__module__ == module.__name__
    }
    assert {type(source) for entry in datasets.DATASETS.values() for source in entry.sources} == classes
    for source in classes:
        tree = ast.parse(inspect.getsource(source.fetch).replace("    def", "def", 1).replace("\n    ", "\n"))
        returned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
        assert returned and {ast.unparse(value.func) for value in returned} <= {"read_folder", "read_archive"}
    for reader in (content.read_folder, content.read_archive):
        assert "read_checked(" in inspect.getsource(reader)


def test_every_file_of_every_data_set_is_pinned():
    for entry in datasets.DATASETS.values():
        assert all(len(file.sha256) == 64 and file.size > 0 for file in entry.files.values())


SEEN: list[str] = []
sys.addaudithook(lambda event, arguments: SEEN.append(event) if event == "pickle.find_class" else None)


class Harmful:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_reading_data_and_results_unpickles_nothing(tmp_path):
    SEEN.clear()
    datasets.save(tmp_path / "data.safetensors", "mnist_subset", datasets.fetch("mnist_subset"))
    image_file.load(tmp_path / "data.safetensors")
    save_tensors(tmp_path / "w.safetensors", {"w": torch.ones(2)}, {"seeds": "[0]"})
    load_tensors(tmp_path / "w.safetensors")
    table = pd.DataFrame([("small", 0, "test", 0.5)], columns=COLUMNS["baseline"])
    write_table(tmp_path / "t.csv", table, COLUMNS["baseline"])
    read_table(tmp_path / "t.csv", COLUMNS["baseline"])
    assert SEEN == []


def test_a_pickle_in_place_of_a_result_is_refused_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x").write_bytes(pickle.dumps(Harmful()))
    torch.save({"w": torch.ones(2)}, "y")
    for file in ("x", "y"):
        for read in (load_tensors, image_file.load, lambda name: read_table(name, COLUMNS["baseline"])):
            with pytest.raises(UserError, match=file):
                read(file)
    assert not Path("unpickled").exists()


# Hostile archives

FILES = {"images": content.IdxFile("images", 4, "9f64a747e1b97f131fabb6b447296c9b6f0201e79fb3c5356e6c77e89b6a806a")}
CONTENT = b"\1\2\3\4"


def archive(folder, *members, ending="tgz"):
    """A tar archive of ``(name, type, link or content)``, with the wanted file last."""
    path = folder / f"package.{ending}"
    with tarfile.open(path, "w:gz" if ending == "tgz" else "w") as tar:
        for name, kind, more in (*members, ("data/images", tarfile.REGTYPE, CONTENT)):
            member = tarfile.TarInfo(name)
            member.type = kind
            if isinstance(more, bytes):
                member.size = len(more)
            else:
                member.linkname = more
            tar.addfile(member, io.BytesIO(more) if isinstance(more, bytes) else None)
    return path


def names_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("ending", ["tgz", "tar"])
@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (("../outside", tarfile.REGTYPE, b"x"), r"'\.\./outside' reaches outside"),
        (("data/../../outside", tarfile.REGTYPE, b"x"), "reaches outside"),
        (("/outside", tarfile.REGTYPE, b"x"), "reaches outside"),
        (("../outside", tarfile.SYMTYPE, "/etc/passwd"), "reaches outside"),
        (("data/images", tarfile.SYMTYPE, "/etc/passwd"), "'data/images' is not a regular file"),
        (("data/images", tarfile.LNKTYPE, "../../etc/passwd"), "is not a regular file"),
        (("data/images", tarfile.CHRTYPE, ""), "is not a regular file"),
        (("data/images", tarfile.FIFOTYPE, ""), "is not a regular file"),
        (("data/images", tarfile.DIRTYPE, ""), "is not a regular file"),
        (("data/images", tarfile.REGTYPE, b"\4\3\2\1"), "images is altered"),
    ],
)
def test_hostile_members_are_refused(member, reason, ending, tmp_path):
    path = archive(tmp_path, member, ending=ending)
    with pytest.raises(SourceError, match=reason):
        read_archive(path, "data", FILES)
    assert names_in(tmp_path) == [path.name], "nothing was unpacked"


def test_members_that_nothing_asks_for_are_never_written(tmp_path):
    path = archive(tmp_path, ("data/link", tarfile.SYMTYPE, "/etc"), ("data/link/x", tarfile.REGTYPE, b"x"))
    assert read_archive(path, "data", FILES) == {"images": CONTENT}
    assert names_in(tmp_path) == [path.name]


def test_an_archive_that_unpacks_to_any_size_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "LARGEST_FILE", 10**6)
    path = tmp_path / "package.tgz"
    # a member of a size that only its header claims, of zeros, and a name as long as a file
    for kind in (tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        header = tarfile.TarInfo("data/zeros")
        header.type, header.size = kind, 5 * 10**6
        path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(header.size), 1))
        with pytest.raises(SourceError, match=r"package\.tgz is refused: it unpacks to more than 1000000 bytes"):
            read_archive(path, "data", FILES)


def test_what_a_source_writes_is_bounded(tmp_path):
    with file_size_limit(1000), pytest.raises(OSError, match="File too large"):
        (tmp_path / "x").write_bytes(bytes(2000))
    with file_size_limit(1000), pytest.raises(SourceError, match="failed"):
        packages.run_client(["head", "-c2000", "/dev/zero"], str(tmp_path), 10, if_missing="", output=tmp_path / "y")
    (tmp_path / "x").write_bytes(bytes(2000))


def test_no_archive_is_a_zip(tmp_path):
    """Nothing of ours reads one; offered in place of a tar archive it is damaged."""
    import zipfile

    path = tmp_path / "package.tgz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../outside", "x")
    with pytest.raises(SourceError, match="is damaged"):
        read_archive(path, "data", FILES)
    assert names_in(tmp_path) == [path.name]
