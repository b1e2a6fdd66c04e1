"""Per-sample gradients for any module by ``torch.func``, for a few samples at a time."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.func import vjp, vmap

from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import bound_factor
from weight_importance.estimators.engine.samples import Samples, mapped, tensors

FALLBACK_BYTES = 64 * 2**20
"""Memory bound on the fallback's simultaneous per-sample gradients and passes; at least one sample's."""


def per_sample(forward: Forward, names: Sequence[str], samples: Samples, cotangents: Tensor) -> dict[str, Tensor]:
    """Compute the gradient of each sample's Σ cotangent · logits.

    Args:
        forward: the network.
        names: parameter names.
        samples: N samples.
        cotangents: ``(N, C, ..., K)``.

    Returns:
        name → ``(N, C, *shape)``.

    Raises:
        RuntimeError, ...: any error of ``torch.func`` or the network if the forward cannot be vectorised.
    """
    learnt = {name: forward.parameters[name] for name in names}
    rows = [tensor for tensor in tensors(samples.inputs) if samples.has_row_per_sample(tensor)]

    def one(rows: list[Tensor], cotangents: Tensor) -> dict[str, Tensor]:
        left = iter(rows)
        inputs = mapped(
            samples.inputs, lambda tensor: next(left)[None] if samples.has_row_per_sample(tensor) else tensor
        )
        sample = Samples(inputs, None, 1)
        pull_back = vjp(lambda learnt: forward.logits(sample, forward.tensors(learnt))[0], learnt)[1]
        (gradients,) = vmap(pull_back)(cotangents)
        return gradients

    with torch.no_grad():
        return vmap(one)(rows, cotangents)


def parts(forward: Forward, names: Sequence[str], samples: Samples, gradients: int, recorded: int) -> Iterator[slice]:
    """Split the samples into parts that fit into :data:`FALLBACK_BYTES`, at least one sample each.

    Args:
        forward: the network.
        names: parameters to differentiate.
        samples: all samples.
        gradients: number of tensors of the parameters' size per sample.
        recorded: bytes that a pass records per sample, for each cotangent.
    """
    size = sum(forward.parameters[name].nbytes for name in names)
    bound = FALLBACK_BYTES * bound_factor(forward.device)
    step = max(1, bound // max(1, size * gradients + recorded))
    return (slice(start, start + step) for start in range(0, len(samples), step))
