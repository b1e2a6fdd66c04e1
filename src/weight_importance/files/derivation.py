"""Sources of a quoted value, carried by the value itself.

The code that computes a value names the rows that it uses, so no separate list of sources can become outdated.
Independent of files and LaTeX.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import pandas as pd

Value = str | float
Values = Value | Collection[Value]
"""One value, or several alternatives."""


@dataclass(frozen=True)
class Rows:
    """Rows of a table, selected by the allowed values of columns.

    Attributes:
        table: file name of the table, without the suffix.
        where: ``((column, (value, ...)), ...)``; if empty, all rows.
    """

    table: str
    where: tuple[tuple[str, tuple[Value, ...]], ...] = ()

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Select these rows; ignore conditions on columns that the table lacks."""
        for column, values in self.where:
            if column in table:
                table = table[table[column].isin(values)]
        return table

    def __str__(self) -> str:
        return ", ".join(f"{column} {' or '.join(map(_shown, values))}" for column, values in self.where) or "all rows"


@dataclass(frozen=True)
class Setting:
    """A key of the configuration, such as ``studies.mlp_permuted_mnist.training.epochs``."""

    key: str


@dataclass(frozen=True)
class Constant:
    """A constant in the code: module and name."""

    module: str
    name: str


@dataclass(frozen=True)
class Package:
    """The version of an installed package or of Python."""

    name: str


Source = Rows | Setting | Constant | Package


class Derived(str):
    """A printed value with its sources and the function that computed it."""

    sources: tuple[Source, ...]
    maker: str

    def __new__(cls, value: str, sources: tuple[Source, ...], maker: str = "") -> "Derived":
        self = super().__new__(cls, value)
        self.sources, self.maker = sources, maker
        return self


def rows(table: str, **where: Values) -> Rows:
    """Build :class:`Rows` from keywords; ``lambda_`` is the column ``lambda``."""
    conditions = {
        column.rstrip("_"): tuple(values) if isinstance(values, list | tuple | set) else (values,)
        for column, values in where.items()
    }
    return Rows(table, tuple(sorted((column, tuple(dict.fromkeys(values))) for column, values in conditions.items())))


def derived(values: Mapping[str, str], *sources: Source) -> dict[str, str]:
    """Add sources to the values that have none."""
    return {key: value if isinstance(value, Derived) else Derived(value, sources) for key, value in values.items()}


def completed(values: Mapping[str, str], maker: str, **where: Value) -> dict[str, str]:
    """Add the maker's name, and conditions on rows for columns without a condition.

    Raises:
        TypeError: a value has no sources.
    """
    results: dict[str, str] = {}
    for key, value in values.items():
        if not isinstance(value, Derived):
            raise TypeError(f"{maker} gives no sources of '{key}'; pass it through derived()")
        sources = tuple(_narrowed(source, where) if isinstance(source, Rows) else source for source in value.sources)
        results[key] = Derived(value, sources, value.maker or maker)
    return results


def _narrowed(source: Rows, where: Mapping[str, Value]) -> Rows:
    have = dict(source.where)
    more = {column: (value,) for column, value in where.items() if column not in have}
    return replace(source, where=tuple(sorted((have | more).items())))


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.12g}"
