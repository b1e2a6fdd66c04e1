"""The gradient of a network's loss as a fixed list of tensor operations, for CUDA graphs.

torch's ``make_fx`` records the operations of a forward and backward pass once; later steps repeat them without modules
or automatic differentiation. Products that compute weight gradients write into the caller's memory. On a CPU this saves
3 % of a step and costs seconds of imports, so only GPUs use it.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, fx, nn
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx

from weight_importance.learning.engine.gradients import loss_gradient

aten = torch.ops.aten
ALIASES = (aten.detach.default, aten.alias.default)
VIEWS = (aten.view.default, aten._unsafe_view.default, aten.expand.default)
OUT = {aten.mm.default: aten.mm.out, aten.bmm.default: aten.bmm.out}
"""Products → variants that write into given memory."""


class Untraceable(Exception):
    """The reason why a network's gradient cannot be recorded."""


class Trace:
    """A recorded :func:`weight_importance.learning.engine.gradients.loss_gradient`, created by :func:`trace`."""

    def __init__(self, recorded: fx.GraphModule) -> None:
        recorded.recompile()
        self._run = recorded.forward

    def __call__(
        self,
        parameters: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        inputs: Tensor,
        labels: Tensor,
        into: Mapping[str, Tensor],
    ) -> None:
        """Write the gradients into ``into``; all mappings in the order of the recording."""
        with torch.no_grad():
            self._run(inputs, labels, *parameters.values(), *buffers.values(), *into.values())


def trace(
    network: nn.Module,
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    inputs: Tensor,
    labels: Tensor,
    label_smoothing: float = 0.0,
) -> Trace:
    """Record :func:`loss_gradient` for batches of this size; parameters and buffers stay unchanged.

    The recording is compared with automatic differentiation on another batch, to detect networks whose operations
    depend on the data.

    Raises:
        Untraceable: the network's operations depend on the data, or cannot be recorded.
    """
    copies = [tensor.detach().clone() for tensor in (*parameters.values(), *buffers.values())]
    gradients = _gradients(network, parameters, buffers, label_smoothing)

    def record() -> fx.GraphModule:
        module = make_fx(gradients)(inputs, labels, *copies)
        _simplify(module.graph)
        return module

    other = inputs.flip(0).mul(0.5), labels.roll(1)
    state = [{name: buffer.clone() for name, buffer in buffers.items()} for _ in range(2)]
    recorded, observed = _repeated(record, parameters, state[0], *other)
    expected = loss_gradient(network, parameters, state[1], *other, label_smoothing)
    _require_equal(observed, expected)
    _require_equal(state[0], state[1])
    return recorded


