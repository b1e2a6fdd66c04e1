"""Sums over samples of powers of the per-sample gradient, for layers and uses with a closed form, in one pass.

Knows no estimators, only weights, powers, and cotangents at the logits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weight_importance.estimators.engine.forms import FORMS
from weight_importance.estimators.engine.layers import Call, Place, bound_factor, pulled_back
from weight_importance.estimators.engine.samples import HALVES
from weight_importance.estimators.engine.uses import EntrywiseUse, Use

PRODUCT_BYTES = 8 * 2**20
"""Memory bound on the simultaneous per-sample gradients and factors of one layer or use; at least one sample's."""

LARGE = 2**15
"""Number of weights from which powers of per-sample gradients are summed sample by sample on a CPU."""


@dataclass(frozen=True)
class Term:
    """Σ_n weight_n |s_n|^power of a pull-back s, a term of the sum ``key``; weights ``(N,)``."""

    key: str
    power: int
    weight: Tensor


@dataclass(frozen=True)
class PullBack:
    """A cotangent at the logits ``(N, ..., K)`` and the terms computed from its pull-back."""

    cotangent: Tensor
    terms: list[Term]


def output_factor(call: Call, values: Tensor) -> Tensor:
    """Return a call's output, or the gradient there, as ``(N, G, O, L)``, at least in single precision."""
    return FORMS[type(call.module)].output_factor(call.module, _whole(values))


def input_factor(call: Call, part: slice = slice(None)) -> Tensor:
    """Return the input factor ``(n, G, I, L)`` for some samples, at least in single precision."""
    return FORMS[type(call.module)].input_factor(call.module, _whole(call.input.detach()[part]))


def in_weight_order(call: Call, values: Tensor) -> Tensor:
    """Return values for outputs and inputs ``(G, O, I)`` in the order of the call's weight; O may be 1."""
    return FORMS[type(call.module)].weight(call.module, values)


def _whole(values: Tensor) -> Tensor:
    return values.float() if values.dtype in HALVES else values


