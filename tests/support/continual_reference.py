"""Slow reference of a continual run: one network, torch's Adam, the penalty as a term of the loss, all in float64.

Written from the definitions in the paper and README; shares only the seeds of random draws with the package.
Importances come from the per-sample loop in ``reference``, path importances from a list of all steps.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from reference import naive
from weight_importance.runtime.seeding import derive, generator

Tensors = dict[str, Tensor]
"""Parameter → its weights, importance, gradient, ..."""

Ablation = Callable[[list[Tensors], int], Tensors]
"""``(one importance per estimator, seed) -> the importance of the penalty``."""


@dataclass(frozen=True)
class Settings:
    """Settings of a run, named as in ``config.yaml``; ``images`` and ``later_epochs`` are those of ``retention``."""

    kind: str = "permuted"
    count: int = 4
    tasks_seed: int | None = 1
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
    task_weights: str = "as_computed"
    batch_norm: str = "running"
    classes: int = 2
    scenario: str = "task"
    order: str = "fixed"
    iterations: int | None = None
    joint: bool = False
    after_every_task: bool = True

    @property
    def durations(self) -> dict[str, dict[str, int]]:
        """Epochs or iterations of the first task and of each later one."""
        if self.iterations:
            return {key: {"iterations": self.iterations} for key in ("first", "later")}
        return {"first": {"epochs": self.epochs}, "later": {"epochs": self.later_epochs}}


@dataclass
class Run:
    """Accuracies by ``(tasks learnt, task, split)``; weights and accumulated importance after each number of tasks."""

    accuracies: dict[tuple[int, int, str], float] = field(default_factory=dict)
    weights: dict[int, Tensors] = field(default_factory=dict)
    importance: dict[int, Tensors] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Gradients of the batch's loss, of loss and penalty, and of an independent batch's loss; displacement."""

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
    ablate: Ablation = lambda importances, seed: importances[0] if importances else {},
) -> Run:
    """Learn all tasks; the penalty's anchor is the weights after the latest task, or one per task."""
    with torch.random.fork_rng():
        torch.manual_seed(derive("initialisation", seed))
        network = build()
    network.register_forward_hook(lambda module, inputs, logits: logits[:, module.selected])
    run, omega, terms, optimiser = Run(), {}, [], None
    for task in range(s.count):
        network.selected = outputs_of(datasets, task, task, seed, s)
        inputs, labels = training_of(datasets, task, seed, s)
        if optimiser is None or not s.carry_adam:
            optimiser = torch.optim.Adam(network.parameters(), lr=s.learning_rate)
        network.train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and task and s.batch_norm == "frozen":
                module.eval()
        steps, term = [], partial(penalty, network, strength, terms, s)
        length = s.iterations or len(labels) // s.batch_size * (s.later_epochs if task else s.epochs)
        if s.joint and task:
            learn_jointly(network, optimiser, datasets, task, length, seed, s)
        else:
            orders = (
                order_of(purpose, seed, task, len(labels), s.batch_size)
                for purpose in ("batch order", "independent batch order")
            )
            for both in islice(zip(*orders, strict=True), length):
                batches = [(inputs[indices], labels[indices]) for indices in both]
                steps.append(take_step(network, optimiser, *batches, term))
        for learnt in range(task + 1):
            network.selected = outputs_of(datasets, learnt, task, seed, s)
            last = task + 1 == s.count
            for split in ("validation", "test") if last else ("test",) if s.after_every_task else ():
                images, truth = images_of(datasets, learnt, split, seed, s)
                right = network.eval()(images).argmax(1) == truth
                run.accuracies[task + 1, learnt + 1, split] = int(right.sum()) / len(right)
        network.selected = outputs_of(datasets, task, task, seed, s)
        importances = [importance_of(name, network, inputs, labels, steps, seed, task, s) for name in s.estimators]
        if s.clamp_negative:
            importances = [{name: value.clamp_min(0) for name, value in each.items()} for each in importances]
        anchor = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        own = ablate(importances, seed)
        if s.task_weights == "equal":
            mean = torch.cat([value.flatten() for value in own.values()]).abs().mean()
            own = {name: value / mean for name, value in own.items()}
        omega = accumulated(omega, own, task, s)
        terms = [*terms, (own, anchor)] if s.accumulation == "per_task" else [(omega, anchor)]
        run.weights[task + 1], run.importance[task + 1] = anchor, omega
    return run


