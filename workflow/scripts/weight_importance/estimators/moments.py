"""The one engine: moments of the per-sample gradient of a scalar of the network's output.

For cotangents c at the logits of sample n with weights w, the pull-back is s_nc = (∂z_n/∂θ)ᵀ c, and the moment of
power q is the mean over samples of Σ_c w_nc |s_nc|^q, per parameter. For a linear layer with input a and
back-propagated gradient g the per-sample gradient is the outer product g aᵀ, hence
Σ_n w |g aᵀ|^q = (w|g|^q)ᵀ(|a|^q): one matrix product, exact, and nothing of size samples × parameters in memory.
Layers that use a weight at several positions have their per-sample gradients formed for a few samples at a time (see
:mod:`weight_importance.estimators.closed_forms`). Every other parameter takes ``torch.func``.

Memory beyond the inputs and the network is bounded, whatever the number of samples, by ``PASS_BYTES`` (the forward
pass and the gradients at the layers) + ``PRODUCT_BYTES`` (per-sample gradients in closed form) + ``FALLBACK_BYTES``
(those of ``torch.func``), 136 MiB together, and a few numbers per parameter (float64 totals, a part of a sum, the
check's gradient). A single sample that exceeds a bound is computed alone; what the numerical libraries keep for
themselves comes on top.
"""

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, vjp, vmap

from weight_importance.errors import UserError
from weight_importance.estimators.closed_forms import closed_form_layers, parameter_names, power_sums, single_calls
from weight_importance.estimators.kinds import Cotangents
from weight_importance.estimators.layers import PROBE, evaluation_mode, recorded_bytes, samples_per_pass, watch

FALLBACK_BYTES = 64 * 2**20
"""Memory bound on the per-sample gradients, and passes, that the fallback holds at once; at least one sample's."""

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


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
        chunk: samples per forward pass, by default as many as ``PASS_BYTES`` holds and at most ``CHUNK``; memory grows
            with it, results change by rounding only.

    Returns:
        parameter name → tensor of the parameter's shape and dtype.

    Raises:
        UserError: there is no sample, samples influence each other, or a parameter's per-sample gradients cannot be
            formed.
    """
    if len(inputs) == 0:
        raise UserError("an importance needs at least one sample; the inputs are empty")
    _refuse_batch_statistics(network)
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    totals = {name: torch.zeros_like(parameter, dtype=torch.float64) for name, parameter in parameters.items()}
    with evaluation_mode(network):
        probe = inputs[:PROBE]
        size = recorded_bytes(network, probe) + _cotangent_bytes(network, probe, labels[:PROBE], cotangents, generator)
        chunk = chunk or samples_per_pass(size)
        layers = closed_form_layers(network, probe)
        covered = {name for layer in layers for name in parameter_names(layer, network)}
        others = {name: parameter for name, parameter in parameters.items() if name not in covered}
        for start in range(0, len(inputs), chunk):
            samples = inputs[start : start + chunk]
            with torch.enable_grad():
                logits, calls = watch(network, samples)
            at_logits, weights = cotangents(logits.detach().double(), labels[start : start + chunk], generator)
            at_logits, weights = at_logits.to(logits.dtype), weights.to(logits.dtype)
            for name, part in power_sums(single_calls(layers, calls), logits, at_logits, weights, power):
                totals[name] += part.view_as(totals[name])
            # the graph is used up: free it before the next is built
            del logits, calls
            if others:
                for name, part in _fallback_sums(network, others, samples, at_logits, weights, power, size).items():
                    totals[name] += part
    return {name: (total / len(inputs)).to(parameters[name].dtype) for name, total in totals.items()}


def _refuse_batch_statistics(network: nn.Module) -> None:
    """Batch statistics in evaluation mode would make one sample's output depend on the other samples of its batch."""
    for name, module in network.named_modules():
        if isinstance(module, BATCH_NORMS) and module.running_mean is None:
            raise UserError(
                f"'{name}' is a {type(module).__name__} without running statistics: a sample's gradient would depend "
                "on the other samples. Use track_running_stats=True, LayerNorm or GroupNorm."
            )


def _cotangent_bytes(
    network: nn.Module, inputs: Tensor, labels: Tensor, cotangents: Cotangents, generator: Generator | None
) -> int:
    """Bytes per sample of the cotangents, in float64 and in the network's precision, and of what computes them."""
    # a stand-in: measuring must not use up the caller's random numbers
    stand_in = None if generator is None else torch.Generator(generator.device).manual_seed(0)
    with torch.no_grad():
        at_logits, _ = cotangents(network(inputs).double(), labels, stand_in)
    return 3 * at_logits.nbytes // len(inputs)


def _fallback_sums(
    network: nn.Module,
    parameters: dict[str, Tensor],
    inputs: Tensor,
    at_logits: Tensor,
    weights: Tensor,
    power: int,
    recorded: int,
) -> dict[str, Tensor]:
    """Sums over the samples for any parameters of any module, by ``vmap`` of the vector-Jacobian product.

    ``recorded`` is what a pass records per sample, in bytes.
    """
    fixed = {name: parameter.detach() for name, parameter in network.named_parameters() if name not in parameters}

    def one(sample: Tensor, cotangents: Tensor, weights: Tensor) -> dict[str, Tensor]:
        def logits(parameters: dict[str, Tensor]) -> Tensor:
            return functional_call(network, fixed | parameters, (sample[None],))[0]

        _, pull_back = vjp(logits, parameters)
        (gradients,) = vmap(pull_back)(cotangents)
        return {name: torch.tensordot(weights, s.abs().pow(power), 1) for name, s in gradients.items()}

    size = sum(parameter.numel() * parameter.element_size() for parameter in parameters.values())
    step = max(1, FALLBACK_BYTES // ((size + recorded) * len(at_logits)))
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