def _parts(samples: int, elements: int, tensor: Tensor) -> Iterator[slice]:
    """Split samples into parts that fit into :data:`PRODUCT_BYTES`, at least one sample each.

    Args:
        samples: number of samples.
        elements: number of elements held per sample, except the copy of a convolution's input whose memory format
            differs from the one that patches need.
        tensor: tensor with the data type and device of these elements.
    """
    step = max(1, PRODUCT_BYTES * bound_factor(tensor.device) // (elements * tensor.element_size()))
    return (slice(start, start + step) for start in range(0, samples, step))


def sample_gradients(call: Call, gradient: Tensor) -> Iterator[Tensor]:
    """Yield the weight's per-sample gradients ``(n, G, O, I)``, for a few samples n at a time.

    All are views of one buffer: the next one overwrites it.
    """
    outputs = output_factor(call, gradient)
    return sample_products(outputs, lambda part: input_factor(call, part), call.module.weight.numel())


def sample_products(left: Tensor, right: Callable[[slice], Tensor], weights: int) -> Iterator[Tensor]:
    """Yield each sample's product of two factors, summed over positions, ``(n, G, O, I)``, for n samples at a time.

    All are views of one buffer: the next one overwrites it.

    Args:
        left: left factor of all samples, ``(N, G, O, L)``.
        right: function of a slice of n samples that returns their right factor, ``(n, G, I, L)``.
        weights: number of elements of one sample's product, G · O · I.
    """
    samples, _, outputs, positions = left.shape
    buffer = None
    for part in _parts(samples, weights // outputs * positions + weights + left[0].numel(), left):
        one, other = left[part], right(part)
        if buffer is None:
            buffer = one.new_empty(len(one), *one.shape[1:3], other.shape[2])
        product = buffer[: len(one)]
        if one.shape[2] == other.shape[2] == 1:  # many groups of one weight, as in a normalisation's scale
            torch.linalg.vecdot(one, other, out=product[..., 0])
        else:
            if one.shape[2] == 1:  # of a depthwise convolution: with channels last, bmm would copy row by row
                one = one.contiguous()
            torch.bmm(one.flatten(0, 1), other.flatten(0, 1).transpose(1, 2), out=product.flatten(0, 1))
        yield product


def summed_inputs(call: Call, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Sum a function of each weight's inputs over samples and positions, in the weight's order and in float64.

    The sums of one output of every group: ``(G, ...)``, as the inputs are the same for all outputs of a group.
    """
    output = output_factor(call, call.output.detach())
    samples, _, outputs, positions = output.shape
    parts = _parts(samples, call.module.weight.numel() // outputs * positions, output)
    sums = (function(input_factor(call, part)).sum((0, 3), dtype=torch.float64) for part in parts)
    return in_weight_order(call, sum(sums, torch.zeros(()))[:, None])


def power_sums(
    calls: list[Call], uses: list[Use], logits: Tensor, pull_backs: list[PullBack], keep: bool
) -> Iterator[tuple[str, str, Tensor]]:
    """Sum the terms over samples for the parameters of the called layers and of the uses.

    Each pull-back takes one backward pass, to the outputs of the layers and of the uses.

    Args:
        calls: calls of layers with a closed form.
        uses: uses of other parameters.
        logits: ``(N, ..., K)``, with the graph to the calls' outputs.
        pull_backs: cotangents and terms to sum.
        keep: keep the graph for later passes.

    Yields:
        ``(key, parameter name, partial sum)``, with as many elements as the parameter.
    """
    if not calls and not uses:
        return
    # layer name and power → key → output factor
    merged: dict[tuple[str, int], dict[str, Tensor]] = {}
    places: list[Place] = [*(call.output for call in calls), *(use.edge for use in uses)]
    for index, pull_back in enumerate(pull_backs):
        keep_graph = keep or index + 1 < len(pull_backs)
        pulled = pulled_back(logits, places, pull_back.cotangent, keep_graph)
        for use, gradient in zip(uses, pulled[len(calls) :], strict=True):
            if gradient is not None:
                yield from _sums_of_use(use, gradient, pull_back.terms)
        for call, gradient in zip(calls, pulled[: len(calls)], strict=True):
            if gradient is None:
                continue
            if isinstance(call.module, nn.Embedding):
                yield from _sums_over_rows(call, gradient, pull_back.terms)
                continue
            factor = output_factor(call, gradient)
            if factor.shape[3] > 1:
                yield from _sums_over_positions(call, gradient, factor, pull_back.terms)
                continue
            # with one position, |s|^q is a product: the factors of all cotangents are summed first
            for term, powered in _powers(factor[..., 0], pull_back.terms):
                sums = merged.setdefault((call.name, term.power), {})
                weight = term.weight.to(powered.dtype)[:, None, None]
                if term.key in sums:
                    sums[term.key].addcmul_(powered, weight)
                else:
                    sums[term.key] = powered * weight
    for call in calls:
        for power in {power for name, power in merged if name == call.name}:
            yield from _products(call, power, merged.pop((call.name, power)))


def _products(call: Call, power: int, factors: dict[str, Tensor]) -> Iterator[tuple[str, str, Tensor]]:
    """Sum over samples the output factors ``(N, G, O)``, by key, times the input factor to the power."""
    (powered,) = absolute_powers(input_factor(call)[..., 0], [power])
    for key, factor in factors.items():
        product = _summed_products(factor, powered.to(factor.dtype))
        yield key, full_name(call, "weight"), in_weight_order(call, product)
        if call.module.bias is not None:
            yield key, full_name(call, "bias"), factor.sum(0)


def _summed_products(left: Tensor, right: Tensor) -> Tensor:
    """Sum the products ``(N, G, O)`` × ``(N, G, I)`` over samples: ``(G, O, I)``."""
    if left.shape[1] == 1:  # bmm would copy its transposed factor
        return (left[:, 0].T @ right[:, 0])[None]
    return torch.bmm(left.permute(1, 2, 0), right.transpose(0, 1))


def _sums_over_positions(
    call: Call, gradient: Tensor, factor: Tensor, terms: list[Term]
) -> Iterator[tuple[str, str, Tensor]]:
    for key, total in _sums_in_parts(sample_gradients(call, gradient), terms):
        yield key, full_name(call, "weight"), in_weight_order(call, total)
    if call.module.bias is not None:
        for term, powered in _powers(factor.sum(3).flatten(1), terms, in_place=True):
            yield term.key, full_name(call, "bias"), term.weight.to(powered.dtype) @ powered


def _sums_of_use(use: Use, gradient: Tensor, terms: list[Term]) -> Iterator[tuple[str, str, Tensor]]:
    gradient = _whole(gradient)
    parts: Iterator[Tensor]
    if isinstance(use, EntrywiseUse):
        places = _parts(use.samples, use.elements(gradient), gradient)
        parts = (use.gradients(gradient, part) for part in places)
    else:
        left, right = use.factors(gradient)
        if left.shape[3] == 1:
            for term, powered in _powers(left[..., 0], terms):
                (other,) = absolute_powers(right[..., 0], [term.power])
                weighted = powered * term.weight.to(powered.dtype)[:, None, None]
                yield term.key, use.name, _summed_products(weighted, other)
            return
        parts = sample_products(left, right.__getitem__, left.shape[2] * right.shape[2])
    for key, total in _sums_in_parts(parts, terms):
        yield key, use.name, total


def _sums_in_parts(parts: Iterator[Tensor], terms: list[Term]) -> Iterator[tuple[str, Tensor]]:
    """Yield key and sum over samples of each term; overwrites the per-sample gradients ``(n, ...)`` of the parts."""
    sums: dict[str, Tensor] = {}
    done = 0
    for gradients in parts:
        _add_powers(sums, gradients.flatten(1), terms, slice(done, done + len(gradients)))
        done += len(gradients)
    return ((key, total.view_as(gradients[0])) for key, total in sums.items())


def _add_powers(sums: dict[str, Tensor], gradients: Tensor, terms: list[Term], part: slice) -> None:
    """Add the terms for per-sample gradients ``(n, W)``, which are overwritten, to sums ``(W,)`` by key."""
    for term in terms:
        if term.key not in sums:
            sums[term.key] = gradients.new_zeros(gradients.shape[1])
    if gradients.shape[1] < LARGE or gradients.device.type == "cuda":
        for term, powered in _powers(gradients, terms, in_place=True):
            sums[term.key].addmv_(powered.T, term.weight[part].to(powered.dtype))
        return
    # one sample at a time, whose gradient stays in the processor's cache
    weights = {term.key: term.weight[part].tolist() for term in terms}
    for place, row in enumerate(gradients):
        if all(term.power == 2 for term in terms):
            for term in terms:
                sums[term.key].addcmul_(row, row, value=weights[term.key][place])
        else:
            for term, powered in _powers(row, terms, in_place=True):
                sums[term.key].add_(powered, alpha=weights[term.key][place])


def rows_used(call: Call, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the non-zero rows of an embedding's per-sample gradients.

    Args:
        call: call of an embedding.
        gradient: gradient at its output.

    Returns:
        per row: sample index, row index in the weight, and gradient ``(U, D)``.
    """
    module, numbers = call.module, call.input.reshape(len(call.input), -1)
    samples = torch.arange(len(numbers), device=numbers.device)
    keys, places = torch.unique(samples[:, None] * module.num_embeddings + numbers, return_inverse=True)
    values = _whole(gradient).reshape(-1, module.embedding_dim)
    rows = values.new_zeros(len(keys), module.embedding_dim).index_add_(0, places.flatten(), values)
    number = keys % module.num_embeddings
    if module.padding_idx is not None:
        rows[number == module.padding_idx] = 0
    return keys // module.num_embeddings, number, rows


def _sums_over_rows(call: Call, gradient: Tensor, terms: list[Term]) -> Iterator[tuple[str, str, Tensor]]:
    sample, number, rows = rows_used(call, gradient)
    for term, powered in _powers(rows, terms, in_place=True):
        weighted = powered * term.weight.to(powered.dtype)[sample][:, None]
        total = powered.new_zeros(call.module.weight.shape)
        yield term.key, full_name(call, "weight"), total.index_add_(0, number, weighted)


def _powers(values: Tensor, terms: list[Term], in_place: bool = False) -> Iterator[tuple[Term, Tensor]]:
    """Yield every term with |values|^power; in place, each tensor overwrites the previous one."""
    powers = sorted({term.power for term in terms})
    for power, powered in zip(powers, absolute_powers(values, powers, in_place), strict=True):
        yield from ((term, powered) for term in terms if term.power == power)


def absolute_powers(values: Tensor, powers: Sequence[int], in_place: bool = False) -> Iterator[Tensor]:
    """Yield |values|^power for each of the ascending powers, each computed from the previous one.

    Each tensor overwrites the previous one; ``in_place`` also overwrites the values.
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


def full_name(call: Call, parameter: str) -> str:
    """Return the network's name for a parameter of the called layer."""
    return f"{call.name}.{parameter}" if call.name else parameter
