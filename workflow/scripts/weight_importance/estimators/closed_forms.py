"""Closed forms of the per-sample gradient of the common layers, and the check that a layer in a network has one.

The gradient of such a layer's weight for one sample is an output factor (the gradient at the layer's output) times an
input factor (what the weight multiplies), summed over the positions at which the weight is used:
s_goi = Σ_l output_gol · input_gil with groups g, outputs o, inputs i and positions l. A linear layer on a matrix has
one position; a convolution's input factor holds the patches of its input; the scale of a normalisation is as many
groups of one output and one input as it has entries. A bias has the output factor summed over positions.

Nothing here knows of estimators: it sees weights, powers, and cotangents at the logits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import batch_norm, group_norm, layer_norm, pad, unfold

from weight_importance.errors import UserError
from weight_importance.estimators.layers import Call, bound_factor, watch

PRODUCT_BYTES = 8 * 2**20
"""Memory bound on the per-sample gradients of one layer formed at once, with their factors; at least one sample's."""


@dataclass(frozen=True)
class Form:
    """How a layer's input and output (or the gradient at it) become the factors.

    Attributes:
        input_factor: ``(module, input (N, ...)) -> (N, G, I, L)``.
        output_factor: ``(module, output or its gradient (N, ...)) -> (N, G, O, L)``.
        fits: whether this module, called on this input, has the form.
    """

    input_factor: Callable[[nn.Module, Tensor], Tensor]
    output_factor: Callable[[nn.Module, Tensor], Tensor]
    fits: Callable[[nn.Module, Tensor], bool] = lambda module, given: True


def _linear_input(module: nn.Linear, values: Tensor) -> Tensor:
    """``(N, ..., in)`` → ``(N, 1, in, L)``."""
    return values.reshape(len(values), -1, module.in_features).transpose(1, 2)[:, None]


def _linear_output(module: nn.Linear, values: Tensor) -> Tensor:
    """``(N, ..., out)`` → ``(N, 1, out, L)``."""
    return values.reshape(len(values), -1, module.out_features).transpose(1, 2)[:, None]


