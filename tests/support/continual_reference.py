"""A whole continual run the slow way: one network, torch's Adam, the penalty as a term of the loss, float64 throughout.

Written from the definitions in the paper and README, independent of the package but for the seeds of the random draws.
Importances are those of the per-sample loop in ``reference``; path importances are computed from a list of all steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from reference import naive
from weight_importance.runtime.seeding import derive, generator

Tensors = dict[str, Tensor]
"""By parameter: its weights, its importance, its gradient, ..."""

Ablation = Callable[[list[Tensors], int, int], Tensors]
"""``(one importance per estimator, seed, task) -> the importance that the penalty uses instead``."""


@dataclass(frozen=True)
class Settings:
    """One run, by the keys of ``config.yaml``; ``images`` and ``later_epochs`` are those of ``retention``."""

    kind: str = "permuted"
    count: int = 4
    tasks_seed: int = 1
    training: int | None = 40
    validation: int = 12
    test: int | None = 25
    train_on_validation: bool = False
    carry_adam: bool = False
    penalised_path: bool = False
    epochs: int = 2
    batch_size: int = 7
    learning_rate: float = 0.015625
    samples: int = 9
    estimators: tuple[str, ...] = ("mas",)
    ablation: str | None = None
    images: int | None = None
    later_epochs: int = 2
    clamp_negative: bool = True
    penalty: str = "plain"
    accumulation: str = "sum"
    decay: float = 1.0
    batch_norm: str = "running"


@dataclass
class Run:
    """Accuracies by ``(tasks learnt, task, split)``; weights and accumulated importance after each number of tasks."""

    accuracies: dict[tuple[int, int, str], float] = field(default_factory=dict)
    weights: dict[int, Tensors] = field(default_factory=dict)
    importance: dict[int, Tensors] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Gradients of the batch's loss, of loss and penalty, and of an independent batch's loss; and the movement."""

    gradient: Tensors
    penalised: Tensors
    independent: Tensors
    moved: Tensors


def continual_run(
    build: Callable[[], nn.Module],
    datasets: Sequence,
    seed: int,
    strength: float,
    s: Settings,
    ablate: Ablation = lambda importances, seed, task: importances[0] if importances else {},
) -> Run:
    """All tasks one after another; the penalty's anchor is the weights after the latest task."""
    with torch.random.fork_rng():
        torch.manual_seed(derive("initialisation", seed))
        network = build()
    run, omega, anchor, optimiser = Run(), {}, {}, None
    for task in range(s.count):
        inputs, labels = images_of(datasets, task, "training", s)
        if task and s.images:
            inputs, labels = inputs[-s.images :], labels[-s.images :]
        if optimiser is None or not s.carry_adam:
            optimiser = torch.optim.Adam(network.parameters(), lr=s.learning_rate)
        network.train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and task and s.batch_norm == "frozen":
                module.eval()
        steps, term = [], partial(penalty, network, strength, omega, anchor, s)
        for epoch in range(s.later_epochs if task else s.epochs):
            orders = (
                torch.randperm(len(labels), generator=generator(purpose, seed, task, epoch)).split(s.batch_size)
                for purpose in ("batch order", "independent batch order")
            )
            for both in zip(*orders, strict=True):
                if len(both[0]) == s.batch_size:
                    batches = [(inputs[indices], labels[indices]) for indices in both]
                    steps.append(take_step(network, optimiser, *batches, term))
        for learnt in range(task + 1):
            for split in ("validation", "test"):
                images, truth = images_of(datasets, learnt, split, s)
                right = network.eval()(images).argmax(1) == truth
                run.accuracies[task + 1, learnt + 1, split] = int(right.sum()) / len(right)
        importances = [importance_of(name, network, inputs, labels, steps, seed, task, s) for name in s.estimators]
        if s.clamp_negative:
            importances = [{name: value.clamp_min(0) for name, value in each.items()} for each in importances]
        anchor = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        omega = accumulated(omega, ablate(importances, seed, task), task, s)
        run.weights[task + 1], run.importance[task + 1] = anchor, omega
    return run


def images_of(datasets: Sequence, task: int, split: str, s: Settings) -> tuple[Tensor, Tensor]:
    """A task's inputs and labels: round by round through the data sets, every round with one change of the images."""
    number, dataset = task // len(datasets), datasets[task % len(datasets)]
    images, labels = dataset.train_images, dataset.train_labels
    if split == "training":
        images, labels = images[: s.training], labels[: s.training]
    elif split == "validation":
        images, labels = images[len(images) - s.validation :], labels[len(labels) - s.validation :]
    else:
        images, labels = dataset.test_images[: s.test], dataset.test_labels[: s.test]
    if number and s.kind == "permuted":
        height, width = images.shape[1:]
        order = torch.randperm(height * width, generator=generator("permutation", s.tasks_seed, number))
        images = torch.stack([image.flatten()[order].view(height, width) for image in images])
    elif number:
        images = torch.stack([torch.rot90(image, number) for image in images])
    return (images.float() / 255).double()[:, None], labels.long()


