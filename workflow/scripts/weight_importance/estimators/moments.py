"""The one engine: moments of the per-sample gradient of a scalar of the network's output.

For cotangents c at the logits of sample n with weights w, the pull-back is s_nc = (∂z_n/∂θ)ᵀ c, and the moment of
power q is the mean over samples of Σ_c w_nc |s_nc|^q, per parameter. For a linear layer with input a and
back-propagated gradient g the per-sample gradient is the outer product g aᵀ, hence
Σ_n w |g aᵀ|^q = (w|g|^q)ᵀ(|a|^q): one matrix product, exact, and nothing of size samples × parameters in memory.
Layers that use a weight at several positions have their per-sample gradients formed for a few samples at a time (see
:mod:`weight_importance.estimators.closed_forms`). Every other parameter takes ``torch.func``.

Memory beyond the inputs and the network is bounded, whatever the number of samples, by ``PASS_BYTES`` (the forward
pass and the gradients at the layers) + ``PRODUCT_BYTES`` (per-sample gradients in closed form) + ``FALLBACK_BYTES``
(those of ``torch.func``), 136 MiB together (on a GPU ``GPU_FACTOR`` times as much), and a few numbers per parameter
(float64 totals, a part of a sum, the check's gradient); of several moments together, a number per moment, sample of a
pass and output of a layer on top. A single sample that exceeds a bound is computed alone; what the numerical libraries
keep for themselves comes on top.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, vjp, vmap

from weight_importance.errors import UserError
from weight_importance.estimators.closed_forms import (
    PullBack,
    Term,
    closed_form_layers,
    parameter_names,
    power_sums,
    single_calls,
)
from weight_importance.estimators.kinds import Cotangents
from weight_importance.estimators.layers import (
    PROBE,
    bound_factor,
    evaluation_mode,
    recorded_bytes,
    samples_per_pass,
    watch,
)

FALLBACK_BYTES = 64 * 2**20
"""Memory bound on the per-sample gradients, and passes, that the fallback holds at once; at least one sample's."""

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class Moment:
    """What to average: Σ_c w_c |s_c|^power over these cotangents."""

    cotangents: Cotangents
    power: int


def moments(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    wanted: Mapping[str, Moment],
    generator: Generator | None = None,
    chunk: int | None = None,
) -> dict[str, dict[str, Tensor]]:
    """Mean over samples of Σ_c w_c |s_c|^power for every parameter, of several moments in one go.

    They share the forward pass, the pull-back of equal cotangents with everything formed of it, and the powers of the
    layers' inputs.

    Args:
        network: any module from ``(N, ...)`` to logits ``(N, K)``; evaluated in evaluation mode.
        inputs: ``(N, ...)``.
        labels: ``(N,)`` integers.
        wanted: by name.
        generator: randomness for cotangents that sample labels; each moment draws as if it were alone.
        chunk: samples per forward pass, by default as many as ``PASS_BYTES`` holds and at most ``CHUNK``; memory grows
            with it, results change by rounding only.

    Returns:
        name → parameter name → tensor of the parameter's shape and dtype.

    Raises:
        UserError: there is no sample, samples influence each other, or a parameter's per-sample gradients cannot be
            formed.
    """
    if len(inputs) == 0:
        raise UserError("an importance needs at least one sample; the inputs are empty")
    refuse_batch_statistics(network)
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    totals = {
        key: {name: torch.zeros_like(parameter, dtype=torch.float64) for name, parameter in parameters.items()}
        for key in wanted
    }
    draws = {key: None if generator is None else generator.clone_state() for key in wanted}
    with evaluation_mode(network):
        probe = inputs[:PROBE]
        size = recorded_bytes(network, probe) + _cotangent_bytes(network, probe, labels[:PROBE], wanted, generator)
        chunk = chunk or samples_per_pass(size, inputs.device)
        layers = closed_form_layers(network, probe)
        covered = {name for layer in layers for name in parameter_names(layer, network)}
        others = {name: parameter for name, parameter in parameters.items() if name not in covered}
        for start in range(0, len(inputs), chunk):
            samples = inputs[start : start + chunk]
            with torch.enable_grad():
                logits, calls = watch(network, samples)
            pull_backs = _pull_backs(wanted, draws, logits.detach(), labels[start : start + chunk])
            for key, name, part in power_sums(single_calls(layers, calls), logits, pull_backs):
                totals[key][name] += part.view_as(totals[key][name])
            # the graph is used up: free it before the next is built
            del logits, calls
            if others:
                for key, name, part in _fallback_sums(network, others, samples, pull_backs, size):
                    totals[key][name] += part
    if generator is not None:
        # the caller's goes on behind what was drawn; those that nothing was drawn from are where it is
        before = generator.get_state()
        for drawn in (each.get_state() for each in draws.values()):
            if not torch.equal(drawn, before):
                generator.set_state(drawn)
    return {
        key: {name: (total / len(inputs)).to(parameters[name].dtype) for name, total in of_key.items()}
        for key, of_key in totals.items()
    }