def order_of(purpose: str, seed: int, task: int, size: int, batch_size: int) -> Iterator[Tensor]:
    """The sample numbers of every batch, epoch after epoch, without a last, smaller batch."""
    for epoch in count():
        for batch in torch.randperm(size, generator=generator(purpose, seed, task, epoch)).split(batch_size):
            if len(batch) == batch_size:
                yield batch


def learn_jointly(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    datasets: Sequence,
    task: int,
    length: int,
    seed: int,
    s: Settings,
) -> None:
    """Train on the mean loss of all tasks so far, with an equal share of the batch size for each."""
    tasks, share = range(task + 1), s.batch_size // (task + 1)
    data = [training_of(datasets, each, seed, s) for each in tasks]
    orders = [order_of(f"batch order of task {each}", seed, task, len(data[each][1]), share) for each in tasks]
    for indices in islice(zip(*orders, strict=True), length):
        loss = torch.zeros(())
        for each, (inputs, labels), chosen in zip(tasks, data, indices, strict=True):
            network.selected = outputs_of(datasets, each, task, seed, s)
            loss = loss + cross_entropy(network(inputs[chosen]), labels[chosen]) / len(tasks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def training_of(datasets: Sequence, task: int, seed: int, s: Settings) -> tuple[Tensor, Tensor]:
    """A task's training inputs and labels."""
    inputs, labels = images_of(datasets, task, "training", seed, s)
    return (inputs[-s.images :], labels[-s.images :]) if task and s.images else (inputs, labels)


def class_order(datasets: Sequence, seed: int, s: Settings) -> list[int]:
    """The labels in the order of learning."""
    classes = int(max(datasets[0].train_labels)) + 1
    if s.order == "per_seed":
        return torch.randperm(classes, generator=generator("class order", seed)).tolist()
    return [*range(classes)]


def outputs_of(datasets: Sequence, task: int, latest: int, seed: int, s: Settings) -> slice | list[int]:
    """The outputs on which a task is learnt and, after task ``latest``, evaluated."""
    if s.kind != "split":
        return slice(None)
    order = class_order(datasets, seed, s)
    return {
        "task": order[task * s.classes : (task + 1) * s.classes],
        "domain": [*range(s.classes)],
        "class": order[: (latest + 1) * s.classes],
    }[s.scenario]


def images_of(datasets: Sequence, task: int, split: str, seed: int, s: Settings) -> tuple[Tensor, Tensor]:
    """A task's inputs and labels: tasks cycle through the data sets, every cycle with one change of the images.

    Split tasks have the images of some classes, labelled by their place in the order of classes, or within the task.
    """
    number, dataset = task // len(datasets), datasets[task % len(datasets)]
    if s.kind == "split":
        number, dataset = 0, datasets[0]
    images, labels = dataset.train_images, dataset.train_labels
    if split == "training":
        images, labels = images[: s.training], labels[: s.training]
    elif split == "validation":
        images, labels = images[len(images) - s.validation :], labels[len(labels) - s.validation :]
    else:
        available = len(dataset.test_labels)
        count = s.test or available
        places = [place * available // count for place in range(count)]
        images, labels = dataset.test_images[places], dataset.test_labels[places]
    if s.kind == "split":
        order = class_order(datasets, seed, s)
        own = order[task * s.classes : (task + 1) * s.classes]
        kept = [place for place, label in enumerate(labels.tolist()) if label in own]
        names = order if s.scenario == "class" else own
        images, labels = images[kept], torch.tensor([names.index(label) for label in labels[kept].tolist()])
    if number and s.kind == "permuted":
        height, width = images.shape[1:]
        own = seed if s.tasks_seed is None else s.tasks_seed
        order = torch.randperm(height * width, generator=generator("permutation", own, number))
        images = torch.stack([image.flatten()[order].view(height, width) for image in images])
    elif number:
        images = torch.stack([torch.rot90(image, number) for image in images])
    return (images.float() / 255).double()[:, None], labels.long()


def penalty(network: nn.Module, strength: float, terms: Sequence[tuple[Tensors, Tensors]], s: Settings) -> Tensor:
    """λ Σ Ω (θ − θ*)², half of it, or stabilised ½ Σ λΩ / (λΩη + 1) (θ − θ*)², of every pair of Ω and θ*."""
    total = torch.zeros(())
    for omega, anchor in terms:
        for name, theta in network.named_parameters():
            if name in omega:
                weighted = strength * omega[name]
                factor = {
                    "plain": weighted,
                    "halved": weighted / 2,
                    "stabilised": weighted / (weighted * s.learning_rate + 1) / 2,
                }[s.penalty]
                total = total + (factor * (theta - anchor[name]) ** 2).sum()
    return total


def take_step(
    network: nn.Module, optimiser: torch.optim.Optimizer, own: tuple, other: tuple, penalty: Callable[[], Tensor]
) -> Step:
    """An optimiser step on loss and penalty; the independent batch changes neither weights nor buffers."""
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
    if estimator not in PATHS and estimator != "rwalk":
        inputs, labels = inputs[-s.samples :], labels[-s.samples :]
        p = network.eval()(inputs).softmax(1)
        drawn = torch.multinomial(p, 1, generator=generator("label sampling", seed, task))[:, 0]
        return naive(estimator, network, inputs, labels, drawn)
    kind = {"si_penalised": "penalised", "si_unbiased": "independent"}.get(estimator, "gradient")
    if estimator == "si" and s.penalised_path:
        kind = "penalised"
    paths = {
        name: [torch.stack([part[name] for part in parts]) for parts in ([getattr(step, kind) for step in steps],
        [step.moved for step in steps])]
        for name in steps[0].moved
    }  # fmt: skip
    if estimator == "rwalk":
        parts = [{name: part(*path) for name, path in paths.items()} for part in (_rwalk_fisher, _rwalk_score)]
        return {name: sum(_on_unit_interval(part)[name] for part in parts) for name in paths}
    return {name: PATHS[estimator](*path) for name, path in paths.items()}


def accumulated(omega: Tensors, importance: Tensors, task: int, s: Settings) -> Tensors:
    """The importance of all tasks including the latest."""
    before = {name: omega.get(name, torch.zeros_like(value)) for name, value in importance.items()}
    return {
        name: {
            "sum": before[name] + value,
            "per_task": before[name] + value,
            "mean": (task * before[name] + value) / (task + 1),
            "online": s.decay * before[name] + value,
        }[s.accumulation]
        for name, value in importance.items()
    }


def _si(gradients: Tensor, moved: Tensor) -> Tensor:
    return -(gradients * moved).sum(0) / (moved.sum(0) ** 2 + 0.1)


def _mean_square(gradients: Tensor, moved: Tensor) -> Tensor:
    """The mean of the squares, each step's weight 0.999 times the next one's."""
    weights = [0.999**age for age in reversed(range(len(gradients)))]
    return sum(weight * gradient**2 for weight, gradient in zip(weights, gradients, strict=True)) / sum(weights)


def _on_unit_interval(values: Tensors) -> Tensors:
    every = torch.cat([value.flatten() for value in values.values()])
    return {name: (value - every.min()) / (every.max() - every.min()) for name, value in values.items()}


def _rwalk_fisher(gradients: Tensor, moved: Tensor) -> Tensor:
    return sum(
        (0.9 if step else 1) * 0.1 ** (len(gradients) - 1 - step) * gradient**2
        for step, gradient in enumerate(gradients)
    )


def _rwalk_score(gradients: Tensor, moved: Tensor) -> Tensor:
    fisher = [_rwalk_fisher(gradients[: step + 1], moved) for step in range(len(gradients))]
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
    "onaf": lambda gradients, moved: gradients.abs().mean(0),
    "squisher": _mean_square,
    "sos": lambda gradients, moved: _mean_square(gradients, moved).sqrt(),
}
"""Estimator → its importance from all gradients and displacements of a task ``(T, *shape)``."""
