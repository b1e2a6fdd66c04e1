"""Moments of mean gradients of batches; :mod:`weight_importance.estimators.engine.moments` treats single samples.

A batch's pull-back is s_b = mean over its samples of Σ_c w_c (∂z/∂θ)ᵀ c; the result is the mean over batches of
|s_b|^power. Averaging before the power loses differences between samples: with power 2 and batches of B independent
samples, the expectation is (variance of per-sample gradients) / B + (mean gradient)², instead of variance + mean².
Batches are consecutive samples; a last, smaller batch has the same weight as any other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from weight_importance.estimators.engine.alone import Gradients, pull_back
from weight_importance.estimators.engine.closed_forms import single_calls
from weight_importance.estimators.engine.cotangents import Moment, blocks, targets
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import Watched, pulled_back, samples_per_pass
from weight_importance.estimators.engine.probe import Plan
from weight_importance.estimators.engine.products import absolute_powers, full_name, input_factor, output_factor
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

    derivatives = 1

    def __init__(
        self, forward: Forward, key: str, wanted: BatchMoment, generator: Generator | None, ignored: int | None
    ) -> None:
        super().__init__(forward, [key])
        self._wanted, self._ignored = wanted, ignored
        self.draws = {key: None if generator is None else generator.clone_state()}
        self.open: dict[str, Tensor] = {}
        self.filled = (0, 0.0)

    def shares(self, plan: Plan) -> bool:
        """Whether gradients are computed from a shared pass: all parameters belong to linear layers.

        A convolution's gradient of a batch mean is faster by automatic differentiation.
        """
        linear = all(type(self.forward.network.get_submodule(layer)) is nn.Linear for layer in plan.layers)
        return linear and self.forward.parameters.keys() <= plan.covered(self.forward)

    def add(self, seen: Watched, plan: Plan) -> None:
        calls = single_calls(plan.layers, seen.calls, len(seen.samples))
        if calls is None or any(output_factor(call, call.output).shape[3] > 1 for call in calls):
            self.add_alone(seen.samples, plan, len(seen.samples))  # a linear layer on sequences
            return
        cotangent = self._cotangent(seen.logits.detach(), seen.samples)[0]
        pulled = pulled_back(seen.logits, [call.output for call in calls], cotangent, keep=True)
        with torch.no_grad():
            factors = [
                (call, output_factor(call, gradient)[:, 0, :, 0], input_factor(call)[:, 0, :, 0])
                for call, gradient in zip(calls, pulled, strict=True)
                if gradient is not None
            ]
            for part in self._parts(len(seen.samples), len(seen.samples)):
                gradients = {}
                for call, left, right in factors:
                    gradients[full_name(call, "weight")] = left[part].T @ right[part]
                    gradients[full_name(call, "bias")] = left[part].sum(0)
                some = seen.samples.take(part)
                counts = targets(seen.logits.detach()[part], some.labels, self._ignored).samples.item()
                self._take(gradients, len(some), counts)

    def add_alone(self, samples: Samples, plan: Plan, chunk: int | None) -> None:
        """Add samples in forward passes of their own.

        Args:
            samples: N samples.
            plan: the probe's results.
            chunk: samples per pass; by default limited by a memory bound.
        """
        for part in self._parts(len(samples), chunk or samples_per_pass(plan.size, plan.logits.device)):
            some, counts = samples.take(part), 0.0

            def cotangent(logits: Tensor, some: Samples = some) -> Tensor:
                nonlocal counts
                at_logits, counts = self._cotangent(logits.detach(), some)
                return at_logits

            gradients: list[Gradients] = []
            pull_back(self.forward, some, self.forward.parameters, cotangent, lambda _, each: gradients.append(each))
            self._take(gradients[0], len(some), counts)

    def _parts(self, samples: int, most: int) -> Iterator[slice]:
        """Split samples at the ends of batches, into parts of at most ``most``; depends on the open batch."""
        start = 0
        while start < samples:
            stop = min(samples, start + most, start + self._wanted.batch - self.filled[0])
            yield slice(start, stop)
            start = stop

    def _cotangent(self, logits: Tensor, samples: Samples) -> tuple[Tensor, float]:
        """Return the sum of the weighted cotangents, and the number of samples that count."""
        (key,) = self.names
        target = targets(logits, samples.labels, self._ignored)
        pairs = blocks(self._wanted.moment, logits, target, self.draws[key])
        weighted = (at * weights.reshape(*weights.shape, *[1] * (at.ndim - 2)) for at, weights in pairs)
        return sum((each.sum(0) for each in weighted), torch.zeros(())).to(logits.dtype), target.samples.item()

    def _take(self, gradients: Gradients, samples: int, counts: float) -> None:
        """Add summed gradients to the open batch, and close it if it is full."""
        for name, parameter in self.forward.parameters.items():
            gradient = gradients.get(name)
            gradient = torch.zeros_like(parameter) if gradient is None else gradient.view_as(parameter)
            # most batches take one pass and stay in single precision
            self.open[name] = self.open[name].double() + gradient if name in self.open else gradient
        self.filled = (self.filled[0] + samples, self.filled[1] + counts)
        if self.filled[0] == self._wanted.batch:
            self._close(self.totals)
            self.open, self.filled = {}, (0, 0.0)

    def _close(self, totals: dict[str, Tensor]) -> None:
        (key,) = self.names
        if self.filled[1] == 0:
            return
        for name, total in self.open.items():
            (powered,) = absolute_powers(total / self.filled[1], [self._wanted.moment.power], in_place=True)
            totals[f"{key}/{name}"] += powered
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
