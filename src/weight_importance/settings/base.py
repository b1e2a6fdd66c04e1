"""Base class of all settings models, and value types that several models share.

Imports neither torch, pandas nor Snakemake: reading a configuration must be fast.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, WrapValidator, model_validator

from weight_importance.runtime.errors import UserError
from weight_importance.settings.ablation_names import is_ablation, parse

KeyPath = tuple[str | int, ...]
"""Keys and list positions that lead to a value."""

Problem = tuple[KeyPath, str]
"""Key path of a wrong value, relative to the model with the check, and a sentence on what is allowed."""

Check = TypeVar("Check", bound=Callable[[Any], Iterator[Problem]])
Value = TypeVar("Value")


def at(content: Any, path: KeyPath) -> Any:
    """The value at ``path``."""
    for key in path:
        content = content[key]
    return content


def holds(content: Any, path: KeyPath) -> bool:
    """Whether there is a value at ``path``."""
    try:
        at(content, path)
    except (KeyError, IndexError, TypeError):
        return False
    return True


class Mistake(ValueError):
    """A wrong value with the data for its message.

    Attributes:
        kind: kind of mistake, as in :mod:`weight_importance.settings.messages`.
        context: values for the message.
    """

    def __init__(self, kind: str, text: str, **context: Any) -> None:
        super().__init__(text)
        self.kind, self.context = kind, context


def check(method: Check) -> Check:
    """Mark a model's method as a check across several values; it yields problems."""
    vars(method)["is_check"] = True
    return method


def nearest(name: Any, known: Sequence[str]) -> str:
    """Suggest the known name nearest to ``name``; empty if none is near."""
    near = get_close_matches(str(name), known, n=1)
    return f"Did you mean '{near[0]}'? " if near else ""


class Settings(BaseModel):
    """Immutable settings; unknown keys, wrong types and failed checks are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    @cache
    def checks(cls) -> list[Callable[[Self], Iterator[Problem]]]:
        """The methods marked with :func:`check`."""
        return [method for name in dir(cls) if getattr(method := getattr(cls, name), "is_check", False)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [problem for one in self.checks() for problem in one(self)]
        if problems:
            text = "; ".join(f"{'.'.join(map(str, path))} {text}" for path, text in problems)
            raise Mistake("inconsistent", text)
        return self

    def sorted_json(self) -> str:
        """The settings as one line of JSON with sorted keys; equal settings give equal text."""
        return json.dumps(self.model_dump(), sort_keys=True)


def _as_written(value: Any, validate: Callable[[Any], float]) -> int | float:
    """Keep whole numbers whole, so that tables show penalty strengths as configured."""
    validate(value)
    return value


def _distinct(values: Sequence[Value]) -> Sequence[Value]:
    repeated = [value for position, value in enumerate(values) if value in values[:position]]
    if repeated:
        raise Mistake("repeated", "each value may appear once", repeated=list(dict.fromkeys(repeated)))
    return values


def _known(kind: str) -> Callable[[str, ValidationInfo], str]:
    """Validator for names listed under ``kind`` in the validation context; without a context, accept all."""

    def validate(name: str, info: ValidationInfo) -> str:
        known = (info.context or {}).get(f"{kind}s".replace(" ", ""))
        if known is not None and name not in known:
            raise Mistake("unknown_name", f"unknown {kind} '{name}'", name_of=kind, name=name, known=sorted(known))
        return name

    return validate


def _estimator_or_ablation(name: str, info: ValidationInfo) -> str:
    if not is_ablation(name):
        return _known("estimator")(name, info)
    try:
        estimators = parse(name).estimators
    except UserError as error:
        raise Mistake("ablation_name", str(error)) from error
    for estimator in estimators:
        _known("estimator")(estimator, info)
    return name


def _ablation(name: str, info: ValidationInfo) -> str:
    try:
        parse(name)
    except UserError as error:
        raise Mistake("ablation_name", str(error)) from error
    return _estimator_or_ablation(name, info)


Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
SeedCount = Annotated[int, Field(ge=1, le=10_000)]
Number = Annotated[float, WrapValidator(_as_written)]
Positive = Annotated[float, Field(gt=0), WrapValidator(_as_written)]
NotNegative = Annotated[float, Field(ge=0), WrapValidator(_as_written)]
Share = Annotated[float, Field(ge=0, le=1), WrapValidator(_as_written)]

_UNIQUE = {"uniqueItems": True}
Several = Annotated[tuple[Value, ...], Field(strict=False, json_schema_extra=_UNIQUE), AfterValidator(_distinct)]
"""A list without duplicates; strict validation of tuples would reject YAML's lists."""
OneOrMore = Annotated[
    tuple[Value, ...], Field(strict=False, min_length=1, json_schema_extra=_UNIQUE), AfterValidator(_distinct)
]
TwoOrMore = Annotated[
    tuple[Value, ...], Field(strict=False, min_length=2, json_schema_extra=_UNIQUE), AfterValidator(_distinct)
]

EstimatorName = Annotated[str, AfterValidator(_known("estimator"))]
NetworkName = Annotated[str, AfterValidator(_known("network"))]
DatasetName = Annotated[str, AfterValidator(_known("data set"))]
AblationName = Annotated[str, AfterValidator(_ablation)]
RetainedName = Annotated[str, AfterValidator(_estimator_or_ablation)]
"""An estimator or an ablation."""
