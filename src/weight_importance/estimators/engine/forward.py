"""A network as a function of its parameters and of samples; network, buffers and samples stay unchanged.

Parameters and buffers are replaced during a call. Half precision is computed in single precision; wrappers (compiled,
data-parallel) are unwrapped; the error for an output other than logits suggests a wrapper.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from weight_importance.estimators.engine.samples import HALVES, Samples
from weight_importance.runtime.errors import UserError

Call = Callable[[nn.Module, Any], Any]
"""``(network, inputs) -> logits``, if calling the network does not return the logits."""

Result = TypeVar("Result")

WRAPPERS = {"OptimizedModule": "_orig_mod", "DistributedDataParallel": "module", "DataParallel": "module"}
"""Wrapper type → attribute with the network. By name, because torch's compiler takes seconds to load."""


class Forward:
    """A network with the tensors and options of its calls.

    Args:
        network: any module.
        call: see :data:`Call`; by default the network is called with the inputs: a tensor, a tuple of positional or a
            dictionary of keyword arguments.
        double: compute in double precision, whatever the network's precision.

    Attributes:
        parameters: parameters with importances, detached: all that require gradients, or all if none does.
        changes_inputs, changes_weights: a call modifies its inputs or weights (found by a probe) and receives copies.
        changes_outputs: the network changes a layer's output in place, as some activations do (found by a pass).
        any_order: weights of convolutions may be stored with channels last: on a CPU, until a pass shows otherwise.
        loses_axis: the output of a single sample has no sample axis; such a sample is passed twice.
        reentrant: the network uses reentrant checkpoints, which only support ``backward`` (found during a pass).

    Raises:
        UserError: a parameter has no values, or complex values.
    """

    def __init__(self, network: nn.Module, call: Call | None = None, double: bool = False) -> None:
        if not isinstance(network, nn.Module):
            raise UserError(f"the network must be a torch.nn.Module; found {type(network).__name__}")
        self.network, self.prefix = unwrapped(network)
        self._call, self._double = call or _call, double
        self._called = _Called(self.network, self._call)
        every = dict(self.network.named_parameters())
        for name, parameter in every.items():
            if isinstance(parameter, nn.parameter.UninitializedParameter) or parameter.is_meta:
                raise UserError(f"parameter '{name}' has no values yet: load weights, or call the network once")
            if parameter.is_complex():
                raise UserError(f"parameter '{name}' is complex; importances are defined for real parameters")
        learnt = {name for name, parameter in every.items() if parameter.requires_grad} or every.keys()
        buffers = dict(self.network.named_buffers())
        self.whole = any(tensor.dtype in HALVES for tensor in [*every.values(), *buffers.values()])
        working = {name: self._working(tensor) for name, tensor in (every | buffers).items()}
        self.parameters = {name: working[name] for name in every if name in learnt}
        self.fixed = {name: working[name] for name in every if name not in learnt}
        self.buffers = {name: working[name] for name in buffers}
        self.changes_inputs = self.changes_weights = self.changes_outputs = False
        self.loses_axis = self.reentrant = False
        self.any_order = self.device.type == "cpu"

    def convolutions(self, memory: torch.memory_format) -> dict[str, Tensor]:
        """Return the weights of two-dimensional convolutions in a memory format; the outputs follow it."""
        weights = self.fixed | self.parameters
        modules = (name for name, module in self.network.named_modules() if type(module) is nn.Conv2d)
        names = (f"{name}.weight" if name else "weight" for name in modules)
        return {
            name: torch.empty_like(weights[name], memory_format=memory).copy_(weights[name])
            for name in names
            if name in weights
        }

    def arrange(self, memory: torch.memory_format) -> bool:
        """Store the weights of two-dimensional convolutions in a memory format; return whether there are any."""
        weights = self.convolutions(memory)
        for name, weight in weights.items():
            (self.parameters if name in self.parameters else self.fixed)[name] = weight
        return bool(weights)

    def use_contiguous(self) -> None:
        """Use the usual memory format from now on."""
        self.arrange(torch.contiguous_format)
        self.any_order = False

    def _working(self, tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        if tensor.is_inference():
            tensor = tensor.clone()
        if self._double and tensor.is_floating_point():
            return tensor.double()
        return tensor.float() if tensor.dtype in HALVES else tensor

    def in_double(self) -> "Forward | None":
        """Return the network in double precision; ``None`` if it already uses double precision."""
        if all(parameter.dtype == torch.float64 for parameter in self.parameters.values()):
            return None
        double = Forward(self.network, self._call, double=True)
        double.changes_inputs, double.changes_weights = self.changes_inputs, self.changes_weights
        return double

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        first = next(iter([*self.parameters.values(), *self.fixed.values(), *self.buffers.values()]), None)
        return torch.device("cpu") if first is None else first.device

    def tensors(self, parameters: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the tensors for a call: these parameters instead of the network's, and copies of the buffers."""
        weights = self.fixed | self.parameters
        if self.changes_weights:
            weights = {name: weight.clone() for name, weight in weights.items()}
            if parameters is not None:
                # a leaf cannot be changed in place; its copy, an inner node, can
                parameters = {name: parameter.clone() for name, parameter in parameters.items()}
        return weights | dict(parameters or {}) | {name: buffer.clone() for name, buffer in self.buffers.items()}

    def logits(self, samples: Samples, tensors: Mapping[str, Tensor] | None = None) -> Tensor:
        """Compute the logits ``(N, ..., K)``.

        Args:
            samples: N samples.
            tensors: from :meth:`tensors`.
        """
        return self.within(samples, tensors, lambda logits: logits)

    def within(
        self, samples: Samples, tensors: Mapping[str, Tensor] | None, then: Callable[[Tensor], Result]
    ) -> Result:
        """Apply ``then`` to the logits while the tensors are in place, which recomputation of layers requires."""
        tensors = self.tensors() if tensors is None else tensors
        named = {f"network.{name}": tensor for name, tensor in tensors.items()}

        def run(samples: Samples, then: Callable[[Any], Any]) -> Any:
            batch = samples.copied() if self.changes_inputs else samples
            return functional_call(self._called, named, (batch.inputs, then))

        if len(samples) == 1 and not self.loses_axis:
            result = run(samples, lambda output: self._of_one(output, then))
            if not self.loses_axis:
                return result
        if len(samples) == 1:
            return run(samples.twice(), lambda output: then(checked(output, 2)[:1]))
        return run(samples, lambda output: then(checked(output, len(samples))))

    def _of_one(self, output: Any, then: Callable[[Tensor], Result]) -> Result | None:
        logits = _logits(output)
        self.loses_axis = logits.ndim < 2 or len(logits) != 1
        return None if self.loses_axis else then(checked(output, 1))


def unwrapped(network: nn.Module) -> tuple[nn.Module, str]:
    """Return the network inside its wrappers, and their prefix of parameter names."""
    prefix = ""
    while type(network).__name__ in WRAPPERS:
        attribute = WRAPPERS[type(network).__name__]
        network, prefix = getattr(network, attribute), f"{prefix}{attribute}."
    return network, prefix


class _Called(nn.Module):
    """A module that calls the network and processes its output while the tensors are replaced."""

    def __init__(self, network: nn.Module, call: Call) -> None:
        super().__init__()
        self.network = network
        self._call = call

    def forward(self, inputs: Any, then: Callable[[Any], Any]) -> Any:
        return then(self._call(self.network, inputs))


def _call(network: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return network(**inputs)
    if isinstance(inputs, tuple):
        return network(*inputs)
    return network(inputs)


def _logits(output: Any) -> Tensor:
    """Find the logits in a network's output."""
    candidate = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if isinstance(candidate, Tensor) and candidate.is_floating_point():
        return candidate
    returned = f"a tensor of {candidate.dtype}" if isinstance(candidate, Tensor) else f"a {type(output).__name__}"
    raise UserError(
        f"the network returns {returned} in place of logits (N, K); say which part they are: "
        "forward=lambda network, inputs: network(inputs)[0], or a module around the network whose forward returns it"
    )


def checked(output: Any, samples: int) -> Tensor:
    """Find the logits ``(N, ..., K)`` in a network's output for N samples.

    Raises:
        UserError: the logits have another shape.
    """
    logits = _logits(output)
    if logits.ndim < 2 or len(logits) != samples:
        raise UserError(
            f"the network returns logits of shape {tuple(logits.shape)} for {samples} samples, expected (N, K) or "
            "(N, ..., K) with a row per sample. Reshape them in a module around the network, or with forward=."
        )
    if logits.shape[-1] < 2:
        raise UserError(
            f"the network returns logits of shape {tuple(logits.shape)}: importances need K ≥ 2 classes on the last "
            "axis. For a single sigmoid output z return the logits (0, z)."
        )
    return logits
