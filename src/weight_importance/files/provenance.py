"""Provenance records: the origin of a result, recorded by the process that made it.

The record ``.NAME.provenance.json`` next to a result holds command, settings, seeds, code, versions, device, and the
SHA-256 of the result and of every file read before it was written. Nothing in a record is declared by hand or depends
on the time or place of the run, so equal results have equal records. The metadata of tensor files repeats the most
important entries.

Records describe the code as loaded, even if files are edited during a long job: project modules are hashed immediately
before their import or, if loaded earlier, when this module is imported.
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from weight_importance.files.integrity import checksum
from weight_importance.runtime.process import noted_device

PACKAGES = (
    "torch", "torchvision", "numpy", "scipy", "pandas", "safetensors", "matplotlib", "papermill", "nbconvert",
)  # fmt: skip
"""Packages whose versions are recorded."""

COMPUTING = ("python", "torch", "numpy", "safetensors")
"""Those on which tensors depend: a checkpoint is not used with other versions."""

COMMAND_VARIABLE = "IMPORTANCE_ATLAS_COMMAND"
"""Environment variable for a notebook's kernel: JSON list of the command that started it, and its code files."""

READINGS_VARIABLE = "IMPORTANCE_ATLAS_READINGS"
"""Environment variable: file in which a notebook's kernel lists its inputs for the program that started it."""

PACKAGE = "weight_importance"

CHECKOUT = Path(__file__).resolve().parents[3]

ELSEWHERE = "(elsewhere)"
"""Folder in records for files outside the checkout, which are recorded by name and checksum only."""


@dataclass
class Process:
    """Files that this process has read and loaded so far; global, because each process runs one job."""

    inputs: dict[str, str] = field(default_factory=dict)
    code: dict[Path, str] = field(default_factory=dict)  # checksum when first seen


THIS = Process()


def record_of(path: Path) -> Path:
    """Path of a result's record."""
    return path.with_name(f".{path.name}.provenance.json")


def note_input(path: str | Path, sha256: str | None = None) -> None:
    """Record a file as an input; every later record names it.

    Args:
        path: the file.
        sha256: checksum of its content, if known.
    """
    THIS.inputs[_shown(path)] = sha256 or checksum(Path(path))
    readings = os.environ.get(READINGS_VARIABLE)
    if readings:
        with open(readings, "a", encoding="utf-8") as file:
            file.write(json.dumps([_shown(path), THIS.inputs[_shown(path)]]) + "\n")


def note_code(file: Path) -> None:
    """Hash a code file immediately before it runs; imported project modules are hashed automatically."""
    _as_run(file.resolve())


def read_noted(path: Path) -> bytes:
    """Read a file and record it as an input, with the checksum of exactly this content."""
    content = path.read_bytes()
    note_input(path, hashlib.sha256(content).hexdigest())
    return content


def forget_input(path: str | Path) -> None:
    """Omit a file from all later records, such as a checkpoint written by this job."""
    THIS.inputs.pop(_shown(path), None)


def note_readings(readings: Path) -> None:
    """Add the inputs that another process listed under :data:`READINGS_VARIABLE`."""
    if readings.is_file():
        THIS.inputs.update(json.loads(line) for line in readings.read_text(encoding="utf-8").splitlines())


def record(sha256: str) -> str:
    """JSON record of a result with this checksum."""
    program, arguments = _command()
    objects = (json.loads(argument) for argument in arguments if argument.startswith("{"))
    settings: dict[str, Any] = next(objects, {})
    about = {
        "sha256": sha256,
        "program": program,
        "arguments": arguments,
        "settings": settings,
        "seeds": settings.get("seeds") if isinstance(settings.get("seeds"), list) else None,
        "device": device(),
        "versions": versions(),
        "code": {"sha256": code_hash(), "files": {_shown(file): _as_run(file) for file in _own_files()}},
        "inputs": dict(sorted(THIS.inputs.items())),
    }
    return json.dumps(about, indent=1, sort_keys=True) + "\n"


def metadata(estimator: str, settings: Mapping, seeds: Sequence[int]) -> dict[str, str]:
    """Metadata of a tensor file.

    Args:
        estimator: the estimator's name, or another name of the tensors.
        settings: the stage's settings, kept as sorted JSON.
        seeds: the seed of each replica, along the leading axis of every tensor.
    """
    return {
        "study": settings["study"],
        **identity(estimator, seeds),
        "config": json.dumps(settings, sort_keys=True),
        "code": code_hash(),
        "versions": json.dumps({name: versions()[name] for name in COMPUTING}, sort_keys=True),
        "device": json.dumps(device(), sort_keys=True),
    }


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of those :data:`PACKAGES` that are installed."""
    installed = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            installed[name] = version(name)
    return {"python": platform.python_version()} | installed


def device() -> dict[str, str | int] | None:
    """Device, threads and precision, which can affect the last bits of a result; ``None`` without tensors."""
    torch = sys.modules.get("torch")
    noted = noted_device()
    if torch is None or noted is None:
        return None
    on_gpu = noted.startswith("cuda")
    return {
        "device": noted,
        "processor": torch.cuda.get_device_name(noted) if on_gpu else torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
    }


def identity(estimator: str, seeds: Sequence[int]) -> dict[str, str]:
    """Metadata that readers check, without the study, because studies share files."""
    return {"estimator": estimator, "seeds": json.dumps(list(seeds))}


def code_hash() -> str:
    """SHA-256 of the project modules that this process has loaded, including the main program."""
    digest = hashlib.sha256()
    for file in _own_files():
        digest.update(f"{file.name} {_as_run(file)}\n".encode())
    return digest.hexdigest()


def _own_files() -> list[Path]:
    """Loaded project modules with the main program or, in a notebook's kernel, with the notebook."""
    command = os.environ.get(COMMAND_VARIABLE)
    roots = (PACKAGE,) if command else ("__main__", PACKAGE)
    own = [module for name, module in sys.modules.items() if name.partition(".")[0] in roots]
    files = {Path(file).resolve() for module in own if (file := getattr(module, "__file__", None))}
    files = {file for file in files if file.is_file()}  # code from standard input has no file
    return sorted(files | {Path(file).resolve() for file in (json.loads(command)[1] if command else ())})


def _command() -> tuple[str, list[str]]:
    """Program and arguments of this process or, in a notebook's kernel, of the program that started it."""
    command = os.environ.get(COMMAND_VARIABLE)
    program, *arguments = json.loads(command)[0] if command else sys.argv
    return _shown(program), arguments


def _as_run(file: Path) -> str:
    """Checksum of a code file when first seen."""
    if file not in THIS.code:
        THIS.code[file] = checksum(file)
    return THIS.code[file]


class _Watch(MetaPathFinder):
    """Hashes project modules immediately before other finders load them."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] == PACKAGE:
            spec = PathFinder.find_spec(name, path)
            if spec and spec.origin and Path(spec.origin).is_file():
                note_code(Path(spec.origin))
        return None


def _shown(path: str | Path) -> str:
    """Path relative to the working directory or the checkout, so that records do not depend on their location."""
    for place in (Path(os.path.abspath(path)), Path(path).resolve()):  # results may be a symbolic link
        for root in (Path.cwd(), CHECKOUT):
            if place.is_relative_to(root):
                return str(place.relative_to(root))
    return f"{ELSEWHERE}/{Path(path).name}"


for _file in _own_files():
    _as_run(_file)
sys.meta_path.insert(0, _Watch())