def _patches(module: nn.Conv2d, images: Tensor) -> Tensor:
    """The padded images' patches ``(N, G, C/G · kernel, L)``."""
    match module.padding:
        case "valid":
            left = right = (0, 0)
        case "same":
            total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
            left = [t // 2 for t in total]
            right = [t - half for t, half in zip(total, left, strict=True)]
        case _:
            left = right = module.padding
    if any([*left, *right]):
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        images = pad(images, (left[1], right[1], left[0], right[0]), mode)
    if images.device.type == "cuda":
        patches = _patches_at_once(images, module.kernel_size, module.dilation, module.stride)
    else:
        patches = unfold(images, module.kernel_size, dilation=module.dilation, stride=module.stride)
    return patches.unflatten(1, (module.groups, -1))


def _patches_at_once(
    images: Tensor, kernel: tuple[int, int], dilation: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """The result of ``unfold`` by one copy of a strided view; on a GPU ``unfold`` starts a kernel for every sample."""
    size = [
        (length - d * (k - 1) - 1) // s + 1
        for length, k, d, s in zip(images.shape[2:], kernel, dilation, stride, strict=True)
    ]
    steps = images.stride()
    along = [d * step for d, step in zip(dilation, steps[2:], strict=True)]
    between = [s * step for s, step in zip(stride, steps[2:], strict=True)]
    view = images.as_strided(
        (*images.shape[:2], *kernel, *size), (*steps[:2], *along, *between), images.storage_offset()
    )
    return view.reshape(len(images), -1, size[0] * size[1])


def _convolution_output(module: nn.Conv2d, values: Tensor) -> Tensor:
    return values.reshape(len(values), module.groups, module.out_channels // module.groups, -1)


def _batch_normalised(module: nn.BatchNorm1d | nn.BatchNorm2d, values: Tensor) -> Tensor:
    return _per_channel(
        module, batch_norm(values, module.running_mean, module.running_var, training=False, eps=module.eps)
    )


def _group_normalised(module: nn.GroupNorm, values: Tensor) -> Tensor:
    return _per_channel(module, group_norm(values, module.num_groups, eps=module.eps))


def _layer_normalised(module: nn.LayerNorm, values: Tensor) -> Tensor:
    return _per_entry(module, layer_norm(values, module.normalized_shape, eps=module.eps))


def _per_channel(module: nn.Module, values: Tensor) -> Tensor:
    """``(N, C, ...)`` → ``(N, C, 1, L)``."""
    return values.reshape(len(values), len(module.weight), 1, -1)


def _per_entry(module: nn.LayerNorm, values: Tensor) -> Tensor:
    """``(N, ..., *normalised shape)`` → ``(N, P, 1, L)``."""
    return values.reshape(len(values), -1, module.weight.numel()).transpose(1, 2)[:, :, None]


_BATCH_NORM = Form(_batch_normalised, _per_channel, lambda module, given: module.running_mean is not None)
FORMS: dict[type[nn.Module], Form] = {
    nn.Linear: Form(_linear_input, _linear_output),
    nn.Conv2d: Form(_patches, _convolution_output, lambda module, given: given.ndim == 4),
    nn.BatchNorm1d: _BATCH_NORM,
    nn.BatchNorm2d: _BATCH_NORM,
    nn.LayerNorm: Form(_layer_normalised, _per_entry),
    nn.GroupNorm: Form(_group_normalised, _per_channel),
}
"""Layer type → its form. Subclasses may compute something else and are not meant."""


def closed_form_layers(network: nn.Module, inputs: Tensor) -> list[str]:
    """Names of the layers whose per-sample gradient is the closed form's, in the order of execution.

    A layer qualifies when its type is one of :data:`FORMS`, it is called once, on all the samples, shares no parameter
    with another module, and on ``inputs`` (a few samples) with random cotangents two things hold: a sample's logits
    depend on the layer through that sample's own row, and the closed form's summed gradient is that of automatic
    differentiation. These catch whatever hooks cannot see, such as a weight that is also used outside its layer.

    Args:
        network: in evaluation mode.
        inputs: ``(N, ...)``.
    """
    owners: dict[int, int] = {}
    for _, parameter in network.named_parameters(remove_duplicate=False):
        owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    with torch.enable_grad():
        logits, calls = watch(network, inputs)
    names = [call.name for call in calls]
    candidates = [
        call
        for call in calls
        if names.count(call.name) == 1
        and _has_form(call, len(inputs))
        and all(owners[id(parameter)] == 1 for parameter in call.module.parameters())
    ]
    if not candidates:
        return []
    cotangent = torch.empty_like(logits).normal_(generator=torch.Generator(logits.device).manual_seed(0))
    pulled = _pulled_back_by_sample(logits, [call.output for call in candidates], cotangent)
    expected = _summed_gradient(network, inputs, cotangent)
    return [
        call.name
        for call, gradient in zip(candidates, pulled, strict=True)
        if gradient is not None and _agrees(call, gradient, expected, network)
    ]


def _has_form(call: Call, samples: int) -> bool:
    form = FORMS.get(type(call.module))
    return (
        form is not None
        and call.input is not None
        and call.input.ndim >= 2
        and len(call.input) == len(call.output) == samples
        and {name for name, _ in call.module.named_parameters()} <= {"weight", "bias"}
        and isinstance(call.module.weight, nn.Parameter)
        and form.fits(call.module, call.input)
    )


def _pulled_back_by_sample(logits: Tensor, outputs: list[Tensor], cotangent: Tensor) -> list[Tensor | None]:
    """The gradients at outputs ``(N, ...)``; ``None`` for one where a sample's cotangent reaches another's row."""
    gradients: list[Tensor | None] = [torch.zeros_like(output) for output in outputs]
    for sample in range(len(logits)):
        alone = torch.zeros_like(cotangent)
        alone[sample] = cotangent[sample]
        pulled = torch.autograd.grad(logits, outputs, alone, retain_graph=True, allow_unused=True)
        for index, gradient in enumerate(pulled):
            if gradient is None or gradient[:sample].any() or gradient[sample + 1 :].any():
                gradients[index] = None
            elif gradients[index] is not None:
                gradients[index] += gradient
    return gradients


def _summed_gradient(network: nn.Module, inputs: Tensor, cotangent: Tensor) -> dict[str, Tensor]:
    """The gradient of Σ cotangent · logits by plain automatic differentiation."""
    leaves = {name: parameter.detach().requires_grad_() for name, parameter in network.named_parameters()}
    with torch.enable_grad():
        logits = functional_call(network, leaves, (inputs,))
        gradients = torch.autograd.grad(logits, list(leaves.values()), cotangent, materialize_grads=True)
    return dict(zip(leaves, gradients, strict=True))


def _agrees(call: Call, gradient: Tensor, expected: dict[str, Tensor], network: nn.Module) -> bool:
    """Whether the closed form gives the expected gradient; a structural error is far above rounding."""
    closed = {
        "weight": sum(part.sum(0) for part in sample_gradients(call, gradient)),
        "bias": FORMS[type(call.module)].output_factor(call.module, gradient).sum((0, 3)),
    }
    for name in parameter_names(call.name, network):
        truth = expected[name]
        error = (closed[name.rpartition(".")[2]].view_as(truth) - truth).abs().max()
        if not error <= 1e-3 * truth.abs().max():
            return False
    return True


def parameter_names(layer: str, network: nn.Module) -> list[str]:
    """The names in ``network`` of the parameters that ``layer`` itself owns."""
    prefix = f"{layer}." if layer else ""
    return [f"{prefix}{name}" for name, _ in network.get_submodule(layer).named_parameters(recurse=False)]


def refuse_other_parameters(estimator: str, network: nn.Module, layers: list[str]) -> None:
    """Raise an error that names a parameter outside ``layers``, which the estimator so called does not define."""
    covered = {name for layer in layers for name in parameter_names(layer, network)}
    for name, _ in network.named_parameters():
        if name not in covered:
            owner = type(network.get_submodule(name.rpartition(".")[0])).__name__
            raise UserError(
                f"{estimator} is defined for layers of the types {', '.join(form.__name__ for form in FORMS)}, each "
                "called exactly once on the way to the logits and sharing no parameter; this does not hold for "
                f"'{name}' of a {owner}. Leave {estimator} out of 'estimators' for this network."
            )


def single_calls(layers: list[str], calls: list[Call]) -> list[Call]:
    """The one call of each of ``layers``.

    Raises:
        UserError: a layer that was called once on the first samples is called otherwise on these.
    """
    found = [call for call in calls if call.name in layers]
    if sorted(call.name for call in found) != sorted(layers):
        raise UserError(
            f"the layers {', '.join(layers)} were each called once on the first samples but not on later ones; the "
            "network's forward must call the same layers whatever the data"
        )
    return found


def _parts(call: Call, with_gradients: bool) -> Iterator[slice]:
    """The call's samples, a few at a time: as many as :data:`PRODUCT_BYTES` holds, at least one.

    What counts is the input factor and, when the per-sample gradients are formed, these and the output factor.
    """
    output = FORMS[type(call.module)].output_factor(call.module, call.output.detach())
    samples, _, outputs, positions = output.shape
    weights = call.module.weight.numel()
    elements = weights // outputs * positions
    if with_gradients:
        elements += weights + output[0].numel()
    step = max(1, PRODUCT_BYTES * bound_factor(output.device) // (elements * output.element_size()))
    return (slice(start, start + step) for start in range(0, samples, step))


def sample_gradients(call: Call, gradient: Tensor) -> Iterator[Tensor]:
    """The per-sample gradients ``(n, G, O, I)`` of the call's weight, for a few samples n at a time.

    Each is a view of one buffer: used up, or overwritten, before the next is asked for.
    """
    form = FORMS[type(call.module)]
    outputs = form.output_factor(call.module, gradient)
    buffer = None
    for part in _parts(call, with_gradients=True):
        left = outputs[part]
        right = form.input_factor(call.module, call.input.detach()[part])
        if buffer is None:
            buffer = left.new_empty(len(left), *left.shape[1:3], right.shape[2])
        product = buffer[: len(left)]
        torch.bmm(left.flatten(0, 1), right.flatten(0, 1).transpose(1, 2), out=product.flatten(0, 1))
        yield product


def input_factors(call: Call) -> Iterator[Tensor]:
    """What the call's weight multiplies, ``(n, G, I, L)``, for a few samples n at a time."""
    form = FORMS[type(call.module)]
    return (form.input_factor(call.module, call.input.detach()[part]) for part in _parts(call, with_gradients=False))


@dataclass(frozen=True)
class Term:
    """Σ_n weight_n |s_n|^power of a pull-back s, one term of the sum called ``key``; weights ``(N,)``."""

    key: str
    power: int
    weight: Tensor


@dataclass(frozen=True)
class PullBack:
    """A cotangent at the logits ``(N, K)`` and the terms that are formed of its pull-back."""

    cotangent: Tensor
    terms: list[Term]


def power_sums(calls: list[Call], logits: Tensor, pull_backs: list[PullBack]) -> Iterator[tuple[str, str, Tensor]]:
    """The terms' sums over samples for the parameters of the called layers, in parts.

    One backward pass per pull-back, to the layers' outputs.

    Args:
        calls: of layers of closed form.
        logits: ``(N, K)``, with the graph to the calls' outputs.
        pull_backs: what to sum.

    Yields:
        ``(key, parameter's name, a part of its sum)``, which has the parameter's number of elements.
    """
    if not calls:
        return
    # layer's name and power → key → output factor
    merged: dict[tuple[str, int], dict[str, Tensor]] = {}
    outputs = [call.output for call in calls]
    for index, pull_back in enumerate(pull_backs):
        pulled = torch.autograd.grad(logits, outputs, pull_back.cotangent, retain_graph=index + 1 < len(pull_backs))
        for call, gradient in zip(calls, pulled, strict=True):
            factor = FORMS[type(call.module)].output_factor(call.module, gradient)
            if factor.shape[3] > 1:
                yield from _sums_over_positions(call, gradient, factor, pull_back.terms)
                continue
            # at one position |s|^q is itself a product, and the factors of all cotangents are summed before it
            for term, powered in _powers(factor[..., 0], pull_back.terms):
                sums = merged.setdefault((call.name, term.power), {})
                weight = term.weight[:, None, None]
                if term.key in sums:
                    sums[term.key].addcmul_(powered, weight)
                else:
                    sums[term.key] = powered * weight
    for call in calls:
        for power in {power for name, power in merged if name == call.name}:
            yield from _products(call, power, merged.pop((call.name, power)))


def _products(call: Call, power: int, factors: dict[str, Tensor]) -> Iterator[tuple[str, str, Tensor]]:
    """Sums over samples of output factors ``(N, G, O)``, by key, times the input factor to the power."""
    given = FORMS[type(call.module)].input_factor(call.module, call.input.detach())[..., 0]
    (powered,) = absolute_powers(given, [power])
    for key, factor in factors.items():
        yield key, _full_name(call, "weight"), torch.bmm(factor.permute(1, 2, 0), powered.transpose(0, 1))
        if call.module.bias is not None:
            yield key, _full_name(call, "bias"), factor.sum(0)


def _sums_over_positions(
    call: Call, gradient: Tensor, factor: Tensor, terms: list[Term]
) -> Iterator[tuple[str, str, Tensor]]:
    sums: dict[str, Tensor] = {}
    done = 0
    for gradients in sample_gradients(call, gradient):
        part = slice(done, done + len(gradients))
        for term, powered in _powers(gradients.flatten(1), terms, in_place=True):
            if term.key not in sums:
                sums[term.key] = powered.new_zeros(powered.shape[1])
            sums[term.key].addmv_(powered.T, term.weight[part])
        done += len(gradients)
    for key, total in sums.items():
        yield key, _full_name(call, "weight"), total
    if call.module.bias is not None:
        for term, powered in _powers(factor.sum(3).flatten(1), terms, in_place=True):
            yield term.key, _full_name(call, "bias"), term.weight @ powered


def _powers(values: Tensor, terms: list[Term], in_place: bool = False) -> Iterator[tuple[Term, Tensor]]:
    """Every term with |values|^power; a tensor is overwritten by the next where that is in place."""
    powers = sorted({term.power for term in terms})
    for power, powered in zip(powers, absolute_powers(values, powers, in_place), strict=True):
        yield from ((term, powered) for term in terms if term.power == power)


def absolute_powers(values: Tensor, powers: Sequence[int], in_place: bool = False) -> Iterator[Tensor]:
    """|values|^power for each of the ascending powers, in as few passes as it takes.

    With ``in_place`` the values' memory is used: each tensor is overwritten by the next.
    """
    out = values if in_place else torch.empty_like(values)
    reached = 0
    for power in powers:
        if reached == 0:
            if power % 2:
                torch.abs(values, out=out)
            if power > 1:
                torch.pow(out if power % 2 else values, power, out=out)
        elif power == 2 * reached:
            out.square_()
        else:
            out.pow_(power / reached)
        reached = power
        yield out


def _full_name(call: Call, parameter: str) -> str:
    return f"{call.name}.{parameter}" if call.name else parameter
