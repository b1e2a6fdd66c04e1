"""A whole continual run the slow way: one network, torch's Adam, the penalty as a term of the loss, float64 throughout.

Written from the definitions in the paper and README, independent of the package but for the seeds of the random draws.
Importances are those of the per-sample loop in ``reference``, and path importances are formed of a list of all steps.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from reference import naive
from weight_importance.runtime.seeding import derive, generator

Importance = dict[str, Tensor]


@dataclass(frozen=True)
class Settings:
    """One run, by the keys of ``config.yaml``; ``later_epochs`` and ``images`` are those of ``retention``.

    An ablation makes one importance of those by ``estimators``, given the seed and the number of the task.
    """

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
    weights: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    importance: dict[int, Importance] = field(default_factory=dict)


def continual_run(
    build: Callable[[], nn.Module], datasets: list, seed: int, strength: float, s: Settings,
    ablate: Callable[[list[Importance], int, int], Importance] | None = None,
) -> Run:  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(derive("initialisation", seed))
        network = build()
    run, learnt, omega, anchor, optimiser = Run(), [], {}, {}, None

    def penalty(theta: Mapping[str, Tensor]) -> Tensor:
        terms = [torch.zeros(())]
        for name in omega:
            weight, distance = strength * omega[name], theta[name] - anchor[name]
            factor = weight if s.penalty == "plain" else 0.5 * weight / (weight * s.learning_rate + 1)
            terms.append((factor * distance**2).sum())
        return sum(terms)

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
        steps = []
        for epoch in range(s.later_epochs if task else s.epochs):
            own, other = (
                torch.randperm(len(labels), generator=generator(purpose, seed, task, epoch)).split(s.batch_size)
                for purpose in ("batch order", "independent batch order")
            )
            for chosen in (pair for pair in zip(own, other, strict=True) if len(pair[0]) == s.batch_size):
                batches = [(inputs[indices], labels[indices]) for indices in chosen]
                steps.append(one_step(network, optimiser, *batches, penalty))
        learnt.append(task)
        for before in learnt:
            for split in ("validation", "test"):
                images, truth = images_of(datasets, before, split, s)
                right = network.eval()(images).argmax(1) == truth
                run.accuracies[task + 1, before + 1, split] = int(right.sum()) / len(right)
        importances = []
        for estimator in s.estimators:
            if estimator in PATHS:
                gradients, penalised, independent, moved = (
                    {name: torch.stack([step[kind][name] for step in steps]) for name in steps[0][kind]}
                    for kind in range(4)
                )
                if estimator == "si" and s.penalised_path:
                    gradients = penalised
                chosen = {"si_penalised": penalised, "si_unbiased": independent}.get(estimator, gradients)
                importances.append({name: PATHS[estimator](chosen[name], moved[name]) for name in chosen})
            else:
                last, truth = inputs[-s.samples :], labels[-s.samples :]
                p = network.eval()(last).softmax(1)
                drawn = torch.multinomial(p, 1, generator=generator("label sampling", seed, task))[:, 0]
                importances.append(naive(estimator, network, last, truth, drawn))
        if s.clamp_negative:
            importances = [{name: value.clamp_min(0) for name, value in each.items()} for each in importances]
        weights = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        for name, value in (
            ablate(importances, seed, task) if ablate else importances[0] if importances else {}
        ).items():
            kept = {"sum": 1.0, "mean": task / (task + 1), "online": s.decay}[s.accumulation]
            omega[name] = omega.get(name, 0.0) * kept + value * (1 / (task + 1) if s.accumulation == "mean" else 1)
        anchor = weights
        run.weights[task + 1], run.importance[task + 1] = weights, dict(omega)
    return run


def images_of(datasets: list, task: int, split: str, s: Settings) -> tuple[Tensor, Tensor]:
    """A task's inputs and labels: round by round through the data sets, every round with one change of the images."""
    number, dataset = task // len(datasets), datasets[task % len(datasets)]
    all_images, all_labels = dataset.train_images, dataset.train_labels
    if split == "test":
        images, labels = dataset.test_images[: s.test], dataset.test_labels[: s.test]
    elif split == "validation":
        images, labels = all_images[len(all_images) - s.validation :], all_labels[len(all_images) - s.validation :]
    else:
        images, labels = all_images[: s.training], all_labels[: s.training]
    if number and s.kind == "permuted":
        height, width = images.shape[1:]
        order = torch.randperm(height * width, generator=generator("permutation", s.tasks_seed, number))
        images = torch.stack([image.flatten()[order].view(height, width) for image in images])
    elif number:
        images = torch.stack([torch.rot90(image, number) for image in images])
    return (images.float() / 255).double()[:, None], labels.long()


def one_step(network: nn.Module, optimiser, batch, other, penalty) -> tuple[dict, dict, dict, dict]:
    """Takes a step; the gradient of the batch's loss, of loss and penalty, of another batch's loss, and the movement."""
    theta = dict(network.named_parameters())
    copied = copy.deepcopy(network)
    independent = torch.autograd.grad(cross_entropy(copied(other[0]), other[1]), list(copied.parameters()))
    loss = cross_entropy(network(batch[0]), batch[1])
    gradient = torch.autograd.grad(loss, list(theta.values()), retain_graph=True)
    optimiser.zero_grad()
    (loss + penalty(theta)).backward()
    before = {name: parameter.detach().clone() for name, parameter in theta.items()}
    penalised = {name: parameter.grad.clone() for name, parameter in theta.items()}
    optimiser.step()
    moved = {name: parameter.detach() - before[name] for name, parameter in theta.items()}
    return dict(zip(theta, gradient)), penalised, dict(zip(theta, independent)), moved


def _si(gradients: Tensor, moved: Tensor) -> Tensor:
    return -(gradients * moved).sum(0) / (moved.sum(0) ** 2 + 0.1)


def _sos(gradients: Tensor, moved: Tensor) -> Tensor:
    return sum(0.001 * 0.999**age * gradient**2 for age, gradient in enumerate(reversed(gradients))).sqrt()


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
    "sos": _sos,
    "rwalk": _rwalk,
}
"""By estimator, its importance from all gradients and movements of a task ``(T, *shape)``."""
