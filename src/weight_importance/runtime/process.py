"""The device that this process computes on, noted for the provenance of its results. Imports nothing heavy."""

_noted: dict[str, str] = {}


def note_device(device: object) -> None:
    """Record the device that this process computes on."""
    _noted["device"] = str(device)


def noted_device() -> str | None:
    """The device recorded by :func:`note_device`; ``None`` if this process computes with no tensors."""
    return _noted.get("device")
