"""What a result was made from: settings, code and versions, as string metadata for tensor files."""

import hashlib
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "numpy", "safetensors")


def metadata(estimator: str, settings: Mapping, seeds: Sequence[int]) -> dict[str, str]:
    """Metadata of a tensor file.

    Args:
        estimator: the estimator's name, or what else the tensors are.
        settings: the stage's settings, kept as sorted JSON.
        seeds: the seed of each replica, along the leading axis of every tensor.
    """
    return {
        "study": settings["study"],
        **identity(estimator, seeds),
        "config": json.dumps(settings, sort_keys=True),
        "code": code_hash(),
        "versions": json.dumps({"python": platform.python_version()} | {name: version(name) for name in PACKAGES}),
    }


def identity(estimator: str, seeds: Sequence[int]) -> dict[str, str]:
    """The part of the metadata that a stage which reads the file asks for; the study may be one that it is like."""
    return {"estimator": estimator, "seeds": json.dumps(list(seeds))}


def code_hash() -> str:
    """SHA-256 over the project's own modules that this process has loaded, the main program included."""
    own = [module for name, module in sys.modules.items() if name.partition(".")[0] in ("__main__", __package__)]
    files = {Path(module.__file__).resolve() for module in own if getattr(module, "__file__", None)}
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