def penalty(network: nn.Module, strength: float, omega: Tensors, anchor: Tensors, s: Settings) -> Tensor:
    """λ Σ Ω (θ − θ*)², or stabilised ½ Σ λΩ / (λΩη + 1) (θ − θ*)²; zero before there is an importance."""
    total = torch.zeros(())
    for name, theta in network.named_parameters():
        if name in omega:
            weighted = strength * omega[name]
            factor = weighted if s.penalty == "plain" else weighted / (weighted * s.learning_rate + 1) / 2
            total = total + (factor * (theta - anchor[name]) ** 2).sum()
    return total


def take_step(
    network: nn.Module, optimiser: torch.optim.Optimizer, own: tuple, other: tuple, penalty: Callable[[], Tensor]
) -> Step:
    """One step of the optimiser on loss and penalty; the other batch changes neither weights nor buffers."""
    theta = dict(network.named_parameters())
    copies = {name: buffer.clone() for name, buffer in network.named_buffers()}
    losses = [
        cross_entropy(functional_call(network, (theta, copies), other[0]), other[1]),
        cross_entropy(network(own[0]), own[1]),
    ]
    independent, gradient = (
        dict(zip(theta, torch.autograd.grad(loss, list(theta.values()), retain_graph=True), strict=True))
        for loss in losses
    )
    optimiser.zero_grad()
    (losses[1] + penalty()).backward()
    before = {name: parameter.detach().clone() for name, parameter in theta.items()}
    penalised = {name: parameter.grad.clone() for name, parameter in theta.items()}
    optimiser.step()
    return Step(
        gradient, penalised, independent, {name: value.detach() - before[name] for name, value in theta.items()}
    )


def importance_of(
    estimator: str,
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    steps: list[Step],
    seed: int,
    task: int,
    s: Settings,
) -> Tensors:
    """An estimator's importance on one task: over its last samples, or over all steps of the optimiser."""
    if estimator not in PATHS:
        inputs, labels = inputs[-s.samples :], labels[-s.samples :]
        p = network.eval()(inputs).softmax(1)
        drawn = torch.multinomial(p, 1, generator=generator("label sampling", seed, task))[:, 0]
        return naive(estimator, network, inputs, labels, drawn)
    kind = {"si_penalised": "penalised", "si_unbiased": "independent"}.get(estimator, "gradient")
    if estimator == "si" and s.penalised_path:
        kind = "penalised"
    return {
        name: PATHS[estimator](
            torch.stack([getattr(step, kind)[name] for step in steps]),
            torch.stack([step.moved[name] for step in steps]),
        )
        for name in steps[0].moved
    }


def accumulated(omega: Tensors, importance: Tensors, task: int, s: Settings) -> Tensors:
    """The importance of all tasks so far, the latest included."""
    before = {name: omega.get(name, torch.zeros_like(value)) for name, value in importance.items()}
    return {
        name: {
            "sum": before[name] + value,
            "mean": (task * before[name] + value) / (task + 1),
            "online": s.decay * before[name] + value,
        }[s.accumulation]
        for name, value in importance.items()
    }


def _si(gradients: Tensor, moved: Tensor) -> Tensor:
    return -(gradients * moved).sum(0) / (moved.sum(0) ** 2 + 0.1)


def _running_square(gradients: Tensor, moved: Tensor) -> Tensor:
    return sum(0.001 * 0.999**age * gradient**2 for age, gradient in enumerate(reversed(gradients)))


def _rwalk(gradients: Tensor, moved: Tensor) -> Tensor:
    fisher = [gradients[0] ** 2]
    for gradient in gradients[1:]:
        fisher.append(0.9 * gradient**2 + 0.1 * fisher[-1])
    score = torch.zeros_like(gradients[0])
    for start in range(0, len(gradients) - 9, 10):
        interval = slice(start, start + 10)
        fall = -(gradients[interval] * moved[interval]).sum(0)
        score += (fall / (fisher[start] * moved[interval].sum(0) ** 2 / 2 + 0.001)).clamp_min(0)
    return score


PATHS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "si": _si,
    "si_penalised": _si,
    "si_unbiased": _si,
    "si_undivided": lambda gradients, moved: -(gradients * moved).sum(0),
    "onaf": lambda gradients, moved: gradients.abs().sum(0),
    "squisher": _running_square,
    "sos": lambda gradients, moved: _running_square(gradients, moved).sqrt(),
    "rwalk": _rwalk,
}
"""By estimator, its importance from all gradients and movements of a task ``(T, *shape)``."""