def _pull_backs(
    wanted: Mapping[str, Moment], draws: Mapping[str, Generator | None], logits: Tensor, labels: Tensor
) -> list[PullBack]:
    """Every different cotangent of all moments once, with what is summed of its pull-back.

    Args:
        wanted: the moments by name.
        draws: a generator for each.
        logits: ``(N, K)``.
        labels: ``(N,)``.
    """
    found: list[PullBack] = []
    for key, moment in wanted.items():
        at_logits, weights = moment.cotangents(logits.double(), labels, draws[key])
        for cotangent, weight in zip(at_logits.to(logits.dtype), weights.to(logits.dtype), strict=True):
            same = (each for each in found if torch.equal(each.cotangent, cotangent))
            pull_back = next(same, None)
            if pull_back is None:
                pull_back = PullBack(cotangent, [])
                found.append(pull_back)
            pull_back.terms.append(Term(key, moment.power, weight))
    return found


def refuse_batch_statistics(network: nn.Module) -> None:
    """Batch statistics in evaluation mode would make one sample's output depend on the other samples of its batch."""
    for name, module in network.named_modules():
        if isinstance(module, BATCH_NORMS) and module.running_mean is None:
            raise UserError(
                f"'{name}' is a {type(module).__name__} without running statistics: a sample's gradient would depend "
                "on the other samples. Use track_running_stats=True, LayerNorm or GroupNorm."
            )


def _cotangent_bytes(
    network: nn.Module, inputs: Tensor, labels: Tensor, wanted: Mapping[str, Moment], generator: Generator | None
) -> int:
    """Bytes per sample of the cotangents, in float64 and in the network's precision, and of what computes them."""
    # stand-ins: measuring must not use up the caller's random numbers
    with torch.no_grad():
        logits = network(inputs).double()
        found = [
            moment.cotangents(logits, labels, None if generator is None else generator.clone_state())[0]
            for moment in wanted.values()
        ]
    return 3 * sum(at_logits.nbytes for at_logits in found) // len(inputs)


def _fallback_sums(
    network: nn.Module, parameters: dict[str, Tensor], inputs: Tensor, pull_backs: list[PullBack], recorded: int
) -> Iterator[tuple[str, str, Tensor]]:
    """Sums over the samples for any parameters of any module, by ``vmap`` of the vector-Jacobian product, in parts.

    ``recorded`` is what a pass records per sample, in bytes.
    """
    fixed = {name: parameter.detach() for name, parameter in network.named_parameters() if name not in parameters}

    def one(sample: Tensor, cotangents: Tensor, weights: list[Tensor]) -> dict[tuple[str, str], Tensor]:
        def logits(parameters: dict[str, Tensor]) -> Tensor:
            return functional_call(network, fixed | parameters, (sample[None],))[0]

        _, pull_back = vjp(logits, parameters)
        (gradients,) = vmap(pull_back)(cotangents)
        sums: dict[tuple[str, str], Tensor] = {}
        for name, s in gradients.items():
            terms = ((index, term) for index, each in enumerate(pull_backs) for term in each.terms)
            for (index, term), weight in zip(terms, weights, strict=True):
                part = weight * s[index].abs().pow(term.power)
                sums[term.key, name] = sums[term.key, name] + part if (term.key, name) in sums else part
        return sums

    size = sum(parameter.numel() * parameter.element_size() for parameter in parameters.values())
    moments = {term.key for each in pull_backs for term in each.terms}
    most = FALLBACK_BYTES * bound_factor(inputs.device)
    step = max(1, most // (size * (len(pull_backs) + len(moments)) + recorded * len(pull_backs)))
    cotangents = torch.stack([each.cotangent for each in pull_backs], 1)
    weights = [term.weight for each in pull_backs for term in each.terms]
    for start in range(0, len(inputs), step):
        part = slice(start, start + step)
        try:
            sums = vmap(one)(inputs[part], cotangents[part], [weight[part] for weight in weights])
        except RuntimeError as error:
            raise UserError(
                f"cannot form per-sample gradients of {', '.join(parameters)} with torch.func: {error}. The network's "
                "forward must be traceable by torch.func.vmap (no data-dependent Python branches, no .item())."
            ) from error
        for (key, name), values in sums.items():
            yield key, name, values.sum(0)
