"""Guards that restore state after a computation: network modes and attributes, random states, torch's switches."""

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from weight_importance.estimators.engine.layers import evaluation_mode

_OWN = frozenset(vars(nn.Module()))
"""Attributes of every module that torch manages."""


@contextmanager
def untouched(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Enter evaluation mode in full precision with gradients possible, and restore everything afterwards.

    Restores module modes, plain attributes, and the random states of torch, numpy and Python. Disables autocast and
    fused attention, whose layers bypass hooks, and runs compiled code eagerly.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(keeping_random_numbers(device))
        stack.enter_context(_attributes(network))
        stack.enter_context(evaluation_mode(network))
        stack.enter_context(_without_fused_attention())
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


@contextmanager
def keeping_random_numbers(device: torch.device | None = None) -> Iterator[None]:
    """Restore the random states of torch, numpy and Python afterwards."""
    with torch.random.fork_rng([device] if device is not None and device.type == "cuda" else []):
        of_python, of_numpy = random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _attributes(network: nn.Module) -> Iterator[None]:
    """Restore attributes other than parameters and buffers: counters, caches and tensors that a forward changes."""
    saved = [(module, _own_attributes(module)) for module in network.modules()]
    contents = [
        (value, _copy(value))
        for _, attributes in saved
        for value in attributes.values()
        if isinstance(value, Tensor | list | dict | set)
    ]
    try:
        yield
    finally:
        for value, before in contents:
            _put_back(value, before)
        for module, attributes in saved:
            for name in _own_attributes(module).keys() - attributes.keys():
                del vars(module)[name]
            vars(module).update(attributes)


def _own_attributes(module: nn.Module) -> dict:
    return {name: value for name, value in vars(module).items() if name not in _OWN}


def _copy(value: Tensor | list | dict | set) -> Tensor | list | dict | set:
    return value.detach().clone() if isinstance(value, Tensor) else value.copy()


def _put_back(value: Any, before: Any) -> None:
    if isinstance(value, Tensor):
        if not torch.equal(value, before):
            with torch.no_grad():
                value.copy_(before)
    elif isinstance(value, list):
        value[:] = before
    else:
        value.clear()
        value.update(before)
