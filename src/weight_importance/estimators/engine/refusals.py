"""Refusal of networks with silently wrong importances; each error names the module at fault and the fix."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.samples import Samples, mapped
from weight_importance.runtime.errors import UserError

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def refuse_batch_statistics(network: nn.Module) -> None:
    """Refuse batch statistics in evaluation mode, which make a sample's output depend on its batch."""
    for name, module in network.named_modules():
        if isinstance(module, BATCH_NORMS) and module.running_mean is None:
            raise UserError(
                f"'{name}' is a {type(module).__name__} without running statistics: a sample's gradient would depend "
                "on the other samples. Use track_running_stats=True, LayerNorm or GroupNorm."
            )


def refuse_random_output(forward: Forward, samples: Samples, logits: Tensor, tolerance: float) -> None:
    """Refuse different logits for equal samples, or for another order of memory."""
    reordered = forward.convolutions(torch.contiguous_format) if forward.any_order else {}
    with torch.no_grad():
        repetition = forward.logits(samples, forward.tensors(reordered))
        if same(repetition, logits, tolerance):
            return
        # recording a graph may select another kernel: compare two calls without a graph
        if same(forward.logits(samples), repetition, tolerance):
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
    """Refuse logits that depend on the other samples of the batch.

    Args:
        forward: the network.
        samples: a few samples.
        row: index of the sample.
        logits: logits of all samples.
        alone: logits ``(1, ..., K)`` of the sample alone.
        tolerance: relative tolerance.
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
    """Refuse logits in a large batch that differ from the logits of each sample alone."""
    if logits.shape != alone.shape or not same(logits, alone, tolerance):
        raise UserError(
            "samples influence each other: the output for a sample depends on how many others are passed with it. "
            "Per-sample gradients are not defined then; change the network's forward so that it treats each sample "
            "separately."
        )


def same(first: Tensor, second: Tensor, tolerance: float, scale: Tensor | None = None) -> bool:
    """Whether two tensors are equal up to rounding; non-finite values count as equal."""
    if first.shape != second.shape:
        return False
    if torch.equal(first, second):
        return True
    first, second = first.double().nan_to_num(0, 0, 0), second.double().nan_to_num(0, 0, 0)
    scale = second if scale is None else scale.double().nan_to_num(0, 0, 0)
    return first.numel() == 0 or bool((first - second).abs().max() <= tolerance * scale.abs().max())


def described(inputs: Any) -> str:
    """Describe shapes and dtypes of inputs for a message."""
    return str(mapped(inputs, lambda tensor: _Text(f"{tuple(tensor.shape)} {tensor.dtype}")))


class _Text(str):
    def __repr__(self) -> str:
        return str(self)


def _first_difference(
    forward: Forward, samples: Samples, others: Samples, row: Callable[[Tensor], Tensor], tolerance: float
) -> str:
    """Name the first, innermost module whose outputs differ between two calls while its inputs agree.

    Args:
        forward: the network.
        samples, others: samples of the two calls.
        row: selects the part of the first call's tensor to compare with the second call's.
        tolerance: relative tolerance.
    """
    first, second = _recorded(forward, samples), _recorded(forward, others)

    def alike(tensors: list[Tensor], others: list[Tensor]) -> bool:
        return all(same(row(tensor), other, tolerance) for tensor, other in zip(tensors, others, strict=False))

    for (name, module, inputs, output), (_, _, other_inputs, other_output) in zip(first, second, strict=False):
        if alike(inputs, other_inputs) and not alike(output, other_output):
            return f"'{name}' ({type(module).__name__})" if name else f"the network itself ({type(module).__name__})"
    return f"the network itself ({type(forward.network).__name__})"


def _recorded(forward: Forward, samples: Samples) -> list[tuple[str, nn.Module, list[Tensor], list[Tensor]]]:
    """Return every module with its inputs and outputs, in the order in which calls end: innermost first."""
    records: list[tuple[str, nn.Module, list[Tensor], list[Tensor]]] = []

    def kept(values: Any) -> list[Tensor]:
        values = values if isinstance(values, tuple | list) else (values,)
        return [each.detach().clone() for each in values if isinstance(each, Tensor)]

    def hook(name: str) -> Callable[[nn.Module, tuple, Any], None]:
        def note(module: nn.Module, args: tuple, output: Any) -> None:
            records.append((name, module, kept(args), kept(output)))

        return note

    handles = [module.register_forward_hook(hook(name)) for name, module in forward.network.named_modules()]
    try:
        forward.logits(samples)
    finally:
        for handle in handles:
            handle.remove()
    return records
