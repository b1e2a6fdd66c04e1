"""The compute device of this process, recorded for provenance. Imports nothing heavy."""

_noted: dict[str, str] = {}


def note_device(device: object) -> None:
    """Record the device that this process computes on."""
    _noted["device"] = str(device)


def noted_device() -> str | None:
    """The device recorded by :func:`note_device`; ``None`` if this process uses no tensors."""
    return _noted.get("device")
