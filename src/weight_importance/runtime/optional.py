"""Values that are absent in some uses of a class and present in others."""

from typing import TypeVar

Value = TypeVar("Value")


def present(value: Value | None) -> Value:
    """Return a value whose presence earlier checks of settings, or earlier steps, guarantee."""
    if value is None:
        raise ValueError("a value is None that checks of settings, or earlier steps, should have provided")
    return value
