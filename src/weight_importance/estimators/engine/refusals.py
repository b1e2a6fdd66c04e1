"""Networks of which importances would be wrong without a word: each is named, with the module at fault and the fix."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.samples import Samples, mapped
from weight_importance.runtime.errors import UserError

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def refuse_batch_statistics(network: nn.Module) -> None:
    """Batch statistics in evaluation mode would make one sample's output depend on the other samples of its batch."""
    for name, module in network.named_modules():
        if isinstance(module, BATCH_NORMS) and module.running_mean is None:
            raise UserError(
                f"'{name}' is a {type(module).__name__} without running statistics: a sample's gradient would depend "
                "on the other samples. Use track_running_stats=True, LayerNorm or GroupNorm."
            )


def refuse_random_output(forward: Forward, samples: Samples, logits: Tensor, tolerance: float) -> None:
    """The same samples twice must give the same logits."""
    with torch.no_grad():
        again = forward.logits(samples)
        if same(again, logits, tolerance):
            return
        # recording a graph can take another kernel: what counts is two calls alike
        if same(forward.logits(samples), again, tolerance):
            return
        fault = _first_difference(forward, samples, samples, lambda output: output, tolerance)
    raise UserError(
        f"the output is random in evaluation mode, or depends on earlier calls: {fault} gives different outputs for "
        "the same samples. Let dropout depend on the mode (F.dropout(x, p, self.training)). In evaluation mode, do not "
        "draw random numbers, and do not keep a state from call to call."
    )


def refuse_influence(
    forward: Forward, samples: Samples, row: int, logits: Tensor, alone: Tensor, tolerance: float
) -> None:
    """A sample's logits must not depend on the other samples of its batch.

    Args:
        forward: the network.
        samples: a few.
        row: of the sample among them.
        logits: of all.
        alone: ``(1, ..., K)``, of the sample by itself.
        tolerance: relative.
    """
    if alone.shape[1:] == logits.shape[1:] and same(alone, logits[row : row + 1], tolerance, logits):
        return
    one = samples.take(slice(row, row + 1))

    def of_row(output: Tensor) -> Tensor:
        return output.narrow(0, row, 1) if output.ndim and len(output) == len(samples) else output

    with torch.no_grad():
        fault = _first_difference(forward, samples, one, of_row, tolerance)
    raise UserError(
        f"samples influence each other: the output for a sample depends on which and how many others are passed with "
        f"it, first in {fault}. Per-sample gradients are not defined then. Put the samples on the first axis "
        "(batch_first=True for attention and recurrent layers) and use no statistics over the batch in evaluation mode."
    )


def refuse_other_size(logits: Tensor, alone: Tensor, tolerance: float) -> None:
    """The logits of samples in a large batch must be those of each alone."""
    if logits.shape != alone.shape or not same(logits, alone, tolerance):
        raise UserError(
            "samples influence each other: the output for a sample depends on how many others are passed with it. "
            "Per-sample gradients are not defined then; change the network's forward so that it treats each sample "
            "separately."
        )


def same(first: Tensor, second: Tensor, tolerance: float, scale: Tensor | None = None) -> bool:
    """Whether two tensors are equal up to rounding; values that are not finite count as equal."""
    if first.shape != second.shape:
        return False
    if torch.equal(first, second):
        return True
    first, second = first.double().nan_to_num(0, 0, 0), second.double().nan_to_num(0, 0, 0)
    scale = second if scale is None else scale.double().nan_to_num(0, 0, 0)
    return first.numel() == 0 or bool((first - second).abs().max() <= tolerance * scale.abs().max())


def described(inputs: Any) -> str:
    """Shapes and dtypes of inputs, for a message."""
    return str(mapped(inputs, lambda tensor: _Text(f"{tuple(tensor.shape)} {tensor.dtype}")))


class _Text(str):
    def __repr__(self) -> str:
        return str(self)


def _first_difference(
    forward: Forward, samples: Samples, others: Samples, row: Callable[[Tensor], Tensor], tolerance: float
) -> str:
    """Names the innermost, first module whose outputs differ between two calls though its inputs do not.

    Args:
        forward: the network.
        samples, others: of the two calls.
        row: what of a tensor in the first call is compared with the second.
        tolerance: relative.
    """
    first, second = _recorded(forward, samples), _recorded(forward, others)

    def alike(tensors: list[Tensor], others: list[Tensor]) -> bool:
        return all(same(row(tensor), other, tolerance) for tensor, other in zip(tensors, others, strict=False))

    for (name, module, given, output), (_, _, other_given, other_output) in zip(first, second, strict=False):
        if alike(given, other_given) and not alike(output, other_output):
            return f"'{name}' ({type(module).__name__})" if name else f"the network itself ({type(module).__name__})"
    return f"the network itself ({type(forward.network).__name__})"


def _recorded(forward: Forward, samples: Samples) -> list[tuple[str, nn.Module, list[Tensor], list[Tensor]]]:
    """Every module with its inputs and outputs, in the order in which the calls end: the innermost first."""
    found: list[tuple[str, nn.Module, list[Tensor], list[Tensor]]] = []

    def kept(values: Any) -> list[Tensor]:
        values = values if isinstance(values, tuple | list) else (values,)
        return [each.detach().clone() for each in values if isinstance(each, Tensor)]

    def hook(name: str) -> Callable[[nn.Module, tuple, Any], None]:
        def note(module: nn.Module, args: tuple, output: Any) -> None:
            found.append((name, module, kept(args), kept(output)))

        return note

    handles = [module.register_forward_hook(hook(name)) for name, module in forward.network.named_modules()]
    try:
        forward.logits(samples)
    finally:
        for handle in handles:
            handle.remove()
    return found
