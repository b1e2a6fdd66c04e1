"""Reference importances by plain automatic differentiation, one sample at a time, for every network."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

SCORES = {
    "fisher_empirical": (lambda z, y: log_softmax(z, -1).gather(-1, y[..., None]).sum(), 2),
    "mas": (lambda z, y: z.softmax(-1).square().sum(), 1),
}
"""Estimator → (scalar of a sample's logits and labels, power)."""


def by_loop(name, network: nn.Module, calls, labels, counted=None) -> dict[str, Tensor]:
    """Mean over samples of |∂ score / ∂ parameter|^power.

    Args:
        name: in :data:`SCORES`.
        network: unchanged; a copy is used in evaluation mode.
        calls: per sample ``network -> logits (1, ..., K)``.
        labels: ``(N, ...)``.
        counted: ``(N, ...)``, labels that count.
    """
    network = copy.deepcopy(network).eval()
    score, power = SCORES[name]
    learnt = {n: p for n, p in network.named_parameters() if p.requires_grad}
    total = {n: torch.zeros_like(p, dtype=torch.float64) for n, p in learnt.items()}
    samples = 0
    for i, call in enumerate(calls):
        logits, y = call(network), labels[i : i + 1]
        if counted is not None:
            kept = counted[i : i + 1]
            if not kept.any():
                continue
            logits, y = logits[kept], y[kept]
        samples += 1
        network.zero_grad()
        score(logits, y).backward()
        for n, parameter in learnt.items():
            if parameter.grad is not None:
                total[n] += parameter.grad.to_dense().double().abs() ** power
    return {n: t / samples for n, t in total.items()}


def exact_by_loop(network: nn.Module, calls, counted) -> dict[str, Tensor]:
    """The exact Fisher information, position by position: mean over samples of Σ_t Σ_k p_tk (∂ log p_tk)²."""
    network = copy.deepcopy(network).eval()
    learnt = {n: p for n, p in network.named_parameters() if p.requires_grad}
    total = {n: torch.zeros_like(p, dtype=torch.float64) for n, p in learnt.items()}
    for i, call in enumerate(calls):
        log_p = log_softmax(call(network), -1)[counted[i : i + 1]]
        for value in log_p.flatten():
            gradients = torch.autograd.grad(value, list(learnt.values()), retain_graph=True, materialize_grads=True)
            for n, gradient in zip(learnt, gradients, strict=True):
                total[n] += value.exp().item() * gradient.double() ** 2
    return {n: t / len(calls) for n, t in total.items()}


def each(*inputs: Tensor):
    """One call of a network per sample, on that sample's inputs."""
    return [lambda network, i=i: network(*(x[i : i + 1].clone() for x in inputs)) for i in range(len(inputs[0]))]
