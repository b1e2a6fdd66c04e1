"""Closed forms of the per-sample gradient of the common layers.

A layer's per-sample weight gradient is an output factor (the gradient at the layer's output) times an input factor (the
values that the weight multiplies), summed over the positions at which the weight is used:
s_goi = Σ_l output_gol · input_gil with groups g, outputs o, inputs i and positions l. A linear layer on a matrix has
one position; a convolution's input factor contains the patches of its input; each entry of a normalisation's scale is a
group with one output and one input. A bias gradient is the output factor summed over positions.

A form describes one layer and knows neither estimators nor networks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, channels_last, contiguous_format, nn
from torch.nn.functional import batch_norm, group_norm, layer_norm, pad


@dataclass(frozen=True)
class Form:
    """Maps a layer's input, and its output or the gradient there, to the factors.

    Attributes:
        input_factor: ``(module, input (N, ...)) -> (N, G, I, L)``.
        output_factor: ``(module, output or its gradient (N, ...)) -> (N, G, O, L)``.
        fits: whether this module, called on this input, has the form.
        weight: ``(module, values (G, O, I)) -> (G · O, ...)`` in the weight's order; O may be 1.
    """

    input_factor: Callable[[Any, Tensor], Tensor]
    output_factor: Callable[[Any, Tensor], Tensor]
    fits: Callable[[Any, Tensor], bool] = lambda module, inputs: True
    weight: Callable[[Any, Tensor], Tensor] = lambda module, values: values.flatten(0, 1)


def _linear_input(module: nn.Linear, values: Tensor) -> Tensor:
    """``(N, ..., in)`` → ``(N, 1, in, L)``."""
    return values.reshape(len(values), -1, module.in_features).transpose(1, 2)[:, None]


def _linear_output(module: nn.Linear, values: Tensor) -> Tensor:
    """``(N, ..., out)`` → ``(N, 1, out, L)``."""
    return values.reshape(len(values), -1, module.out_features).transpose(1, 2)[:, None]


def _patches(module: nn.Conv1d | nn.Conv2d, images: Tensor) -> Tensor:
    """Extract the patches of padded images, ``(N, G, kernel · C/G, L)``."""
    padding: Any = module.padding
    left: Sequence[int]
    right: Sequence[int]
    match padding:
        case "valid":
            left = right = (0,) * len(module.kernel_size)
        case "same":
            total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
            left = [t // 2 for t in total]
            right = [t - half for t, half in zip(total, left, strict=True)]
        case _:
            left = right = padding
    if any([*left, *right]):
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        # ``pad`` expects the last axis first
        sides = [side for both in zip(reversed(left), reversed(right), strict=True) for side in both]
        images = pad(images, sides, mode)
    kernel, dilation, stride = module.kernel_size, module.dilation, module.stride
    if images.ndim == 3:  # a sequence is an image of one row
        images, kernel, dilation, stride = images[:, :, None], (1, *kernel), (1, *dilation), (1, *stride)
    return patches(images, module.groups, kernel, dilation=dilation, stride=stride)


def patches(
    images: Tensor, groups: int, kernel: tuple[int, ...], dilation: tuple[int, ...], stride: tuple[int, ...]
) -> Tensor:
    """Extract the patches ``(N, G, kernel · C/G, L)`` of images in one copy of a strided view.

    The channels are the last axis of the copy, so that it moves whole rows of a patch; ``unfold`` is several times
    slower. With one channel per group, the positions are the last axis.
    """
    depthwise = groups == images.shape[1]
    images = images.contiguous(memory_format=contiguous_format if depthwise else channels_last)
    samples, channels, *sides = images.shape
    of_sample, of_channel, *steps = images.stride()
    size = [
        (length - d * (k - 1) - 1) // s + 1 for length, k, d, s in zip(sides, kernel, dilation, stride, strict=True)
    ]
    positions = [*zip(size, (s * step for s, step in zip(stride, steps, strict=True)), strict=True)]
    offsets = [*zip(kernel, (d * step for d, step in zip(dilation, steps, strict=True)), strict=True)]
    inner = [*offsets, *positions] if depthwise else [*positions, *offsets, (channels // groups, of_channel)]
    axes = [(samples, of_sample), (groups, channels // groups * of_channel), *inner]
    view = images.as_strided([axis[0] for axis in axes], [axis[1] for axis in axes], images.storage_offset())
    if depthwise:
        return view.reshape(samples, groups, prod(kernel), -1)
    return view.reshape(samples, groups, prod(size), -1).transpose(2, 3)


def _convolution_weight(module: nn.Conv1d | nn.Conv2d, values: Tensor) -> Tensor:
    """``(G, O, kernel · C/G)`` → ``(out, C/G, *kernel)``."""
    return values.reshape(-1, *module.kernel_size, module.in_channels // module.groups).movedim(-1, 1)


def _convolution_output(module: nn.Conv1d | nn.Conv2d, values: Tensor) -> Tensor:
    return values.reshape(len(values), module.groups, module.out_channels // module.groups, -1)


def _batch_normalised(module: nn.BatchNorm1d | nn.BatchNorm2d, values: Tensor) -> Tensor:
    mean, variance = (None if each is None else each.to(values) for each in (module.running_mean, module.running_var))
    return _per_channel(module, batch_norm(values, mean, variance, training=False, eps=module.eps))


def _group_normalised(module: nn.GroupNorm, values: Tensor) -> Tensor:
    return _per_channel(module, group_norm(values, module.num_groups, eps=module.eps))


def _layer_normalised(module: nn.LayerNorm, values: Tensor) -> Tensor:
    return _per_entry(module, layer_norm(values, module.normalized_shape, eps=module.eps))


def _per_channel(module: nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm, values: Tensor) -> Tensor:
    """``(N, C, ...)`` → ``(N, C, 1, L)``."""
    return values.reshape(len(values), len(module.weight), 1, -1)


def _per_entry(module: nn.LayerNorm, values: Tensor) -> Tensor:
    """``(N, ..., *normalised shape)`` → ``(N, P, 1, L)``."""
    return values.reshape(len(values), -1, module.weight.numel()).transpose(1, 2)[:, :, None]


_BATCH_NORM = Form(_batch_normalised, _per_channel, lambda module, inputs: module.running_mean is not None)
FORMS: dict[type[nn.Module], Form] = {
    nn.Linear: Form(_linear_input, _linear_output),
    nn.Conv1d: Form(_patches, _convolution_output, lambda module, inputs: inputs.ndim == 3, _convolution_weight),
    nn.Conv2d: Form(_patches, _convolution_output, lambda module, inputs: inputs.ndim == 4, _convolution_weight),
    nn.BatchNorm1d: _BATCH_NORM,
    nn.BatchNorm2d: _BATCH_NORM,
    nn.LayerNorm: Form(_layer_normalised, _per_entry),
    nn.GroupNorm: Form(_group_normalised, _per_channel),
}
"""Layer type → form. Subclasses are excluded: they may compute something else."""
