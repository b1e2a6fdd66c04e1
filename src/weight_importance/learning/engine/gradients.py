"""Gradients of the loss for the replicas of a stack, written into flat memory row by row.

On a CPU, replicas run sequentially. On other devices, networks without convolutions run side by side with ``vmap``;
convolutional networks run sequentially, because ``vmap`` turns their convolutions into grouped ones. See
``batch_gradients`` for GPUs.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy

from weight_importance.estimators.engine.layers import PROBE, evaluation_mode, recorded_bytes
from weight_importance.learning.engine.flat import Layout
from weight_importance.learning.replicas import Replicas, channels_last, convolutional

STACK_BYTES = 4 * 2**30
"""Memory bound on one step of replicas side by side; at least one replica's."""


def loss_gradient(
    network: nn.Module,
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    inputs: Tensor,
    labels: Tensor,
    label_smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """Compute the gradient of the mean cross-entropy by automatic differentiation; buffers change in place.

    Args:
        network: the architecture, in training mode.
        parameters: parameters by name; unused ones have gradient zero.
        buffers: buffers by name.
        inputs: ``(B, ...)``.
        labels: ``(B,)``.
        label_smoothing: share of the target spread evenly over all classes.
    """
    leaves = {name: parameter.detach().requires_grad_() for name, parameter in parameters.items()}
    with torch.enable_grad():
        logits = functional_call(network, leaves | dict(buffers), (inputs,))
        loss = cross_entropy(logits, labels, label_smoothing=label_smoothing)
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, gradients, strict=True))


def groups(replicas: int, size: int) -> list[slice]:
    """Split the rows of a stack into groups of ``size``."""
    return [slice(start, min(start + size, replicas)) for start in range(0, replicas, size)]


class OneByOne:
    """Gradients of one replica at a time, all in the same memory.

    Args:
        replicas: the stack, its template in training mode; parameters may change in place between calls.
        layout: places of parameters in a row.
        label_smoothing: share of the target spread evenly over all classes.
    """

    def __init__(self, replicas: Replicas, layout: Layout, label_smoothing: float = 0.0) -> None:
        self.groups = groups(len(replicas), 1)
        like = next(iter(replicas.parameters.values()))
        self._row = like.new_zeros(1, layout.size)
        self._into = {name: view[0] for name, view in layout.views(self._row).items()}
        self._states = [replicas.state(replica) for replica in range(len(replicas))]
        self._template, self._label_smoothing = replicas.template, label_smoothing

    def __call__(self, rows: slice, inputs: Tensor, labels: Tensor) -> Tensor:
        """Compute gradients ``(1, size)`` for inputs ``(1, B, ...)`` and labels ``(1, B)``."""
        parameters, buffers = self._states[rows.start]
        gradients = loss_gradient(
            self._template, parameters, buffers, channels_last(inputs[0]), labels[0], self._label_smoothing
        )
        for name, gradient in gradients.items():
            self._into[name].copy_(gradient)
        return self._row


class SideBySide:
    """Gradients of several replicas together, by ``vmap``.

    Args:
        replicas: the stack, its template in training mode; parameters may change in place between calls.
        layout: places of parameters in a row.
        size: replicas per group.
        label_smoothing: share of the target spread evenly over all classes.
    """

    def __init__(self, replicas: Replicas, layout: Layout, size: int, label_smoothing: float = 0.0) -> None:
        self.groups = groups(len(replicas), size)
        self._replicas, self._layout, self._label_smoothing = replicas, layout, label_smoothing
        like = next(iter(replicas.parameters.values()))
        self._rows = like.new_zeros(min(size, len(replicas)), layout.size)

    def __call__(self, rows: slice, inputs: Tensor, labels: Tensor) -> Tensor:
        """Compute gradients ``(G, size)`` for inputs ``(G, B, ...)`` and labels ``(G, B)``."""
        template = self._replicas.template

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
            return functional_call(template, (parameters, buffers), (inputs,))

        leaves = {name: view[rows].detach().requires_grad_() for name, view in self._replicas.parameters.items()}
        buffers = {name: buffer[rows] for name, buffer in self._replicas.buffers.items()}
        with torch.enable_grad():
            logits = vmap(one)(leaves, buffers, inputs)
            losses = cross_entropy(
                logits.flatten(0, 1), labels.flatten(), reduction="sum", label_smoothing=self._label_smoothing
            )
            loss = losses / labels.shape[1]
            gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        memory = self._rows[: rows.stop - rows.start]
        for view, gradient in zip(self._layout.views(memory).values(), gradients, strict=True):
            view.copy_(gradient)
        return memory


def way_to_compute(
    replicas: Replicas, layout: Layout, inputs: Tensor, label_smoothing: float = 0.0
) -> OneByOne | SideBySide:
    """Choose the faster computation for the device and network, given one replica's first batch ``(B, ...)``."""
    if inputs.device.type == "cpu" or convolutional(replicas.template):
        return OneByOne(replicas, layout, label_smoothing)
    return SideBySide(replicas, layout, side_by_side(replicas, layout, inputs), label_smoothing)


def side_by_side(replicas: Replicas, layout: Layout, inputs: Tensor) -> int:
    """Count the replicas that fit into :data:`STACK_BYTES`: parameters, gradients, records of a batch ``(B, ...)``."""
    parameters = 3 * layout.size * next(iter(replicas.parameters.values())).element_size()
    with evaluation_mode(replicas.template):  # normalisation in training mode rejects a single sample
        batch = len(inputs) * recorded_bytes(replicas.template, inputs[:PROBE])
    return max(1, STACK_BYTES // (parameters + batch))
