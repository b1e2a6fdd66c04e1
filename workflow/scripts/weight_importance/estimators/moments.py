"""The one engine: moments of the per-sample gradient of a scalar of the network's output.

For cotangents c at the logits of sample n with weights w, the pull-back is s_nc = (∂z_n/∂θ)ᵀ c, and the moment of
power q is the mean over samples of Σ_c w_nc |s_nc|^q, per parameter. For a linear layer with input a and
back-propagated gradient g the per-sample gradient is the outer product g aᵀ, hence
Σ_n w |g aᵀ|^q = (w|g|^q)ᵀ(|a|^q): one matrix product, exact, and nothing of size samples × parameters in memory. Every
other parameter takes ``torch.func``.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, vjp, vmap

from weight_importance.errors import UserError
from weight_importance.estimators.kinds import Cotangents
from weight_importance.estimators.layers import Call, evaluation_mode, watch

CHUNK = 1000
"""Samples per forward pass."""

FALLBACK_BYTES = 64 * 2**20
"""Memory bound on the per-sample gradients that the fallback holds at once."""

PROBE = 8
"""Samples on which a closed form is checked against automatic differentiation before it is used."""


def moments(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    cotangents: Cotangents,
    power: int,
    generator: Generator | None = None,
    chunk: int | None = None,
) -> dict[str, Tensor]:
    """Mean over samples of Σ_c w_c |s_c|^power for every parameter.

    Args:
        network: any module from ``(N, ...)`` to logits ``(N, K)``; evaluated in evaluation mode.
        inputs: ``(N, ...)``.
        labels: ``(N,)`` integers.
        cotangents: see :data:`weight_importance.estimators.kinds.Cotangents`.
        power: the exponent q.
        generator: randomness for cotangents that sample labels.
        chunk: samples per forward pass; memory grows with it, results change by rounding only.

    Returns:
        parameter name → tensor of the parameter's shape and dtype.

    Raises:
        UserError: there is no sample, or a parameter's per-sample gradients cannot be formed.
    """
    if len(inputs) == 0:
        raise UserError("an importance needs at least one sample; the inputs are empty")
    chunk = chunk or CHUNK
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    totals = {name: torch.zeros_like(parameter, dtype=torch.float64) for name, parameter in parameters.items()}
    with evaluation_mode(network):
        linear = closed_form_layers(network, inputs[:PROBE])
        covered = {name for layer in linear for name in _parameter_names(layer, network)}
        others = {name: parameter for name, parameter in parameters.items() if name not in covered}
        for start in range(0, len(inputs), chunk):
            samples = inputs[start : start + chunk]
            with torch.enable_grad():
                logits, calls = watch(network, samples)
            at_logits, weights = cotangents(logits.detach().double(), labels[start : start + chunk], generator)
            at_logits, weights = at_logits.to(logits.dtype), weights.to(logits.dtype)
            for name, total in _linear_sums(linear, calls, logits, at_logits, weights, power):
                totals[name] += total
            if others:
                for name, total in _fallback_sums(network, others, samples, at_logits, weights, power).items():
                    totals[name] += total
    return {name: (total / len(inputs)).to(parameters[name].dtype) for name, total in totals.items()}


def closed_form_layers(network: nn.Module, inputs: Tensor) -> list[str]:
    """Names of the linear layers whose per-sample gradient is one outer product.

    A layer qualifies when it is called once, on a matrix ``(N, in)``, shares no parameter with another module, and its
    closed form reproduces automatic differentiation on ``inputs`` for random cotangents. The last condition catches
    whatever hooks cannot see, such as a weight that is also used outside its layer.
    """
    owners: dict[int, int] = {}
    for _, parameter in network.named_parameters(remove_duplicate=False):
        owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    with torch.enable_grad():
        logits, calls = watch(network, inputs)
    times: dict[str, int] = {}
    for call in calls:
        times[call.name] = times.get(call.name, 0) + 1
    candidates = [
        call
        for call in calls
        if type(call.module) is nn.Linear
        and times[call.name] == 1
        and call.input is not None
        and call.input.ndim == 2
        and len(call.input) == len(inputs)
        and all(owners[id(parameter)] == 1 for parameter in call.module.parameters())
    ]
    if not candidates:
        return []
    cotangent = torch.empty_like(logits).normal_(generator=torch.Generator(logits.device).manual_seed(0))
    expected = _summed_gradient(network, inputs, cotangent)
    pulled = torch.autograd.grad(logits, [call.output for call in candidates], cotangent, allow_unused=True)
    return [
        call.name
        for call, gradient in zip(candidates, pulled, strict=True)
        if gradient is not None and _agrees(call, gradient, expected, network)
    ]


def _summed_gradient(network: nn.Module, inputs: Tensor, cotangent: Tensor) -> dict[str, Tensor]:
    """The gradient of Σ cotangent · logits by plain automatic differentiation."""
    leaves = {name: parameter.detach().requires_grad_() for name, parameter in network.named_parameters()}
    with torch.enable_grad():
        logits = functional_call(network, leaves, (inputs,))
        gradients = torch.autograd.grad(logits, list(leaves.values()), cotangent, materialize_grads=True)
    return dict(zip(leaves, gradients, strict=True))


def _agrees(call: Call, gradient: Tensor, expected: dict[str, Tensor], network: nn.Module) -> bool:
    """Whether the closed form gives the expected gradient; a structural error is far above rounding."""
    closed = {"weight": gradient.T @ call.input.detach(), "bias": gradient.sum(0)}
    for name in _parameter_names(call.name, network):
        truth = expected[name]
        error = (closed[name.rpartition(".")[2]] - truth).abs().max()
        if not error <= 1e-3 * truth.abs().max():
            return False
    return True


def _parameter_names(layer: str, network: nn.Module) -> list[str]:
    prefix = f"{layer}." if layer else ""
    return [f"{prefix}{name}" for name, _ in network.get_submodule(layer).named_parameters(recurse=False)]


def _linear_sums(
    layers: list[str], calls: list[Call], logits: Tensor, at_logits: Tensor, weights: Tensor, power: int
) -> Iterator[tuple[str, Tensor]]:
    """Sums over the samples for the parameters of linear layers, by the closed form."""
    watched = {call.name: call for call in calls if call.name in layers}
    if not watched:
        return
    outputs = [watched[name].output for name in layers]
    factors = [torch.zeros_like(output) for output in outputs]
    # the weighted power is summed over the cotangents first: then one product serves them all
    for index, (cotangent, weight) in enumerate(zip(at_logits, weights, strict=True)):
        pulled = torch.autograd.grad(logits, outputs, cotangent, retain_graph=index + 1 < len(at_logits))
        for factor, gradient in zip(factors, pulled, strict=True):
            factor.addcmul_(gradient.abs().pow_(power), weight[:, None])
    for name, factor in zip(layers, factors, strict=True):
        prefix = f"{name}." if name else ""
        call = watched[name]
        yield f"{prefix}weight", factor.T @ call.input.detach().abs().pow(power)
        if call.module.bias is not None:
            yield f"{prefix}bias", factor.sum(0)


def _fallback_sums(
    network: nn.Module, parameters: dict[str, Tensor], inputs: Tensor, at_logits: Tensor, weights: Tensor, power: int
) -> dict[str, Tensor]:
    """Sums over the samples for any parameters of any module, by ``vmap`` of the vector-Jacobian product."""
    fixed = {name: parameter.detach() for name, parameter in network.named_parameters() if name not in parameters}

    def one(sample: Tensor, cotangents: Tensor, weights: Tensor) -> dict[str, Tensor]:
        def logits(parameters: dict[str, Tensor]) -> Tensor:
            return functional_call(network, fixed | parameters, (sample[None],))[0]

        _, pull_back = vjp(logits, parameters)
        (gradients,) = vmap(pull_back)(cotangents)
        return {name: torch.tensordot(weights, s.abs().pow(power), 1) for name, s in gradients.items()}

    size = sum(parameter.numel() * parameter.element_size() for parameter in parameters.values())
    step = max(1, FALLBACK_BYTES // (size * len(at_logits)))
    totals = {name: torch.zeros_like(parameter, dtype=torch.float64) for name, parameter in parameters.items()}
    for start in range(0, len(inputs), step):
        part = slice(start, start + step)
        try:
            sums = vmap(one)(inputs[part], at_logits[:, part].transpose(0, 1), weights[:, part].T)
        except RuntimeError as error:
            raise UserError(
                f"cannot form per-sample gradients of {', '.join(parameters)} with torch.func: {error}. The network's "
                "forward must be traceable by torch.func.vmap (no data-dependent Python branches, no .item())."
            ) from error
        for name, values in sums.items():
            totals[name] += values.sum(0)
    return totals
