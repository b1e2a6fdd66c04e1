"""Inputs run no code, unpack to no file outside their folder, and are verified if they come from the network."""

import gzip
import io
import os
import pickle
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from weight_importance.data import catalogue as datasets
from weight_importance.data import image_file
from weight_importance.data.sources import content, packages
from weight_importance.data.sources.content import read_archive
from weight_importance.data.sources.limits import file_size_limit
from weight_importance.data.sources.reasons import SourceError
from weight_importance.files.storage import load_tensors, read_table
from weight_importance.files.tables import COLUMNS
from weight_importance.runtime.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
RULES = [REPOSITORY / "Snakefile", *REPOSITORY.glob("workflow/rules/*.s*"), *REPOSITORY.glob("profiles/*/*")]
PAGE = sorted((REPOSITORY / "workflow/explorer").iterdir())
FETCH = r"(?<![\w./-])(?:npm|apt-get|curl|wget|pip|uv|conda|mamba)(?![\w:-])|git\W+(?:clone|fetch|pull)|https?://"
RUN_CODE = r"\b(?:pickle|dill|cloudpickle|joblib|shelve|marshal|torch\.load|eval|exec)\b *[(.]"
REACH_OUT = r"\b(?:import|from) +(?:urllib|http|requests|httpx|aiohttp|ftplib|smtplib|asyncio|socket)\b|\burlopen\("


@pytest.mark.parametrize("file", RULES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_rules_and_profiles_fetch_nothing_and_load_no_code(file):
    """Ruff checks Python files and notebooks only (S and TID251 in pyproject.toml)."""
    text = file.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"^ *conda:$", "", "\n".join(lines), flags=re.MULTILINE)  # a key of a rule
    assert not re.findall(f"{FETCH}|{RUN_CODE}|{REACH_OUT}", text)


@pytest.mark.parametrize("file", PAGE, ids=lambda file: file.name)
def test_the_explorer_s_page_requests_nothing(file):
    requests = r"\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|\bimport\b *\(|\beval\(|new Function"
    requests += r"""|(?:src|href)=["']?(?:https?:)?//|@import|url\((?!["']?(?:data:|#))"""
    assert not re.findall(requests, file.read_text(encoding="utf-8"))


def test_every_file_of_every_data_set_is_pinned():
    """Comparisons with fetched content: tests/unit/test_datasets.py."""
    for entry in datasets.DATASETS.values():
        assert all(len(file.sha256) == 64 and file.size > 0 for file in entry.files.values())


class Harmful:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


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

FILES = {"images": content.DataFile("images", 4, "9f64a747e1b97f131fabb6b447296c9b6f0201e79fb3c5356e6c77e89b6a806a")}
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


def test_other_members_are_never_written(tmp_path):
    path = archive(tmp_path, ("data/link", tarfile.SYMTYPE, "/etc"), ("data/link/x", tarfile.REGTYPE, b"x"))
    assert read_archive(path, "data", FILES) == {"images": CONTENT}
    assert names_in(tmp_path) == [path.name]


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "LARGEST_FILE", 10**6)
    path = tmp_path / "package.tgz"
    # a large member of zeros, and names as long as a file
    for kind in (tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        header = tarfile.TarInfo("data/zeros")
        header.type, header.size = kind, 5 * 10**6
        path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(header.size), 1))
        with pytest.raises(SourceError, match=r"package\.tgz is refused: it unpacks to more than 1000000 bytes"):
            read_archive(path, "data", FILES)


def test_the_size_of_a_source_s_files_is_limited(tmp_path):
    with file_size_limit(1000), pytest.raises(OSError, match="File too large"):
        (tmp_path / "x").write_bytes(bytes(2000))
    with file_size_limit(1000), pytest.raises(SourceError, match="failed"):
        packages.run_client(["head", "-c2000", "/dev/zero"], str(tmp_path), 10, if_missing="", output=tmp_path / "y")
    (tmp_path / "x").write_bytes(bytes(2000))


def test_a_zip_in_place_of_a_tar_archive_is_refused(tmp_path):
    path = tmp_path / "package.tgz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../outside", "x")
    with pytest.raises(SourceError, match="is damaged"):
        read_archive(path, "data", FILES)
    assert names_in(tmp_path) == [path.name]
