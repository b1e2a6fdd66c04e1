"""Watching a forward pass: the layers called, their inputs and outputs, and the memory used."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.samples import Samples, batch, tensors

CHUNK, GPU_CHUNK = 2500, 16000
"""Maximum number of samples per forward pass on a CPU and on a GPU."""

PASS_BYTES = 64 * 2**20
"""Memory bound on a forward pass's records and its backward passes' results; at least one sample's."""

GPU_FACTOR = 16
"""Factor by which the bounds on memory are larger on a GPU, which small passes would leave idle."""

PROBE = 4
"""Number of samples, drawn from all, on which memory is measured and every way of computing is checked."""


Place = Tensor | GradientEdge
"""A place in the graph of a forward pass."""


@dataclass(frozen=True)
class Call:
    """One call of a module that owns parameters.

    Attributes:
        name: the module's name in the network ("" for the network itself).
        module: the module.
        input: the only tensor input; ``None`` for any other call.
        output: the output, an inner node of the graph when gradients are recorded.
    """

    name: str
    module: Any  # an nn.Module; its attributes depend on the class
    input: Any  # a tensor for layers with a closed form
    output: Tensor


@dataclass(frozen=True)
class ForwardPass:
    """A forward pass and the recorded calls of its layers.

    Attributes:
        samples: N samples.
        logits: ``(N, ..., K)``.
        calls: calls of modules that own parameters, in the order of execution.
        leaves: parameters at which the graph ends (autograd leaves), by name.
    """

    samples: Samples
    logits: Tensor
    calls: list[Call]
    leaves: dict[str, Tensor]


def pulled_back(logits: Tensor, targets: Sequence[Place], cotangent: Tensor, keep: bool = False) -> tuple:
    """Return the gradients of Σ logits · cotangent, ``None`` for targets that do not affect the logits.

    The sum is explicit because ``autograd.grad`` with a cotangent imports sympy (half a second).
    """
    with torch.enable_grad():
        total = (logits * cotangent).sum()
    return torch.autograd.grad(total, cast(Sequence[Tensor], targets), retain_graph=keep, allow_unused=True)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put every submodule into evaluation mode, and restore its mode afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def watch(forward: Forward, samples: Samples, reached: Iterable[str] = ()) -> ForwardPass:
    """Run the network and record each call of a module that owns parameters.

    The graph (if gradients are enabled) ends at the layers' outputs and reaches only the parameters named, so that
    ``autograd.grad`` to the outputs computes no weight gradient. If the network changes an output in place, as some
    activations do, the pass is repeated with copies of the outputs, and so are all later passes. A pass that fails with
    channels last is repeated in the usual memory format.

    Args:
        forward: the network, in evaluation mode.
        samples: N samples.
        reached: names of parameters that the graph reaches.

    Returns:
        the pass, with logits, calls and the parameters reached.
    """
    leaves = {name: forward.parameters[name].detach().requires_grad_(torch.is_grad_enabled()) for name in reached}

    def run(copied: bool) -> tuple[ForwardPass, bool]:
        logits, calls, changed = _watched(forward, samples, forward.tensors(leaves), copied)
        return ForwardPass(samples, logits, calls, leaves), changed

    if not forward.changes_outputs:
        try:
            forward_pass, changed = run(copied=False)
            if not changed:
                return forward_pass
        except RuntimeError:  # an output at which the graph starts cannot be overwritten
            pass
        forward.changes_outputs = True
    try:
        return run(copied=True)[0]
    except RuntimeError:  # a view of an image whose size the probe has not seen
        if not forward.any_order:
            raise
        forward.use_contiguous()
        return run(copied=True)[0]


def _watched(
    forward: Forward, samples: Samples, tensors: dict[str, Tensor], copied: bool
) -> tuple[Tensor, list[Call], bool]:
    """Run a pass of :func:`watch`; also return whether the network changes outputs, or their copies, in place."""
    calls: list[Call] = []
    passed: list[tuple[Tensor, int, bool]] = []

    def hook(name: str) -> Callable[[nn.Module, tuple, dict, Tensor], Tensor | None]:
        def note(module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor | None:
            if not isinstance(output, Tensor) or not output.is_floating_point():
                return None
            if torch.is_grad_enabled() and not output.requires_grad:
                output.requires_grad_()
            inputs = args[0] if len(args) == 1 and not kwargs and isinstance(args[0], Tensor) else None
            calls.append(Call(name, module, inputs, output))
            if output.is_inference():  # has no version
                return output.clone()
            output = output.clone() if copied else output
            passed.append((output, output._version, output.requires_grad))
            return output

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
    # detaching a tensor in place changes no version
    changed = any((output._version, output.requires_grad) != (version, graph) for output, version, graph in passed)
    return logits, calls, changed


def measured(forward: Forward, samples: Samples, replaced: dict[str, Tensor]) -> tuple[Tensor, list[Call], int]:
    """Run a watched pass with gradients, and measure the bytes per sample of it and its backward pass.

    Notes in ``forward`` whether the network overwrites outputs of layers.

    Counts the tensors saved for the backward pass, every watched layer's input and output, and the gradient at that
    output, but neither the network's inputs nor its weights.

    Args:
        forward: the network, in evaluation mode.
        samples: a few.
        replaced: from :meth:`Forward.tensors`.

    Returns:
        ``(logits, calls, bytes per sample)``.
    """
    storages: dict[int, int] = {}

    def hold(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        # the tensor itself would create a reference cycle with the graph
        return tensor.detach()

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        logits, calls, forward.changes_outputs = _watched(forward, samples, replaced, copied=True)
    for call in calls:
        hold(call.output)
        if call.input is not None:
            hold(call.input)
    for tensor in [*tensors(samples.inputs), *replaced.values()]:
        storages.pop(tensor.untyped_storage().data_ptr(), None)
    return logits, calls, (sum(storages.values()) + sum(call.output.nbytes for call in calls)) // len(samples)


def recorded_bytes(network: nn.Module, inputs: Tensor) -> int:
    """Return the bytes per sample of a pass with gradients and its backward pass; see :func:`measured`.

    Args:
        network: the network, in evaluation mode.
        inputs: ``(N, ...)``.
    """
    forward = Forward(network)
    return measured(forward, batch(inputs), forward.tensors())[2]


def bound_factor(device: torch.device) -> int:
    """Return the factor of all memory bounds on this device."""
    return GPU_FACTOR if device.type == "cuda" else 1


def samples_per_pass(size: int, device: torch.device) -> int:
    """Return the number of samples per forward pass on this device, at ``size`` recorded bytes per sample."""
    most = GPU_CHUNK if device.type == "cuda" else CHUNK
    return min(most, max(1, PASS_BYTES * bound_factor(device) // max(1, size)))
