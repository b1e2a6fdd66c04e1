"""The formulas that public implementations compute, by plain automatic differentiation; no library is needed.

Every function takes a case and returns an importance by parameter name. g denotes a sample's gradient of log p(y|x).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, unfold

from audit.setting import Case
from reference import hessian, naive

Importance = dict[str, Tensor]


def gradients(network: nn.Module, scalar: Tensor) -> Importance:
    """The gradient of a scalar by parameter name."""
    values = torch.autograd.grad(scalar, list(network.parameters()), retain_graph=True)
    return dict(zip(dict(network.named_parameters()), values, strict=True))


def total(importances: list[Importance], divisor: float) -> Importance:
    return {name: sum(each[name] for each in importances) / divisor for name in importances[0]}


def of_reference(estimator: str) -> Callable[[Case], Importance]:
    """The exact per-sample quantity."""
    return lambda case: naive(estimator, case.network, case.inputs, case.labels)


def squared_batch_gradients(case: Case) -> Importance:
    """Mean over batches of the squared gradient of the mean loss of the batch."""
    batch_gradients = [gradients(case.network, cross_entropy(case.network(x), y)) for x, y in case.batches()]
    return total([{name: g.square() for name, g in each.items()} for each in batch_gradients], len(batch_gradients))


def absolute_batch_gradients(case: Case) -> Importance:
    """Mean over batches of the absolute gradient of the batch mean of ‖z‖²."""
    batch_gradients = [gradients(case.network, case.network(x).square().sum(1).mean()) for x, _ in case.batches()]
    return total([{name: g.abs() for name, g in each.items()} for each in batch_gradients], len(batch_gradients))


def weighted_by_probability(case: Case) -> Importance:
    """Sum over samples of p(y|x) g², over number of batches times batch size."""
    terms = []
    for x, y in zip(case.inputs, case.labels, strict=True):
        log_p = log_softmax(case.network(x[None]), 1)[0, y]
        terms.append({name: log_p.exp().detach() * g.square() for name, g in gradients(case.network, log_p).items()})
    return total(terms, len(case.batches()) * case.batch)


def divided_by_samples(case: Case) -> Importance:
    """Sum over samples of (g / N)²."""
    return total([naive("fisher_empirical", case.network, case.inputs, case.labels)], len(case.inputs))


def hessian_diagonal(case: Case) -> Importance:
    matrix, indices = hessian(case.network, case.inputs, case.labels)
    return {name: matrix.diagonal()[index] for name, index in indices.items()}


def squared_by_position(estimator: str) -> Callable[[Case], Importance]:
    """Fisher information with the squares of each position summed, in the convolutions with few positions."""

    def compute(case: Case) -> Importance:
        result = naive(estimator, case.network, case.inputs, case.labels)
        output = case.inputs
        for name, layer in case.network.named_children():
            inputs, output = output, layer(output)
            if not isinstance(layer, nn.Conv2d):
                continue
            patches = unfold(inputs, layer.kernel_size).detach()
            positions, weights = patches.shape[2], layer.weight.numel()
            if positions * (len(layer.weight) + patches.shape[1]) >= weights:
                continue
            log_p = log_softmax(case.network[int(name) + 1 :](output), 1)
            log_p_true = log_p.gather(1, case.labels[:, None])
            probabilities = log_p.detach().exp() if estimator == "fisher_exact" else torch.ones_like(log_p_true)
            scalars = log_p if estimator == "fisher_exact" else log_p_true
            value = 0
            for scalar, weight in zip(scalars.T, probabilities.T, strict=True):
                (at_output,) = torch.autograd.grad(scalar.sum(), output, retain_graph=True)
                squares = at_output.flatten(2).square() @ patches.square().transpose(1, 2)
                value = value + torch.tensordot(weight, squares, 1)
            result[f"{name}.weight"] = value.view_as(layer.weight) / len(inputs)
        return result

    return compute


def kronecker_factors(case: Case) -> Importance:
    """Diagonal of KFAC: mean squared input × mean squared gradient at the output, positions as if independent."""
    activations, result = [case.inputs], {}
    for layer in case.network:
        activations.append(layer(activations[-1]))
    log_p = log_softmax(activations[-1], 1)
    for index, (name, layer) in enumerate(case.network.named_children()):
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        at_input = activations[index].detach()
        at_input = unfold(at_input, layer.kernel_size) if isinstance(layer, nn.Conv2d) else at_input[:, :, None]
        of_output = torch.zeros(len(layer.weight), dtype=torch.float64)
        for scalar, p in zip(log_p.T, log_p.detach().exp().T, strict=True):
            (g,) = torch.autograd.grad(scalar.sum(), activations[index + 1], retain_graph=True)
            of_output += torch.tensordot(p, g.flatten(2).square().sum(2) if g.ndim > 2 else g.square(), 1) / len(p)
        of_input = at_input.square().mean((0, 2))
        result[f"{name}.weight"] = torch.outer(of_output, of_input).view_as(layer.weight)
        result[f"{name}.bias"] = of_output
    return result


def per_channel(weighted: Importance) -> Importance:
    """Sums over the weights of every output channel, of all weighted layers but the last."""
    names = [name for name in weighted if name.endswith("weight")]
    return {name: weighted[name].flatten(1).sum(1) for name in names[:-1]}


def taylor_by_channel(case: Case) -> Importance:
    """|θ · mean gradient of the loss| by channel."""
    return per_channel(
        {
            name: (g * case.network.get_parameter(name).detach()).abs()
            for name, g in gradients(case.network, cross_entropy(case.network(case.inputs), case.labels)).items()
        }
    )


def brain_damage_by_channel(case: Case) -> Importance:
    """θ² times the empirical Fisher information, by channel."""
    fisher = naive("fisher_empirical", case.network, case.inputs, case.labels)
    return per_channel({name: f * case.network.get_parameter(name).detach().square() for name, f in fisher.items()})


def last_brain_damage_by_channel(case: Case) -> Importance:
    """θ² g² of the last sample alone, by channel."""
    return brain_damage_by_channel(Case(case.network, case.inputs[-1:], case.labels[-1:]))


def snip_by_channel(case: Case) -> Importance:
    return per_channel(naive("snip", case.network, case.inputs, case.labels))
