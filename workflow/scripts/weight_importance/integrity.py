"""Judging from the outside whether a results file is whole.

Imports nothing but the standard library, so that the workflow can look over every result before it plans. Knows nothing
of what the files mean.
"""

import json
import struct
from pathlib import Path


def damage(path: str | Path) -> str | None:
    """What is visibly wrong with a results file, judged by its ending; ``None`` when it looks whole.

    Cheap enough to run over every result before planning: a safetensors file by its declared length, a table by its
    last line, JSON by parsing, a PDF or HTML page by its closing mark.
    """
    path = Path(path)
    if not path.is_file():
        return "does not exist"
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    match path.suffix:
        case ".safetensors":
            return _safetensors_damage(path, size)
        case ".csv":
            return _table_damage(path, size)
        case ".ipynb":
            try:
                json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                return "is not a whole notebook (its JSON is cut off)"
        case ".pdf" | ".html":
            mark = b"%%EOF" if path.suffix == ".pdf" else b"</html>"
            if mark not in _tail(path, size, 1024):
                return f"is cut off (no closing {mark.decode()})"
    return None


def _safetensors_damage(path: Path, size: int) -> str | None:
    with open(path, "rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else size
        if 8 + length > size:
            return f"is cut off ({size} bytes, its header alone needs more)"
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return "is not a safetensors file (its header cannot be read)"
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    expected = 8 + length + max(ends, default=0)
    return None if size == expected else f"is cut off or overlong ({size} bytes, its header declares {expected})"


def _table_damage(path: Path, size: int) -> str | None:
    with open(path, "rb") as file:
        header = file.readline()
    last = _tail(path, size, 4096)
    if not last.endswith(b"\n"):
        return "is cut off (its last line is incomplete)"
    if last.rstrip(b"\n").rsplit(b"\n", 1)[-1].count(b",") != header.count(b","):
        return "is cut off (its last line has too few fields)"
    return None


def _tail(path: Path, size: int, length: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, size - length))
        return file.read()
