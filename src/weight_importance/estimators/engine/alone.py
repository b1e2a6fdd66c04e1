"""Plain automatic differentiation, one sample at a time: the reference for every faster way, and the last resort."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import pulled_back
from weight_importance.estimators.engine.samples import Samples

Gradients = dict[str, Tensor]
"""Parameter name → gradient, for parameters on which the output depends."""


def pull_back(
    forward: Forward,
    samples: Samples,
    names: Iterable[str],
    cotangents: Sequence[Tensor] | Callable[[Tensor], Tensor],
    take: Callable[[int, Gradients], None],
) -> Tensor:
    """Pass the gradient of Σ cotangent · logits to ``take``, cotangent by cotangent.

    Args:
        forward: the network.
        samples: usually a single sample.
        names: parameters to differentiate.
        cotangents: tensors of the logits' shape; or a function from logits to one cotangent.
        take: called with ``(cotangent index, gradients)``.

    Returns:
        the logits.
    """
    leaves = {name: forward.parameters[name].detach().requires_grad_() for name in names}

    def back(logits: Tensor) -> Tensor:
        vectors = [cotangents(logits.detach())] if callable(cotangents) else cotangents
        for index, cotangent in enumerate(vectors):
            more = index + 1 < len(vectors)
            at_logits, gradients = cotangent.to(logits.dtype), {}
            if logits.requires_grad:
                gradients = _gradients(logits, leaves, at_logits, more, forward.reentrant)
            take(index, gradients)
        return logits.detach()

    with torch.enable_grad():
        try:
            return forward.within(samples, forward.tensors(leaves), back)
        except RuntimeError as error:
            if forward.reentrant or "use_reentrant=True" not in str(error):
                raise
            # ``take`` has not been called yet: the first backward pass failed
            forward.reentrant = True
            return forward.within(samples, forward.tensors(leaves), back)


def _gradients(logits: Tensor, leaves: dict[str, Tensor], cotangent: Tensor, keep: bool, reentrant: bool) -> Gradients:
    if reentrant:
        logits.backward(cotangent, retain_graph=keep)
        gradients: Sequence[Tensor | None] = [leaf.grad for leaf in leaves.values()]
        for leaf in leaves.values():
            leaf.grad = None
    else:
        gradients = pulled_back(logits, list(leaves.values()), cotangent, keep)
    return {
        name: gradient.to_dense() if gradient.is_sparse else gradient
        for name, gradient in zip(leaves, gradients, strict=True)
        if gradient is not None
    }
