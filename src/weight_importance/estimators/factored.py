"""Factored importances for large models: output factor times input factor, n + m numbers for n × m weights.

Exact margins are the sums of the importance over each row and each column. The product E|g|^q · E|a|^q combines the
gradients g at a layer's outputs with its inputs a, from two hooks and without per-sample gradients; it treats positions
as independent samples, and equals the importance if g and a are independent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from weight_importance.estimators.accumulator import Accumulator
from weight_importance.estimators.engine.cotangents import Moment
from weight_importance.estimators.engine.forward import Call as Forwarding
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import Call, pulled_back
from weight_importance.estimators.engine.moments import MomentSums
from weight_importance.estimators.engine.products import (
    PullBack,
    Term,
    full_name,
    in_weight_order,
    input_factor,
    output_factor,
)
from weight_importance.estimators.engine.sums import COUNT
from weight_importance.estimators.engine.uses import Use
from weight_importance.estimators.kinds import MomentEstimator, unchanged
from weight_importance.estimators.loading import load
from weight_importance.runtime.errors import UserError

ROWS, COLUMNS = "rows", "columns"


@dataclass(frozen=True)
class Factors:
    """Margins of an importance; margins add up over tasks.

    Attributes:
        rows: ``(out,)``, sums over all other axes; for a vector, its values.
        columns: ``(in, ...)``, sums over the first axis; ``None`` for a vector.
    """

    rows: Tensor
    columns: Tensor | None

    def __add__(self, other: "Factors") -> "Factors":
        columns = None if self.columns is None or other.columns is None else self.columns + other.columns
        return Factors(self.rows + other.rows, columns)

    def dense(self) -> Tensor:
        """Return the rank-one importance with these row and column sums."""
        if self.columns is None:
            return self.rows
        total = self.rows.sum().clamp_min(torch.finfo(self.rows.dtype).tiny)
        return self.rows.view(-1, *[1] * self.columns.ndim) * (self.columns / total)


class FactoredSums(MomentSums):
    """Sums over samples of a moment's margins."""

    def parts(self, parameter: str, shape: torch.Size) -> dict[str, torch.Size]:
        if len(shape) < 2:
            return {f"{parameter}/{ROWS}": shape}
        return {f"{parameter}/{ROWS}": shape[:1], f"{parameter}/{COLUMNS}": shape[1:]}

    def _put(self, key: str, name: str, part: Tensor) -> None:
        part = part.view_as(self.forward.parameters[name])
        for margin, values in zip((ROWS, COLUMNS), _margins(part), strict=True):
            if values is not None:
                self.totals[f"{key}/{name}/{margin}"] += values

    def factors(self) -> dict[str, Factors]:
        """Return parameter name → mean margins over all samples so far.

        Raises:
            UserError: no sample counts so far.
        """
        if self.totals[COUNT] == 0:
            raise UserError("an importance needs at least one sample that counts; there has been none")
        (key,) = self.names
        return {name: self._factors(key, name) for name in self.forward.parameters}

    def _factors(self, key: str, name: str) -> Factors:
        count, kind = self.totals[COUNT].item(), self.forward.parameters[name].dtype
        rows, columns = self.totals[f"{key}/{name}/{ROWS}"], self.totals.get(f"{key}/{name}/{COLUMNS}")
        return Factors((rows / count).to(kind), None if columns is None else (columns / count).to(kind))


