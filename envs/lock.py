"""Pin the versions of all packages in envs/requirements.in: make lock (docs/environments.md).

Writes requirements.lock (all packages of the project), benchmark.txt (additional packages of `make benchmark`) and the
versions in the files for conda users. Keeps pinned versions where possible; --upgrade selects the newest versions that
the list allows.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ENVS = Path(__file__).parent
LIST = ENVS / "requirements.in"

OLDEST_PYTHON = "3.11.2"
"""Python of Debian 12; the newest versions of some packages need a later one."""

BENCHMARK = "# benchmark:"
"""The comment in the list above the packages for `make benchmark` only."""

LEFT_TO_TORCH = re.compile(r"(nvidia|cuda)-.+|triton")
"""Libraries of torch's CUDA build: torch requires their exact versions, and its CPU build needs none."""

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Packages with another name in conda-forge or bioconda."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="update to the newest versions that the list allows")
    upgrade = parser.parse_args().upgrade

    wanted, wanted_by_benchmark = parts(LIST.read_text(encoding="utf-8"))
    lock, benchmark = ENVS / "requirements.lock", ENVS / "benchmark.txt"
    before = {file: pins(file.read_text(encoding="utf-8")) for file in (lock, benchmark)}

    versions = resolved(wanted, {} if upgrade else before[lock])
    further = resolved([*wanted_by_benchmark, *as_lines(versions)], {} if upgrade else before[benchmark])
    after = {lock: versions, benchmark: {name: further[name] for name in further if name not in versions}}
    for file, new in after.items():
        text = file.read_text(encoding="utf-8")
        file.write_text("\n".join([*comment(text), "", *as_lines(new), ""]), encoding="utf-8")
    for name in ("workflow.yaml", "paper.yaml"):
        file = ENVS / name
        direct = [canonical(line) for line in wanted] if name == "workflow.yaml" else []
        file.write_text(conda(file.read_text(encoding="utf-8"), versions, direct), encoding="utf-8")

    changes = [line for file in after for line in changed(before[file], after[file])]
    print("\n".join(changes) if changes else "nothing has changed")


def parts(text: str) -> tuple[list[str], list[str]]:
    """Requirements of the project and of its benchmark, without comments."""
    before, _, after = text.partition(f"\n{BENCHMARK}")
    # the second part begins with the rest of its comment
    first, second = before.splitlines(), after.splitlines()[1:]
    kept = [[text for line in lines if (text := line.partition("#")[0].strip())] for lines in (first, second)]
    return kept[0], kept[1]


def canonical(requirement: str) -> str:
    """A package's name as packaging tools compare it: ``PyYAML>=6`` is ``pyyaml``."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    """Versions in a lock by canonical name."""
    lines = (line.partition("==") for line in text.splitlines() if "==" in line and not line.startswith("#"))
    return {canonical(name): version.strip() for name, _, version in lines}


def as_lines(versions: Mapping[str, str]) -> list[str]:
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


def comment(text: str) -> list[str]:
    """The comment at the beginning of a file."""
    lines = text.splitlines()
    return lines[: next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))]


def resolved(requirements: Iterable[str], preferred: Mapping[str, str]) -> dict[str, str]:
    """Resolve the requirements and their dependencies on Linux, to preferred versions where possible.

    Omits libraries that torch installs and the suffix of torch's build (``+cpu``).
    """
    options = ["--python-version", OLDEST_PYTHON, "--python-platform", "x86_64-unknown-linux-gnu", "--no-annotate"]
    held = ENVS / ".held.txt"  # uv prefers the versions in its output file
    held.write_text("\n".join(as_lines(preferred)), encoding="utf-8")
    try:
        command = [uv(), "pip", "compile", "-", "--quiet", "--no-header", *options, "--output-file", str(held)]
        run = subprocess.run(command, input="\n".join(requirements), stdout=subprocess.DEVNULL, text=True, check=False)
        if run.returncode:
            sys.exit("error: no compatible versions exist; see uv's message above. No file was changed.")
        versions = pins(held.read_text(encoding="utf-8"))
    finally:
        held.unlink()
    return {name: version.partition("+")[0] for name, version in versions.items() if not LEFT_TO_TORCH.fullmatch(name)}


def uv() -> str:
    """Path of uv, next to the Python that runs this program."""
    return str(Path(sys.executable).with_name("uv"))


def conda(text: str, versions: Mapping[str, str], direct: Iterable[str]) -> str:
    """Text of a file for conda users: all direct dependencies in their locked versions."""
    lines = text.splitlines()
    listed = {line.partition("=")[0] for line in lines}
    entries = {f"  - {CONDA_NAMES.get(name, name)}": version for name, version in versions.items()}
    lines += [entry for name in direct if (entry := f"  - {CONDA_NAMES.get(name, name)}") not in listed]
    renewed = [f"{name}={entries[name]}" if (name := line.partition("=")[0]) in entries else line for line in lines]
    return "\n".join([*renewed, ""])


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """List the changed versions, one per line."""
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return [f"{name}: {before.get(name, 'new')} -> {after.get(name, 'gone')}" for name in names]


if __name__ == "__main__":
    main()
