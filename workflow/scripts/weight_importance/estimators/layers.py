"""Watching a forward pass: which layers were called, with what input and what output."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call


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
    module: nn.Module
    input: Tensor | None
    output: Tensor


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


def watch(network: nn.Module, inputs: Tensor) -> tuple[Tensor, list[Call]]:
    """Run the network and note each call of a module that owns parameters.

    The graph that is recorded (when gradients are enabled) reaches the layers' outputs and no parameter, so that
    ``autograd.grad`` to the outputs computes no weight gradient.

    Args:
        network: in evaluation mode.
        inputs: ``(N, ...)``.

    Returns:
        ``(logits (N, K), calls in the order of execution)``.
    """
    calls: list[Call] = []

    def hook(name: str):
        def note(module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor | None:
            if not isinstance(output, Tensor):
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
        for name, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    try:
        frozen = {name: parameter.detach() for name, parameter in network.named_parameters()}
        logits = functional_call(network, frozen, (inputs,))
    finally:
        for handle in handles:
            handle.remove()
    return logits, calls