class ProductSums(FactoredSums):
    """Sums for the product E|g|^q · E|a|^q in layers with one group; exact margins in all others."""

    def __init__(
        self, forward: Forward, wanted: Mapping[str, Moment], generator: Generator | None, ignored: int | None
    ) -> None:
        super().__init__(forward, wanted, generator, ignored)
        self._products: set[str] = set()

    def _closed(
        self, calls: list[Call], uses: list[Use], logits: Tensor, pull_backs: list[PullBack], keep: bool
    ) -> None:
        paired = [call for call in calls if _is_paired(call)]
        others = [call for call in calls if not _is_paired(call)]
        self._add_outputs(paired, logits, pull_backs, keep or bool(others or uses))
        if not keep:  # last cotangent
            for call in paired:
                self._add_inputs(call, pull_backs[0].terms[0])
        super()._closed(others, uses, logits, pull_backs, keep)

    def _add_outputs(self, calls: list[Call], logits: Tensor, pull_backs: list[PullBack], keep: bool) -> None:
        outputs = [call.output for call in calls]
        for index, pull_back in enumerate(pull_backs if calls else []):
            keep_graph = keep or index + 1 < len(pull_backs)
            pulled = pulled_back(logits, outputs, pull_back.cotangent, keep_graph)
            for call, gradient in zip(calls, pulled, strict=True):
                if gradient is not None:
                    self._add_output(call, output_factor(call, gradient)[:, 0], pull_back)

    def _add_output(self, call: Call, factor: Tensor, pull_back: PullBack) -> None:
        for term in pull_back.terms:
            weight = term.weight.to(factor.dtype)
            self._add_to(term.key, call, "weight", ROWS, weight @ factor.abs().pow(term.power).sum(2))
            if call.module.bias is not None:
                self._add_to(term.key, call, "bias", ROWS, weight @ factor.sum(2).abs().pow(term.power))

    def _add_inputs(self, call: Call, term: Term) -> None:
        received = input_factor(call).abs().pow(term.power).mean(3).sum(0)
        self._products.add(full_name(call, "weight"))
        self._add_to(term.key, call, "weight", COLUMNS, in_weight_order(call, received[None]))

    def _add_to(self, key: str, call: Call, parameter: str, margin: str, values: Tensor) -> None:
        total = self.totals.get(f"{key}/{full_name(call, parameter)}/{margin}")
        if total is not None:
            total += values.reshape(total.shape)

    def _factors(self, key: str, name: str) -> Factors:
        factors = super()._factors(key, name)
        if name not in self._products or factors.columns is None:
            return factors
        return Factors(factors.rows * factors.columns.sum(), factors.columns * factors.rows.sum())


class FactoredAccumulator(Accumulator):
    """An accumulator of margins instead of importances."""

    moments = FactoredSums

    def factors(self) -> dict[str, Factors]:
        """Return parameter name → factors over all batches so far."""
        (sums,) = (each for each in self._sums if isinstance(each, FactoredSums))
        return {self._forward.prefix + name: each for name, each in sums.factors().items()}


class ProductAccumulator(FactoredAccumulator):
    """An accumulator of the product's factors."""

    moments = ProductSums


def factored(
    name: str,
    network: nn.Module,
    data: Any,
    labels: Tensor | None = None,
    *,
    product: bool = False,
    generator: Generator | None = None,
    ignore_index: int | None = None,
    forward: Forwarding | None = None,
) -> dict[str, Factors]:
    """Compute a moment estimator's importance in factored form, for networks too large for a number per parameter.

    Args:
        name: estimator that is a mean over samples of a power of per-sample gradients.
        network: as for :func:`weight_importance.estimate`.
        data: as for :func:`weight_importance.estimate_all`.
        labels: as for :func:`weight_importance.estimate`.
        product: whether to compute the product of E|g|^q and E|a|^q instead of the exact margins.
        generator: as for :func:`weight_importance.estimate`.
        ignore_index: as for :func:`weight_importance.estimate`.
        forward: as for :func:`weight_importance.estimate`.

    Returns:
        parameter name → factors.

    Raises:
        UserError: another kind of estimator; or see :func:`weight_importance.estimate`.
    """
    estimator = load(name)
    if not isinstance(estimator, MomentEstimator) or estimator.batch > 1 or estimator.finish is not unchanged:
        raise UserError(f"'{name}' has no factored form: it must be a mean over samples of powers of their gradients")
    kind = ProductAccumulator if product else FactoredAccumulator
    accumulator = kind([name], network, generator=generator, ignore_index=ignore_index, forward=forward)
    accumulator.go_through(data, labels)
    return accumulator.factors()


def _is_paired(call: Call) -> bool:
    """Whether a layer's importance is one outputs × inputs matrix: linear, or a single group."""
    return isinstance(call.module, nn.Linear) or getattr(call.module, "groups", 0) == 1


def _margins(values: Tensor) -> tuple[Tensor, Tensor | None]:
    if values.ndim < 2:
        return values, None
    return values.sum(tuple(range(1, values.ndim)), dtype=torch.float64), values.sum(0, dtype=torch.float64)
