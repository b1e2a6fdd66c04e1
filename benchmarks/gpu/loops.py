"""Plain loops over single samples, one for each of three importances: the usual method without this project."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


def loop_fisher(network: nn.Module, inputs: Tensor, labels: Tensor) -> None:
    """Empirical Fisher information, one sample at a time."""
    parameters = list(network.parameters())
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    for place in range(len(inputs)):
        loss = cross_entropy(network(inputs[place : place + 1]), labels[place : place + 1])
        for total, gradient in zip(totals, torch.autograd.grad(loss, parameters), strict=True):
            total.addcmul_(gradient, gradient)


def loop_mas(network: nn.Module, inputs: Tensor, labels: Tensor) -> None:
    """MAS on the softmax, one sample at a time."""
    parameters = list(network.parameters())
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    for place in range(len(inputs)):
        norm = network(inputs[place : place + 1]).softmax(1).square().sum()
        for total, gradient in zip(totals, torch.autograd.grad(norm, parameters), strict=True):
            total.add_(gradient.abs())


def loop_exact(network: nn.Module, inputs: Tensor, labels: Tensor) -> None:
    """Exact Fisher information, one sample and one class at a time."""
    parameters = list(network.parameters())
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    for place in range(len(inputs)):
        logarithms = network(inputs[place : place + 1]).log_softmax(1)[0]
        probabilities = logarithms.detach().exp()
        for number, value in enumerate(logarithms):
            gradients = torch.autograd.grad(value, parameters, retain_graph=number + 1 < len(logarithms))
            for total, gradient in zip(totals, gradients, strict=True):
                total.addcmul_(gradient, gradient * probabilities[number])


LOOPS = {"fisher_empirical": loop_fisher, "mas": loop_mas, "fisher_exact": loop_exact}
"""By estimator the loop over single samples."""
