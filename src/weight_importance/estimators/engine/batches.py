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
from weight_importance.estimators.engine.cotangents import Moment, blocks, needed_bytes, targets
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import ForwardPass, pulled_back, samples_per_pass
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

    def size(self, plan: Plan) -> int:
        (key,) = self.names
        probed = targets(plan.logits, plan.samples.labels, self._ignored)
        return plan.size + needed_bytes({key: self._wanted.moment}, self.draws, plan.logits, probed)

    def shares(self, plan: Plan) -> bool:
        """Return whether gradients come from a shared pass, which requires that all parameters belong to linear layers.

        For convolutions, automatic differentiation computes the gradient of a batch mean faster than the closed form.
        """
        layers = [self.forward.network.get_submodule(layer) for layer in plan.layers]
        linear = bool(layers) and all(type(layer) is nn.Linear for layer in layers)
        return linear and self.forward.parameters.keys() <= plan.covered(self.forward)

    def add(self, forward_pass: ForwardPass, plan: Plan) -> None:
        calls = single_calls(plan.layers, forward_pass.calls, len(forward_pass.samples)) if self.shares(plan) else None
        if calls is None:  # layers are called differently than on the probe
            self.add_alone(forward_pass.samples, plan, len(forward_pass.samples))
            return
        cotangent, counted = self._cotangent(forward_pass.logits.detach(), forward_pass.samples)
        pulled = pulled_back(forward_pass.logits, [call.output for call in calls], cotangent, keep=True)
        factors = [
            (call, output_factor(call, gradient)[:, 0].mT, input_factor(call)[:, 0].mT)
            for call, gradient in zip(calls, pulled, strict=True)
            if gradient is not None
        ]
        for part in self._parts(len(forward_pass.samples), len(forward_pass.samples)):
            gradients = {}
            for call, left, right in factors:
                gradients[full_name(call, "weight")] = left[part].flatten(0, 1).T @ right[part].flatten(0, 1)
                gradients[full_name(call, "bias")] = left[part].sum((0, 1))
            self._take(gradients, counted[part])

    def add_alone(self, samples: Samples, plan: Plan, chunk: int | None) -> None:
        """Add samples by forward passes that are not shared with other sums.

        Args:
            samples: N samples.
            plan: the probe's results.
            chunk: samples per pass; by default limited by a memory bound.
        """
        for part in self._parts(len(samples), chunk or samples_per_pass(plan.size, plan.logits.device)):
            self._add_alone(samples.take(part))

    def _add_alone(self, samples: Samples) -> None:
        counted = torch.zeros(0, dtype=torch.bool)

        def cotangent(logits: Tensor) -> Tensor:
            nonlocal counted
            at_logits, counted = self._cotangent(logits.detach(), samples)
            return at_logits

        def take(_: int, gradients: Gradients) -> None:
            self._take(gradients, counted)

        pull_back(self.forward, samples, self.forward.parameters, cotangent, take)

    def _parts(self, samples: int, most: int) -> Iterator[slice]:
        """Yield slices of at most ``most`` samples that do not cross the end of a batch.

        The caller must add each slice before it requests the next one, whose end depends on the open batch.
        """
        start = 0
        while start < samples:
            stop = min(samples, start + most, start + self._wanted.batch - self.filled[0])
            yield slice(start, stop)
            start = stop

    def _cotangent(self, logits: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
        """Return the sum of the weighted cotangents, and whether each sample counts, ``(N,)`` on the CPU."""
        (key,) = self.names
        target = targets(logits, samples.labels, self._ignored)
        pairs = blocks(self._wanted.moment, logits, target, self.draws[key])
        weighted = (at * weights.reshape(*weights.shape, *[1] * (at.ndim - 2)) for at, weights in pairs)
        every = torch.ones(len(samples), dtype=torch.bool)
        counted = every if target.counted is None else target.counted.reshape(len(samples), -1).any(1).cpu()
        return sum((each.sum(0) for each in weighted), torch.zeros(())).to(logits.dtype), counted

    def _take(self, gradients: Gradients, counted: Tensor) -> None:
        """Add gradients, summed over samples, to the open batch; close the batch once it is full."""
        for name, parameter in self.forward.parameters.items():
            gradient = gradients.get(name)
            gradient = torch.zeros_like(parameter) if gradient is None else gradient.view_as(parameter)
            # most batches take one pass and stay in single precision
            self.open[name] = self.open[name].double() + gradient if name in self.open else gradient
        self.filled = (self.filled[0] + len(counted), self.filled[1] + counted.sum().item())
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