def _gradients(
    network: nn.Module, parameters: Iterable[str], buffers: Iterable[str], label_smoothing: float
) -> Callable[..., tuple[Tensor, ...]]:
    """:func:`loss_gradient` as a function of a batch and of all tensors, parameters first."""
    names, further = [*parameters], [*buffers]

    def function(inputs: Tensor, labels: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        leaves = dict(zip(names, tensors, strict=False))
        state = dict(zip(further, tensors[len(names) :], strict=True))
        return tuple(loss_gradient(network, leaves, state, inputs, labels, label_smoothing).values())

    return function


def _repeated(
    record: Callable[[], fx.GraphModule],
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    inputs: Tensor,
    labels: Tensor,
) -> tuple[Trace, dict[str, Tensor]]:
    """Record operations and repeat them for another batch; returns the recording and the gradients.

    Raises:
        Untraceable: either fails.
    """
    try:
        module = record()
        _write_into_memory(module.graph)
        recorded = Trace(module)
        observed = {name: torch.full_like(parameter, torch.nan) for name, parameter in parameters.items()}
        recorded(parameters, buffers, inputs, labels, observed)
    except Exception as error:  # recording runs user modules, which may fail in any way
        raise Untraceable(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}") from error
    return recorded, observed


def _require_equal(observed: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise Untraceable for a tensor that repeated operations change beyond rounding.

    GPUs do not always add in the same order, so rounding there is relative to the largest value of all tensors: the
    gradient of a bias before batch normalisation consists of rounding errors.
    """
    for name, value in expected.items():
        largest = 1.0
        if value.device.type == "cuda":
            largest = max(1.0, *(other.abs().max().nan_to_num(0).item() for other in expected.values()))
        if not torch.allclose(observed[name], value, rtol=1e-4, atol=1e-6 * largest, equal_nan=True):
            raise Untraceable(f"'{name}' comes out differently for another batch when the operations are repeated")


def trace_stack(
    network: nn.Module,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    labels: Tensor,
    label_smoothing: float = 0.0,
) -> Trace:
    """Record the gradients of a stack of replicas as batched operations, for groups and batches of this size.

    The single-network recording is vectorised, so that batched products write weight gradients into the given memory in
    their final layout; vmap of automatic differentiation would return them transposed.

    Args:
        network: the architecture without buffers, in training mode.
        parameters: parameter name → ``(G, *shape)``.
        inputs: ``(G, B, ...)``.
        labels: ``(G, B)``.
        label_smoothing: share of the target spread evenly over all classes.

    Raises:
        Untraceable: as for :func:`trace`; an operation cannot be vectorised; or the network has buffers.
    """
    if any(True for _ in network.buffers()):
        raise Untraceable("the network has buffers")
    copies = [tensor.detach().clone() for tensor in parameters.values()]
    gradients = _gradients(network, parameters, (), label_smoothing)

    def record() -> fx.GraphModule:
        single = make_fx(gradients)(inputs[0], labels[0], *(copy[0] for copy in copies))
        _simplify(single.graph)
        single.recompile()
        module = make_fx(lambda *arguments: vmap(single.forward)(*arguments))(inputs, labels, *copies)
        _simplify(module.graph)
        _leave_out_equal_views(module.graph)
        return module

    other = inputs.flip(1).mul(0.5), labels.roll(1, 1)
    recorded, observed = _repeated(record, parameters, {}, *other)
    for replica in {0, len(inputs) - 1}:
        one = {name: parameter[replica] for name, parameter in parameters.items()}
        expected = loss_gradient(network, one, {}, other[0][replica], other[1][replica], label_smoothing)
        _require_equal({name: value[replica] for name, value in observed.items()}, expected)
    return recorded


def _leave_out_equal_views(graph: fx.Graph) -> None:
    """Remove views and expansions that keep the shape of their input."""
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target not in VIEWS:
            continue
        source = node.args[0]
        if source.meta["tensor_meta"].shape == node.meta["tensor_meta"].shape:
            node.replace_all_uses_with(source)
            graph.erase_node(node)


def _simplify(graph: fx.Graph) -> None:
    """Remove aliases and double transpositions."""
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        source = node.args[0]
        if node.target in ALIASES:
            node.replace_all_uses_with(source)
        elif node.target is aten.t.default and source.target is aten.t.default:
            node.replace_all_uses_with(source.args[0])
    for node in reversed(graph.nodes):
        if not node.users and node.target in (*ALIASES, aten.t.default):
            graph.erase_node(node)


def _write_into_memory(graph: fx.Graph) -> None:
    """Add an output buffer argument for every result, and return nothing."""
    (output,) = (node for node in graph.nodes if node.op == "output")
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    for index, result in enumerate(output.args[0]):
        with graph.inserting_after(last):
            last = memory = graph.placeholder(f"memory_{index}")
        if result.target in OUT and list(result.users) == [output]:
            result.target, result.kwargs = OUT[result.target], {"out": memory}
        else:
            with graph.inserting_before(output):
                graph.call_function(aten.copy_.default, (memory, result))
    output.args = (None,)
    # plain positional arguments, no pytrees
    graph.set_codegen(fx.graph.CodeGen())
