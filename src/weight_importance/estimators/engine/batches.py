"""Moments of mean gradients of batches; :mod:`weight_importance.estimators.engine.moments` treats single samples.

A batch's pull-back is s_b = mean over its samples of Σ_c w_c (∂z/∂θ)ᵀ c; the result is the mean over batches of
|s_b|^power. Averaging before the power loses differences between samples: with power 2 and batches of B independent
samples, the expectation is (variance of per-sample gradients) / B + (mean gradient)², instead of variance + mean².
Batches are consecutive samples; a last, smaller batch has the same weight as any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from weight_importance.estimators.engine.alone import pull_back
from weight_importance.estimators.engine.cotangents import Moment, blocks, targets
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import samples_per_pass
from weight_importance.estimators.engine.probe import Plan
from weight_importance.estimators.engine.samples import Samples
from weight_importance.estimators.engine.sums import COUNT, Means, Sums
from weight_importance.estimators.kinds import ALL

OPEN, FILLED = "open/", "filled"
"""Keys of the open batch in a saved state."""


@dataclass(frozen=True)
class BatchMoment:
    """The average of |mean over a batch of Σ_c w_c s_c|^power."""

    moment: Moment
    batch: int


class BatchSums(Sums):
    """Sums over batches of |mean over the batch's samples of Σ_c w_c s_c|^power, for every parameter.

    :data:`COUNT` is the number of batches here. A partial batch stays open until it is full.

    Args:
        forward: the network.
        key: estimator name.
        wanted: moment of the estimator.
        generator: random generator for cotangents that sample labels.
        ignored: the ignored label.

    Attributes:
        open: sum over the samples of the open batch, per parameter.
        filled: number of samples in the open batch, and number of those that count.
    """

    def __init__(
        self, forward: Forward, key: str, wanted: BatchMoment, generator: Generator | None, ignored: int | None
    ) -> None:
        super().__init__(forward, [key])
        self._wanted, self._ignored = wanted, ignored
        self.draws = {key: None if generator is None else generator.clone_state()}
        self.open: dict[str, Tensor] = {}
        self.filled = (0, 0.0)

    def add(self, samples: Samples, plan: Plan, chunk: int | None) -> None:
        most = chunk or samples_per_pass(plan.size, plan.logits.device)
        start = 0
        while start < len(samples):
            room = self._wanted.batch - self.filled[0]
            part = samples.take(slice(start, min(start + most, start + room, len(samples))))
            self._add(part)
            start += len(part)
            if self.filled[0] == self._wanted.batch:
                self._close(self.totals)
                self.open, self.filled = {}, (0, 0.0)

    def _add(self, samples: Samples) -> None:
        (key,) = self.names
        counts = 0.0

        def cotangent(logits: Tensor) -> Tensor:
            nonlocal counts
            target = targets(logits, samples.labels, self._ignored)
            counts = target.samples.item()
            pairs = blocks(self._wanted.moment, logits.detach(), target, self.draws[key])
            weighted = (at * weights.reshape(*weights.shape, *[1] * (at.ndim - 2)) for at, weights in pairs)
            return sum((each.sum(0) for each in weighted), torch.zeros(())).to(logits.dtype)

        gradients: list[dict[str, Tensor]] = []
        pull_back(self.forward, samples, self.forward.parameters, cotangent, lambda _, values: gradients.append(values))
        for name in self.forward.parameters:
            gradient = gradients[0].get(name)
            if gradient is None:
                gradient = torch.zeros_like(self.forward.parameters[name])
            # most batches take one pass and stay in single precision
            self.open[name] = self.open[name].double() + gradient if name in self.open else gradient
        self.filled = (self.filled[0] + len(samples), self.filled[1] + counts)

    def _close(self, totals: dict[str, Tensor]) -> None:
        (key,) = self.names
        if self.filled[1] == 0:
            return
        for name, total in self.open.items():
            totals[f"{key}/{name}"] += (total / self.filled[1]).abs().pow(self._wanted.moment.power)
        totals[COUNT] += 1

    def state(self) -> dict[str, Tensor]:
        unfinished = {f"{OPEN}{name}": total.clone() for name, total in self.open.items()}
        return super().state() | unfinished | {FILLED: torch.tensor(self.filled, dtype=torch.float64)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        super().restore(state)
        self.open, self.filled = _unfinished(state)

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add another accumulation; its open batch counts as a smaller one, unless one batch holds all samples."""
        super().merge(state)
        open_batch = self.open, self.filled
        self.open, self.filled = _unfinished(state)
        if self._wanted.batch == ALL:
            for name, total in open_batch[0].items():
                self.open[name] = self.open[name].to(total.device).double() + total if name in self.open else total
            self.filled = (self.filled[0] + open_batch[1][0], self.filled[1] + open_batch[1][1])
        else:
            self._close(self.totals)
            self.open, self.filled = open_batch

    def means(self) -> Means:
        (key,) = self.names
        totals = {name: total.clone() for name, total in self.totals.items()}
        self._close(totals)
        count = totals[COUNT].item()
        return {key: {name: totals[f"{key}/{name}"] / count for name in self.forward.parameters}}


def _unfinished(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[int, float]]:
    samples, counted = state[FILLED].tolist()
    sums = {name.removeprefix(OPEN): total.clone() for name, total in state.items() if name.startswith(OPEN)}
    return sums, (int(samples), counted)
