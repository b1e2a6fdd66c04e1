"""The diagonal of the Hessian of the mean cross-entropy, by Hutchinson's estimator with its standard error.

For a random vector v of independent signs, E[v ∘ Hv] is the diagonal of H (Bekas, Kokiopoulou and Saad 2007, eq. 1,
with the signs of Hutchinson 1990): each entry is unbiased with variance Σ_{j≠i} H_ij² per probe. The mean over m
probes has that over m; the standard error is estimated from the probes' spread. All parameters share a probe, so
entries of rows with large off-diagonal elements are noisy, whatever their own size.

A network whose logits are piecewise linear in every single weight (linear and convolutional layers, leaky ReLU,
maximum pooling, normalisation in evaluation mode) has ∂²z/∂θ² = 0 almost everywhere: its exact diagonal is that of
the generalised Gauss-Newton matrix, and so the exact Fisher information, which costs less and has no error.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from weight_importance.estimators.engine.cotangents import targets
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.guard import untouched
from weight_importance.estimators.engine.layers import PROBE, samples_per_pass
from weight_importance.estimators.engine.probe import Plan, examine
from weight_importance.estimators.engine.samples import HALVES, Samples, batch, spread
from weight_importance.estimators.engine.sums import COUNT, Means, Sums
from weight_importance.runtime.errors import UserError

SMALL = 2_000
"""Parameters up to which the exact diagonal is computed."""

SECOND_ORDER = 4
"""How many times what a pass records its second derivatives hold: both passes, forward and backward of each."""

IGNORED = -100
"""What the cross-entropy leaves out; takes the place of the label that does not count."""


SIGNS = "signs"
"""Key in a state of a signature of the vectors."""


@dataclass(frozen=True)
class Diagonal:
    """Parameter name → the estimate, and its standard error over the probes (``nan`` with a single one)."""

    mean: dict[str, Tensor]
    error: dict[str, Tensor]


class CurvatureSums(Sums):
    """Sums over samples of v ∘ H_n v for every vector v, ``(V, *shape)`` per parameter, H_n of the cross-entropy.

    Args:
        forward: the network.
        keys: names of the estimators that are formed of the diagonal.
        vectors: per vector the parameters' parts.
        ignored: the label that does not count.
    """

    def __init__(
        self, forward: Forward, keys: list[str], vectors: Sequence[Mapping[str, Tensor]], ignored: int | None
    ) -> None:
        super().__init__(forward, [])
        self._keys, self.vectors, self._ignored = keys, vectors, ignored
        for name, parameter in forward.parameters.items():
            self.totals[f"{keys[0]}/{name}"] = torch.zeros(
                len(vectors), *parameter.shape, dtype=torch.float64, device=parameter.device
            )

    def add(self, samples: Samples, plan: Plan, chunk: int | None) -> None:
        for part in samples.split(chunk or samples_per_pass(SECOND_ORDER * plan.size, plan.logits.device)):
            try:
                # of the kernels of attention only this one can be differentiated twice
                with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
                    self._add(part)
            except RuntimeError as error:
                if "derivative" not in str(error) and "double backward" not in str(error):
                    raise
                raise UserError(
                    f"the network cannot be differentiated twice: {error}. Leave {', '.join(self._keys)} out."
                ) from error

    def _add(self, samples: Samples) -> None:
        leaves = {name: parameter.detach().requires_grad_() for name, parameter in self.forward.parameters.items()}

        def differentiate(logits: Tensor) -> None:
            target = targets(logits, samples.labels, self._ignored)
            self.totals[COUNT] += target.samples
            labels = target.labels if target.counted is None else target.labels.where(target.counted, IGNORED)
            logits = logits.float() if logits.dtype in HALVES else logits
            loss = cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum", ignore_index=IGNORED)
            first = torch.autograd.grad(loss, list(leaves.values()), create_graph=True, materialize_grads=True)
            slopes = [(name, gradient) for name, gradient in zip(leaves, first, strict=True) if gradient.requires_grad]
            for place, vector in enumerate(self.vectors if slopes else []):
                second = torch.autograd.grad(
                    [gradient for _, gradient in slopes],
                    list(leaves.values()),
                    [vector[name] for name, _ in slopes],
                    retain_graph=place + 1 < len(self.vectors),
                    materialize_grads=True,
                )
                for name, product in zip(leaves, second, strict=True):
                    self.totals[f"{self._keys[0]}/{name}"][place] += vector[name] * product

        self.forward.within(samples, self.forward.tensors(leaves), differentiate)

    def state(self) -> dict[str, Tensor]:
        return super().state() | {SIGNS: self._signature()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._check(state)
        super().restore(state)

    def merge(self, state: Mapping[str, Tensor]) -> None:
        self._check(state)
        super().merge(state)

    def _signature(self) -> Tensor:
        """A number that differs between other vectors."""
        parts = (
            vector[name].double().flatten()
            @ torch.arange(1.0, vector[name].numel() + 1, dtype=torch.float64).to(vector[name].device)
            for vector in self.vectors
            for name in vector
        )
        return torch.stack([part.cpu() for part in parts])

    def _check(self, state: Mapping[str, Tensor]) -> None:
        if not torch.equal(state[SIGNS].cpu(), self._signature()):
            raise UserError(
                f"{', '.join(self._keys)} was accumulated with other probes: give all accumulators a generator of the "
                "same seed"
            )

    def products(self) -> dict[str, Tensor]:
        """Parameter name → the mean over samples of v ∘ Hv for every vector, in float64."""
        count = self.totals[COUNT].item()
        return {name: self.totals[f"{self._keys[0]}/{name}"] / count for name in self.forward.parameters}

    def means(self) -> Means:
        found = {name: product.mean(0) for name, product in self.products().items()}
        return dict.fromkeys(self._keys, found)


def signs(forward: Forward, generator: Generator, probes: int) -> list[dict[str, Tensor]]:
    """Vectors of random signs; moves the generator on behind them."""
    return [
        {name: _signs(parameter, generator) for name, parameter in forward.parameters.items()} for _ in range(probes)
    ]


def hessian_diagonal(
    network: nn.Module, inputs: Tensor, labels: Tensor, generator: Generator, probes: int, chunk: int | None = None
) -> Diagonal:
    """The diagonal of the Hessian of the mean cross-entropy over the samples at the given labels.

    Entries may be negative. Memory grows with probes × parameters.

    Args:
        network: any module from ``(N, ...)`` to logits ``(N, K)`` that can be differentiated twice; evaluated in
            evaluation mode.
        inputs: ``(N, ...)``.
        labels: ``(N,)`` integers.
        generator: of the signs; moved on behind them.
        probes: random vectors, at least one.
        chunk: samples per pass, by default as many as a bound on memory allows.

    Raises:
        UserError: there is no sample.
    """
    forward = Forward(network)
    vectors = signs(forward, generator, probes)
    mean, error = {}, {}
    for name, products in _products(forward, batch(inputs, labels), vectors, chunk).items():
        kind = forward.parameters[name].dtype
        mean[name] = products.mean(0).to(kind)
        error[name] = (products.std(0) / math.sqrt(probes)).to(kind)
    return Diagonal(mean, error)


def exact_hessian_diagonal(
    network: nn.Module, inputs: Tensor, labels: Tensor, chunk: int | None = None
) -> dict[str, Tensor]:
    """The diagonal without an error, for small networks: a Hessian-vector product for every single weight.

    Time and memory grow with the square of the number of parameters.

    Args:
        network, inputs, labels, chunk: as for :func:`hessian_diagonal`.

    Raises:
        UserError: there is no sample, or there are more than :data:`SMALL` parameters.
    """
    parameters = dict(network.named_parameters())
    count = sum(parameter.numel() for parameter in parameters.values())
    if count > SMALL:
        raise UserError(
            f"the network has {count:,} parameters; the exact Hessian diagonal is for {SMALL:,} at most. Use "
            "hessian_diagonal with its random probes, or 'ggn' where the network is piecewise linear."
        )
    units = []
    for name, parameter in parameters.items():
        for place in range(parameter.numel()):
            unit = {other: torch.zeros_like(value) for other, value in parameters.items()}
            unit[name].view(-1)[place] = 1
            units.append(unit)
    products = _products(Forward(network), batch(inputs, labels), units, chunk)
    return {name: value.sum(0).to(parameters[name].dtype) for name, value in products.items()}


def _products(
    forward: Forward, samples: Samples, vectors: Sequence[Mapping[str, Tensor]], chunk: int | None
) -> dict[str, Tensor]:
    """Parameter name → v ∘ Hv for every vector v, ``(V, *shape)`` in float64."""
    samples = samples.prepared(forward.device, forward.whole)
    with untouched(forward.network, forward.device):
        plan = examine(forward, samples.take(spread(len(samples), PROBE)), layers=False, gradients=False)
        sums = CurvatureSums(forward, [""], vectors, None)
        sums.add(samples, plan, chunk)
    return sums.products()


def _signs(like: Tensor, generator: Generator) -> Tensor:
    drawn = torch.randint(2, like.shape, generator=generator, device=generator.device)
    return (2 * drawn - 1).to(like)
