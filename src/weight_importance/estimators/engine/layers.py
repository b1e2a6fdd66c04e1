"""Watching a forward pass: which layers were called, with what input and what output, in how much memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.samples import Samples, batch, tensors

CHUNK = 1000
"""Samples per forward pass, at most."""

PASS_BYTES = 64 * 2**20
"""Memory bound on what one forward pass records and its backward passes return; at least one sample's."""

GPU_FACTOR = 16
"""On a GPU the bounds on memory and on samples per pass are this many times larger: a small pass leaves it idle."""

PROBE = 4
"""Samples on which memory is measured and every way of computing is checked; drawn from all samples."""


@dataclass(frozen=True)
class Call:
    """One call of a module that owns parameters.

    Attributes:
        name: the module's name in the network ("" for the network itself).
        module: the module.
        input: its (only) tensor input; ``None`` if it was called in any other way.
        output: its output, an inner node of the graph when gradients are recorded.
    """

    name: str
    module: Any  # an nn.Module, whose attributes depend on its class
    input: Any  # a tensor wherever there is a closed form
    output: Tensor


def pulled_back(logits: Tensor, towards: Sequence[Tensor], cotangent: Tensor, keep: bool = False) -> tuple:
    """The gradients of Σ logits · cotangent, ``None`` for a tensor that the logits do not depend on.

    The sum is formed here, because ``autograd.grad`` imports sympy (half a second) if a cotangent is passed to it.
    """
    with torch.enable_grad():
        total = (logits * cotangent).sum()
    return torch.autograd.grad(total, towards, retain_graph=keep, allow_unused=True)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Every submodule in evaluation mode, each back in its own mode afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def watch(forward: Forward, samples: Samples, tensors: dict[str, Tensor] | None = None) -> tuple[Tensor, list[Call]]:
    """Run the network and note each call of a module that owns parameters.

    The graph that is recorded (when gradients are enabled) reaches the layers' outputs and no parameter, so that
    ``autograd.grad`` to the outputs computes no weight gradient.

    Args:
        forward: the network, in evaluation mode.
        samples: N of them.
        tensors: see :meth:`Forward.tensors`.

    Returns:
        ``(logits (N, ..., K), calls in the order of execution)``.
    """
    calls: list[Call] = []

    def hook(name: str) -> Callable[[nn.Module, tuple, dict, Tensor], Tensor | None]:
        def note(module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor | None:
            if not isinstance(output, Tensor) or not output.is_floating_point():
                return None
            if torch.is_grad_enabled() and not output.requires_grad:
                output.requires_grad_()
            given = args[0] if len(args) == 1 and not kwargs and isinstance(args[0], Tensor) else None
            calls.append(Call(name, module, given, output))
            # a copy goes on, so that an in-place activation cannot overwrite the output noted here
            return output.clone()

        return note

    handles = [
        module.register_forward_hook(hook(name), with_kwargs=True)
        for name, module in forward.network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    try:
        logits = forward.logits(samples, tensors)
    finally:
        for handle in handles:
            handle.remove()
    return logits, calls


def measured(forward: Forward, samples: Samples, replaced: dict[str, Tensor]) -> tuple[Tensor, list[Call], int]:
    """A watched pass with gradients, and the bytes per sample, beyond the inputs, that it and its backward pass take.

    That is what the graph saves for the backward pass, every watched layer's input and output, and the gradient at
    that output.

    Args:
        forward: the network, in evaluation mode.
        samples: a few.
        replaced: from :meth:`Forward.tensors`.

    Returns:
        ``(logits, calls, bytes per sample)``.
    """
    held: dict[int, int] = {}

    def hold(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        # not the tensor itself, which would tie the graph to itself and outlive it
        return tensor.detach()

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        logits, calls = watch(forward, samples, replaced)
    for call in calls:
        hold(call.output)
        if call.input is not None:
            hold(call.input)
    for tensor in [*tensors(samples.inputs), *replaced.values()]:
        held.pop(tensor.untyped_storage().data_ptr(), None)
    return logits, calls, (sum(held.values()) + sum(call.output.nbytes for call in calls)) // len(samples)


def recorded_bytes(network: nn.Module, inputs: Tensor) -> int:
    """Bytes per sample that a pass with gradients and its backward pass take; see :func:`measured`.

    Args:
        network: in evaluation mode.
        inputs: ``(N, ...)``.
    """
    forward = Forward(network)
    return measured(forward, batch(inputs), forward.tensors())[2]


def bound_factor(device: torch.device) -> int:
    """The factor of all bounds on memory on this device."""
    return GPU_FACTOR if device.type == "cuda" else 1


def samples_per_pass(size: int, device: torch.device) -> int:
    """How many samples of ``size`` recorded bytes each go into one forward pass on this device."""
    factor = bound_factor(device)
    return min(CHUNK * factor, max(1, PASS_BYTES * factor // max(1, size)))
