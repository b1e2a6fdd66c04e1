"""Values that are absent in some uses of a class and present in others."""

from typing import TypeVar

Value = TypeVar("Value")


def present(value: Value | None) -> Value:
    """A value that is not absent here: settings checked before, or earlier steps, see to it."""
    if value is None:
        raise ValueError("a value is None that checks of settings, or earlier steps, should have provided")
    return value
