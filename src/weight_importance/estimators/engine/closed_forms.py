"""Detection of layers with a closed form, by comparison with plain automatic differentiation."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from weight_importance.estimators.engine.alone import Gradients
from weight_importance.estimators.engine.forms import FORMS
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import Call
from weight_importance.estimators.engine.products import (
    full_name,
    in_weight_order,
    input_factor,
    output_factor,
    rows_used,
)
from weight_importance.runtime.errors import UserError

FLOOR = 8
"""Multiple of the largest gradient's rounding error below which a gradient is noise (a key's bias in attention)."""


def candidates(forward: Forward, calls: list[Call], samples: int) -> list[Call]:
    """Select the calls of layers that may have a closed form.

    Such a layer's type is one of :data:`FORMS` or an embedding; it is called once, on all samples, and shares no
    parameter with another module.

    Args:
        forward: the network.
        calls: calls of a watched pass.
        samples: number of samples in the pass.
    """
    owners: dict[int, int] = {}
    for _, parameter in forward.network.named_parameters(remove_duplicate=False):
        owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    names = [call.name for call in calls]
    return [
        call
        for call in calls
        if names.count(call.name) == 1
        and fits(call, samples)
        and all(owners[id(parameter)] == 1 for parameter in call.module.parameters())
    ]


def fits(call: Call, samples: int) -> bool:
    """Whether a call fits a closed form, with one row per sample."""
    if call.input is None or call.input.ndim == 0 or not len(call.input) == len(call.output) == samples:
        return False
    module = call.module
    if type(module) is nn.Embedding:
        return not module.scale_grad_by_freq
    form = FORMS.get(type(module))
    return (
        form is not None
        and call.input.ndim >= 2
        and {name for name, _ in module.named_parameters()} <= {"weight", "bias"}
        and isinstance(module.weight, nn.Parameter)
        and form.fits(module, call.input)
    )


def disagreeing(
    calls: Iterable[Call], pulled: Iterable[Tensor | None], row: int, truth: "Truth", tolerance: float
) -> set[str]:
    """Return the layers whose closed form does not reproduce a sample's gradients.

    Args:
        calls: calls of candidates on a few samples.
        pulled: gradients at the candidates' outputs.
        row: index of the sample.
        truth: reference gradients of the sample.
        tolerance: relative error; structural errors are far above rounding.
    """
    return {
        call.name
        for call, gradient in zip(calls, pulled, strict=True)
        for name, value in _gradients(call, gradient, row).items()
        if not truth.agrees(full_name(call, name), value, tolerance)
    }


class Truth:
    """Reference gradients of a sample by plain automatic differentiation.

    Args:
        gradients: parameter name → gradient; missing gradients are zero.
    """

    def __init__(self, gradients: Gradients) -> None:
        self._gradients = gradients
        self._largest = {name: _largest(gradient) for name, gradient in gradients.items()}
        kind = next(iter(gradients.values())).dtype if gradients else torch.float32
        self._floor = FLOOR * torch.finfo(kind).eps * max(self._largest.values(), default=0.0)

    def agrees(self, name: str, value: Tensor, tolerance: float) -> bool:
        """Whether ``value`` (overwritten) equals the gradient; non-finite values count as equal."""
        truth = self._gradients.get(name)
        if truth is None:
            return not value.any()
        return _largest(value.view_as(truth).sub_(truth)) <= tolerance * self._largest[name] + self._floor


def _largest(values: Tensor) -> float:
    """Return the largest finite absolute value; zero if there is none."""
    if values.numel() == 0:
        return 0.0
    low, high = values.aminmax()
    largest = max(-low.item(), high.item())
    return largest if math.isfinite(largest) else values.nan_to_num(0, 0, 0).abs().max().item()


def _gradients(call: Call, gradient: Tensor | None, row: int) -> dict[str, Tensor]:
    """Return one sample's gradients of weight and bias in closed form."""
    owned = dict(call.module.named_parameters(recurse=False))
    if gradient is None:
        return {name: torch.zeros_like(parameter) for name, parameter in owned.items()}
    if isinstance(call.module, nn.Embedding):
        samples, numbers, rows = rows_used(call, gradient)
        of_row = samples == row
        weight = rows.new_zeros(call.module.weight.shape).index_add_(0, numbers[of_row], rows[of_row])
        return {"weight": weight}
    left, right = output_factor(call, gradient)[row], input_factor(call, slice(row, row + 1))[0]
    # with one position, the product by broadcasting is several times faster than a matrix product
    weight = left * right.mT if left.shape[2] == 1 else left @ right.mT
    gradients = {"weight": in_weight_order(call, weight), "bias": left.sum(2)}
    return {name: gradients[name].reshape(parameter.shape) for name, parameter in owned.items()}


def parameter_names(layer: str, network: nn.Module) -> list[str]:
    """List the parameters that ``layer`` owns directly, by their names in ``network``."""
    prefix = f"{layer}." if layer else ""
    return [f"{prefix}{name}" for name, _ in network.get_submodule(layer).named_parameters(recurse=False)]


def refuse_other_parameters(estimators: Sequence[str], forward: Forward, layers: list[str]) -> None:
    """Raise UserError if a parameter belongs to none of ``layers``: the estimators are not defined for it."""
    covered = {name for layer in layers for name in parameter_names(layer, forward.network)}
    for name in forward.parameters:
        if name not in covered:
            owner = type(forward.network.get_submodule(name.rpartition(".")[0])).__name__
            names, types = ", ".join(estimators), ", ".join(form.__name__ for form in FORMS)
            raise UserError(
                f"{names}: every parameter must belong to a layer of one of the types {types}, which is called exactly "
                f"once on the way to the logits and shares no parameter. This does not hold for '{name}' (module type "
                f"{owner}). Leave {names} out of 'estimators' for this network."
            )


def single_calls(layers: list[str], calls: list[Call], samples: int) -> list[Call] | None:
    """Return the single call of each layer; ``None`` if these samples call a layer differently."""
    matches = [call for call in calls if call.name in layers]
    if sorted(call.name for call in matches) != sorted(layers) or not all(fits(call, samples) for call in matches):
        return None
    return matches
